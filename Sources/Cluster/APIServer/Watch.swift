// Watches: where they begin, and the stream that each is.

import Formats
import Objects
import Storage
import Synchronization
import Watching

extension KubernetesAPI {
    /// Starts a watch. Problems of the start are answers; later ones are ERROR lines.
    func watch(_ call: APICall) async throws -> APIAnswer {
        let presentation = try call.presentation(isStream: true)
        var options = try ListOptions(call.query, selectable: call.strategy.selectableFields)
        if let name = call.name {
            options.name = name
        }
        let machine = WatchMachine(served: call.served, options: options, presentation: presentation)
        let prefix = ObjectRecords.prefix(call.resource, namespace: call.namespace)
        let revision = options.revision ?? 0
        let wantsState = options.sendsInitialEvents ?? (revision == 0)
        var initial: WatchMachine.Turn?
        var start = revision
        if wantsState {
            // A state that has not happened yet cannot be shown; the hub says so in the same words as for a watch from
            // there.
            if revision > records.store.revision { _ = try hub.watch(prefix: prefix, from: revision) }
            let page = try records.store.page(prefix: prefix)
            start = page.revision
            let end = options.sendsInitialEvents == true && options.allowsBookmarks ? start : nil
            initial = .began(try page.records.compactMap { try machine.found($0) }, end: end)
        } else if revision == 0 {
            start = records.store.revision
        }
        let cursor = try hub.watch(prefix: prefix, from: start)
        // Zero seconds are as good as none given, as upstream has it.
        let asked = options.timeoutSeconds.flatMap { $0 > 0 ? $0 : nil }
        let seconds = asked ?? limits.watchSeconds + Int(environment.random() % UInt64(max(limits.watchSeconds, 1)))
        let stream = WatchChunks(
            cursor: cursor, machine: machine, initial: initial, seconds: seconds,
            bookmarkSeconds: options.allowsBookmarks ? limits.bookmarkSeconds : nil, now: environment.now)
        let isProtobuf = presentation.format == .protobuf
        let chunks: any APIChunks = call.served.custom.map { ServingChunks(chunks: stream, kind: $0) } ?? stream
        return .stream(chunks, contentType: presentation.contentType + (isProtobuf ? ";stream=watch" : ""))
    }
}

/// One watch, until its time is over, its cursor falls off the ring, or its reader cancels.
final class WatchChunks: APIChunks, APIEvents {
    private struct State {
        var machine: WatchMachine
        var initial: WatchMachine.Turn?
        var nextBookmark: ContinuousClock.Instant?
        var isOver = false
    }

    private let cursor: Cursor
    private let deadline: ContinuousClock.Instant
    private let bookmarkInterval: Duration?
    private let now: @Sendable () -> Timestamp
    private let state: Mutex<State>

    init(
        cursor: Cursor, machine: WatchMachine, initial: WatchMachine.Turn?, seconds: Int, bookmarkSeconds: Int?,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.cursor = cursor
        self.now = now
        let start = ContinuousClock.now
        deadline = start + .seconds(seconds)
        bookmarkInterval = bookmarkSeconds.map { .seconds($0) }
        state = Mutex(
            State(machine: machine, initial: initial, nextBookmark: bookmarkSeconds.map { start + .seconds($0) }))
    }

    func next() async throws -> [UInt8]? {
        while let turn = await turn() {
            let lines = try state.withLock { try $0.machine.lines(of: turn, now: now()) }
            if !lines.isEmpty { return lines }
        }
        return nil
    }

    var events: (any APIEvents)? { self }

    func nextEvents() async throws -> [WatchEvent]? {
        while let turn = await turn() {
            let events = try state.withLock { try $0.machine.events(of: turn, now: now()) }
            if !events.isEmpty { return events }
        }
        return nil
    }

    /// What is next to be told, which may be nothing for this reader; nil at the end.
    private func turn() async -> WatchMachine.Turn? {
        let initial = state.withLock { state in
            let initial = state.initial
            state.initial = nil
            return initial
        }
        if let initial { return initial }
        let (isOver, bookmark) = state.withLock { ($0.isOver, $0.nextBookmark) }
        if isOver || Task.isCancelled { return nil }
        do throws(Problem) {
            return after(try await cursor.next(until: min(deadline, bookmark ?? deadline)))
        } catch {
            state.withLock { $0.isOver = true }
            return .failed(error)
        }
    }

    /// The turn of a batch, or of the time that passed without any.
    private func after(_ batch: EventBatch?) -> WatchMachine.Turn {
        let instant = ContinuousClock.now
        let bookmark = state.withLock { state -> UInt64? in
            if instant >= deadline { state.isOver = true }
            guard let due = state.nextBookmark, instant >= due || state.isOver else { return nil }
            state.nextBookmark = bookmarkInterval.map { instant + $0 }
            return cursor.revision
        }
        return .went(batch, bookmark: bookmark)
    }
}
