// Watches: hands every committed event to everyone who follows its prefix, in order and without gaps.

import Objects
import Storage
import Synchronization

/// How many watches there may be and how much each is handed at once.
package struct WatchLimits: Sendable {
    /// Cursors alive at one time.
    package var cursors = 10_000
    /// Events in one batch.
    package var batchEvents = 256
    /// Bytes of values in one batch; one event always fits.
    package var batchBytes = 1 << 20
    /// Batches that are kept for others who stand at the same place.
    package var sharedBatches = 16
    /// From so many cursors of one prefix on, these are woken together and not for each commit by itself.
    package var crowd = 64
    /// How long the cursors of such a prefix wait at least between two wakes; the first event after a rest wakes them
    /// at once. A write for a thousand watches costs them a thousand sends, whether it brings one event or twenty.
    package var gathering: Duration = .milliseconds(50)
    /// After this time they are woken again even if many of them are still at work.
    package var round: Duration = .seconds(1)

    package init() {}
}

/// Where watches begin.
///
/// There is one ring of events for all, the store's history; a watch is a place in it. Writers never wait for a
/// watch: one that falls off the ring is cut with `Expired` (410) and has to list again.
package final class Hub: Sendable {
    private let source: BatchSource
    private let limits: WatchLimits
    private let waiters: Waiters

    package init(store: Store, limits: WatchLimits = .init()) {
        source = BatchSource(store: store, limits: limits)
        self.limits = limits
        let waiters = Waiters(revision: store.revision, limits: limits)
        self.waiters = waiters
        store.onCommit { waiters.committed($0) }
    }

    /// Follows the keys of a prefix from a revision: the first event is the first one after it.
    ///
    /// Throws `Expired` when events after that revision are no longer remembered, `TooManyRequests` over the limit of
    /// cursors.
    package func watch(prefix: String, from revision: UInt64) throws(Problem) -> Cursor {
        try source.check(revision)
        guard let number = waiters.cursorOpened(prefix: prefix) else {
            throw Problem(.tooManyRequests, "\(limits.cursors) watches are open: close some")
        }
        return Cursor(number: number, prefix: prefix, revision: revision, source: source, waiters: waiters)
    }

    /// How many watches have handed out everything and wait.
    package var waiting: Int { waiters.waiting }

    /// Ends all watches, waiting or not: their `next` throws `ServiceUnavailable`.
    package func close() { waiters.close() }
}

/// A place in the stream of events of one prefix.
package final class Cursor: Sendable {
    private let number: UInt64
    private let prefix: String
    private let source: BatchSource
    private let waiters: Waiters
    private let position: Mutex<Position>

    private struct Position {
        var revision: UInt64
        /// Whether there may be events to read at once; false after a batch that reached the end.
        var isBehind = true
    }

    fileprivate init(number: UInt64, prefix: String, revision: UInt64, source: BatchSource, waiters: Waiters) {
        self.number = number
        self.prefix = prefix
        self.source = source
        self.waiters = waiters
        position = Mutex(Position(revision: revision))
    }

    deinit { waiters.cursorClosed(prefix: prefix) }

    /// Everything of the prefix up to this revision has been handed out: what a bookmark says.
    package var revision: UInt64 { position.withLock { $0.revision } }

    /// The next events, waiting until there are some or the deadline has come. One task at a time.
    ///
    /// Returns nil only when the deadline came first or the task was cancelled; the cursor is good for another call
    /// then. Throws `Expired` when the caller was so slow that events it has not seen are forgotten.
    package func next(until deadline: ContinuousClock.Instant? = nil) async throws(Problem) -> EventBatch? {
        while true {
            if waiters.isClosed { throw Problem(.serviceUnavailable, "the server is shutting down") }
            let place = position.withLock { $0 }
            if place.isBehind {
                let batch = try source.batch(of: prefix, after: place.revision)
                position.withLock { $0 = Position(revision: batch.upTo, isBehind: batch.isCut) }
                if !batch.events.isEmpty { return batch }
                if Task.isCancelled { return nil }
                if let deadline, ContinuousClock.now >= deadline { return nil }
            }
            let nothingUpTo = await waiters.wait(number, prefix: prefix, seen: revision, until: deadline)
            position.withLock { $0 = Position(revision: max($0.revision, nothingUpTo)) }
        }
    }
}

/// Reads the store's history in batches, each once for all who stand at the same place.
private final class BatchSource: Sendable {
    private let store: Store
    private let limits: WatchLimits
    private let recent: Mutex<RecentBatches>

    init(store: Store, limits: WatchLimits) {
        self.store = store
        self.limits = limits
        recent = Mutex(RecentBatches(limit: limits.sharedBatches))
    }

    /// Throws when a watch cannot start from a revision.
    func check(_ revision: UInt64) throws(Problem) { _ = try store.events(after: revision, prefix: "", limit: 0) }

    func batch(of prefix: String, after revision: UInt64) throws(Problem) -> EventBatch {
        // A batch that is kept does not keep a watch alive that fell off the ring: the ring's end decides for all
        // alike.
        if let batch = recent.withLock({ $0.batch(of: prefix, after: revision) }), revision >= store.oldestRevision {
            return batch
        }
        var (events, upTo) = try store.events(after: revision, prefix: prefix, limit: limits.batchEvents)
        if events.isEmpty { return EventBatch(events: [], upTo: upTo) }
        var isCut = events.count >= limits.batchEvents
        var bytes = 0
        if let end = events.firstIndex(where: {
            bytes += $0.record.bytes.count
            return bytes > limits.batchBytes
        }) {
            events.removeSubrange(max(end, 1)...)
            upTo = events.last?.revision ?? upTo
            isCut = true
        }
        let batch = EventBatch(events: events, upTo: upTo, isCut: isCut)
        return recent.withLock { $0.keep(batch, of: prefix, after: revision) }
    }
}
