// One client's connection: what it looks at, and its stream's pushes.

import Catalogue
import Configurations
import GRPCServing
import Synchronization

/// A connection whose stream is set up.
final class Connection: Sendable {
    private struct State {
        var pushes = PushMachine()
        var selections: [ServiceName: ServiceSelection] = [:]
        var listened: [ConfigName: ListenedItem] = [:]
        var watches: [FuzzyWatchName: FuzzyWatch] = [:]
        var version = ""
        var tag: String?
        var lastHeard = ContinuousClock.now
    }

    /// `<milliseconds>_<ip>_<port>`, as Nacos makes it.
    let id: String
    let peer: GRPCPeer
    let subscriber: SubscriberID
    private let state = Mutex(State())
    /// Gets the stream to take its next step.
    private let wakeStream: @Sendable () -> Void

    init(id: String, peer: GRPCPeer, wake: @escaping @Sendable () -> Void = {}) {
        self.id = id
        self.peer = peer
        subscriber = SubscriberID("nacos/" + id)
        wakeStream = wake
    }

    /// The client's IP address.
    var address: String { peer.address }

    /// The client said who it is.
    func introduce(version: String, tag: String?) {
        state.withLock { state in
            state.version = version
            state.tag = tag
        }
    }

    var version: String { state.withLock { $0.version } }
    var reader: ConfigReader { state.withLock { ConfigReader(address: address, tag: $0.tag) } }

    // MARK: What it looks at

    func selection(of service: ServiceName) -> ServiceSelection {
        state.withLock { $0.selections[service] ?? ServiceSelection() }
    }

    var selectedServices: [ServiceName] { state.withLock { Array($0.selections.keys) } }

    func select(_ selection: ServiceSelection, of service: ServiceName) {
        state.withLock { $0.selections[service] = selection }
    }

    func forget(_ service: ServiceName) {
        state.withLock { state in
            state.selections[service] = nil
            state.pushes.forgot(.service(service))
        }
    }

    func listened(_ name: ConfigName) -> ListenedItem? { state.withLock { $0.listened[name] } }
    var listenedItems: [ListenedItem] { state.withLock { Array($0.listened.values) } }

    /// Items that one connection may listen to.
    static let listenedLimit = 50_000

    /// False when there are too many.
    func listen(_ item: ListenedItem) -> Bool {
        state.withLock { state in
            guard state.listened.count < Self.listenedLimit || state.listened[item.name] != nil else { return false }
            state.listened[item.name] = item
            return true
        }
    }

    func forget(_ name: ConfigName) {
        state.withLock { state in
            state.listened[name] = nil
            state.pushes.forgot(.item(name))
        }
    }

    /// False when there are too many.
    func watch(_ name: FuzzyWatchName, _ watch: FuzzyWatch) -> Bool {
        wake { state in
            guard state.watches.count < FuzzyWatch.limit || state.watches[name] != nil else { return false }
            state.watches[name] = watch
            state.pushes.forgot(.watch(name))
            if watch.hasSync { state.pushes.changed(.watch(name)) }
            return true
        }
    }

    func forget(_ name: FuzzyWatchName) {
        state.withLock { state in
            state.watches[name] = nil
            state.pushes.forgot(.watch(name))
        }
    }

    var watchNames: [FuzzyWatchName] { state.withLock { Array($0.watches.keys) } }

    func watched(_ name: FuzzyWatchName, _ key: String, exists: Bool) {
        wake { state in
            state.watches[name]?.changed(key, exists: exists)
            if state.watches[name]?.hasSync == true { state.pushes.changed(.watch(name)) }
        }
    }

    func takeSync(_ name: FuzzyWatchName, again: Bool) -> FuzzyWatch.Sync? {
        state.withLock { $0.watches[name]?.takeSync(again: again) }
    }

    // MARK: Pushes

    func changed(_ subject: PushSubject) { wake { $0.pushes.changed(subject) } }

    /// Time passed: unanswered pushes come again, and a client that has been silent for long is asked whether it is
    /// there (`RuntimeConnectionEjector.KEEP_ALIVE_TIME`).
    func timePassed(now: ContinuousClock.Instant) {
        wake { state in
            state.pushes.timePassed(now: now)
            guard state.lastHeard.duration(to: now) > Self.silencePatience, !state.pushes.isAwaited(.presence) else {
                return
            }
            state.pushes.changed(.presence)
        }
    }

    static let silencePatience: Duration = .seconds(20)

    func heard(now: ContinuousClock.Instant) { state.withLock { $0.lastHeard = now } }

    /// Notes a push that is about to be written; returns the id its answer will carry.
    func push(_ subject: PushSubject, version: UInt64 = 0, now: ContinuousClock.Instant) -> String {
        String(state.withLock { $0.pushes.pushed(subject, version: version, now: now) })
    }

    func answered(requestID: String) -> (subject: PushSubject, version: UInt64)? {
        guard let number = UInt64(requestID) else { return nil }
        return wake { state in
            guard let taken = state.pushes.answered(requestID: number) else { return nil }
            if case .watch(let name) = taken.subject {
                state.watches[name]?.answered()
                if state.watches[name]?.hasSync == true { state.pushes.changed(taken.subject) }
            }
            return taken
        }
    }

    /// The next thing to do; nil when there is nothing.
    func takeStep() -> PushMachine.Step? { state.withLock { $0.pushes.takeStep() } }

    @discardableResult
    private func wake<Result: Sendable>(_ event: (inout State) -> Result) -> Result {
        let (result, hasStep) = state.withLock { state in
            let result = event(&state)
            return (result, state.pushes.hasStep)
        }
        if hasStep { wakeStream() }
        return result
    }
}

/// Names for connections, made as Nacos makes them.
enum ConnectionName {
    /// `<milliseconds>_<ip>_<port>`.
    static func make(peer: GRPCPeer) -> String { "\(WallClock.milliseconds())_\(peer.address)_\(peer.port)" }
}
