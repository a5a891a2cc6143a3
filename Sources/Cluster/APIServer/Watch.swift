// Watches: where they begin, and the stream of lines that each is.

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
        var machine = WatchMachine(served: call.served, options: options, presentation: presentation)
        let prefix = ObjectRecords.prefix(call.resource, namespace: call.namespace)
        let revision = options.revision ?? 0
        let wantsState = options.sendsInitialEvents ?? (revision == 0)
        var initial: [UInt8] = []
        var start = revision
        let now = environment.now()
        if wantsState {
            // A state that has not happened yet cannot be shown; the hub says so in the same words as for a watch from
            // there.
            if revision > records.store.revision { _ = try hub.watch(prefix: prefix, from: revision) }
            let page = try records.store.page(prefix: prefix)
            start = page.revision
            for record in page.records {
                if let line = try machine.found(record, now: now) { initial.append(contentsOf: line) }
            }
            if options.sendsInitialEvents == true, options.allowsBookmarks {
                initial.append(contentsOf: try machine.bookmark(start, endsInitialEvents: true, now: now))
            }
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
        var chunks: any APIChunks = stream
        if let kind = call.served.custom { chunks = ServingChunks(chunks: stream, kind: kind) }
        return .stream(chunks, contentType: presentation.contentType + (isProtobuf ? ";stream=watch" : ""))
    }
}

/// The lines of one watch, until its time is over, its cursor falls off the ring, or its reader cancels.
final class WatchChunks: APIChunks {
    private struct State {
        var machine: WatchMachine
        var initial: [UInt8]
        var nextBookmark: ContinuousClock.Instant?
        var isOver = false
    }

    private let cursor: Cursor
    private let deadline: ContinuousClock.Instant
    private let bookmarkInterval: Duration?
    private let now: @Sendable () -> Timestamp
    private let state: Mutex<State>

    init(
        cursor: Cursor, machine: WatchMachine, initial: [UInt8], seconds: Int, bookmarkSeconds: Int?,
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
        let initial = state.withLock { state in
            let initial = state.initial
            state.initial = []
            return initial
        }
        if !initial.isEmpty { return initial }
        while !Task.isCancelled {
            let (isOver, bookmark) = state.withLock { ($0.isOver, $0.nextBookmark) }
            if isOver { return nil }
            do {
                let batch = try await cursor.next(until: min(deadline, bookmark ?? deadline))
                if let lines = try take(batch) { return lines }
            } catch let problem as Problem {
                return try state.withLock { state in
                    state.isOver = true
                    return try state.machine.failure(problem)
                }
            }
        }
        return nil
    }

    /// What the events, or the time that passed without any, are to the reader; nil when they are nothing.
    private func take(_ batch: EventBatch?) throws -> [UInt8]? {
        let moment = now()
        let instant = ContinuousClock.now
        return try state.withLock { state in
            var lines = try batch.map { try state.machine.lines(of: $0, now: moment) } ?? []
            let isOver = instant >= deadline
            if let due = state.nextBookmark, instant >= due || isOver {
                lines += try state.machine.bookmark(cursor.revision, endsInitialEvents: false, now: moment)
                state.nextBookmark = bookmarkInterval.map { instant + $0 }
            }
            if isOver { state.isOver = true }
            return lines.isEmpty ? nil : lines
        }
    }
}
