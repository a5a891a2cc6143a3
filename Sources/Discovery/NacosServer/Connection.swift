// One client's connection: its stream's pushes, and the table that finds it by its TCP peer.

import Catalogue
import Synchronization

/// A connection whose stream is set up.
final class Connection: Sendable {
    private struct State {
        var pushes = PushMachine()
        var selections: [ServiceName: ServiceSelection] = [:]
        var lastRequestID: UInt64 = 0
        var pump: CheckedContinuation<Void, Never>?
    }

    /// `<milliseconds>_<ip>_<port>`, as Nacos makes it.
    let id: String
    let peer: String
    let subscriber: SubscriberID
    private let state = Mutex(State())

    init(id: String, peer: String) {
        self.id = id
        self.peer = peer
        subscriber = SubscriberID("nacos/" + id)
    }

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
            state.pushes.forgot(service)
        }
    }

    func changed(_ service: ServiceName) { wake { $0.pushes.changed(service) } }

    func timePassed(now: ContinuousClock.Instant) { wake { $0.pushes.timePassed(now: now) } }

    /// Notes a push that is about to be written; returns the id its answer will carry.
    func push(_ service: ServiceName, version: UInt64, now: ContinuousClock.Instant) -> String {
        state.withLock { state in
            state.lastRequestID += 1
            let requestID = String(state.lastRequestID)
            state.pushes.pushed(service, version: version, requestID: requestID, now: now)
            return requestID
        }
    }

    func answered(requestID: String) -> (service: ServiceName, version: UInt64)? {
        state.withLock { $0.pushes.answered(requestID: requestID) }
    }

    /// Waits for something to do. Nil when the task is cancelled.
    func nextStep() async -> PushMachine.Step? {
        while !Task.isCancelled {
            if let step = state.withLock({ $0.pushes.takeStep() }) { return step }
            await sleep()
        }
        return nil
    }

    /// Sleeps unless there is a step already, so that no wake is missed; only the pump's one task comes here.
    private func sleep() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard !Task.isCancelled, state.pump == nil, !state.pushes.hasStep else { return true }
                    state.pump = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            wake { _ in }
        }
    }

    private func wake(_ event: (inout State) -> Void) {
        let pump = state.withLock { state in
            event(&state)
            defer { state.pump = nil }
            return state.pump
        }
        pump?.resume()
    }
}

/// The connections that are set up, by TCP peer and by subscriber.
final class ConnectionTable: Sendable {
    private struct State {
        var byPeer: [String: Connection] = [:]
        var bySubscriber: [SubscriberID: Connection] = [:]
    }

    /// Connections beyond this are refused.
    static let limit = 20_000

    private let state = Mutex(State())

    /// Adds a connection; a stream set up anew on the same TCP connection takes the old one's place. False when full.
    func add(_ connection: Connection) -> Bool {
        state.withLock { state in
            guard state.byPeer.count < Self.limit else { return false }
            state.byPeer[connection.peer] = connection
            state.bySubscriber[connection.subscriber] = connection
            return true
        }
    }

    func remove(_ connection: Connection) {
        state.withLock { state in
            if state.byPeer[connection.peer] === connection { state.byPeer[connection.peer] = nil }
            state.bySubscriber[connection.subscriber] = nil
        }
    }

    func connection(from peer: String) -> Connection? { state.withLock { $0.byPeer[peer] } }
    func connection(of subscriber: SubscriberID) -> Connection? { state.withLock { $0.bySubscriber[subscriber] } }
    var all: [Connection] { state.withLock { Array($0.byPeer.values) } }
    var count: Int { state.withLock { $0.byPeer.count } }
}
