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

    package init() {}
}

/// Where watches begin.
///
/// There is one ring of events for all, the store's history; a watch is a place in it. Writers never wait for a
/// watch: one that falls off the ring is cut with `Expired` (410) and has to list again.
package final class Hub: Sendable {
    private let store: Store
    private let limits: WatchLimits
    private let waiters: Waiters

    package init(store: Store, limits: WatchLimits = .init()) {
        self.store = store
        self.limits = limits
        let waiters = Waiters(revision: store.revision)
        self.waiters = waiters
        store.onCommit { waiters.committed($0) }
    }

    /// Follows the keys of a prefix from a revision: the first event is the first one after it.
    ///
    /// Throws `Expired` when events after that revision are no longer remembered, `TooManyRequests` over the limit of
    /// cursors.
    package func watch(prefix: String, from revision: UInt64) throws(Problem) -> Cursor {
        _ = try store.events(after: revision, prefix: prefix, limit: 0)
        guard let number = waiters.cursorOpened(limit: limits.cursors) else {
            throw Problem(.tooManyRequests, "\(limits.cursors) watches are open: close some")
        }
        return Cursor(
            number: number, prefix: prefix, revision: revision, store: store, waiters: waiters,
            batchEvents: limits.batchEvents)
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
    private let store: Store
    private let waiters: Waiters
    private let batchEvents: Int
    private let position: Mutex<UInt64>

    fileprivate init(
        number: UInt64, prefix: String, revision: UInt64, store: Store, waiters: Waiters, batchEvents: Int
    ) {
        self.number = number
        self.prefix = prefix
        self.store = store
        self.waiters = waiters
        self.batchEvents = batchEvents
        position = Mutex(revision)
    }

    deinit { waiters.cursorClosed() }

    /// Everything of the prefix up to this revision has been handed out: what a bookmark says.
    package var revision: UInt64 { position.withLock { $0 } }

    /// The next events, waiting until there are some. One task at a time.
    ///
    /// Returns none only when the task was cancelled; the cursor is good for another call then. Throws `Expired` when
    /// the caller was so slow that events it has not seen are forgotten.
    package func next() async throws(Problem) -> [StoreEvent] {
        while true {
            if waiters.isClosed { throw Problem(.serviceUnavailable, "the server is shutting down") }
            let start = revision
            let (events, upTo) = try store.events(after: start, prefix: prefix, limit: batchEvents)
            position.withLock { $0 = upTo }
            if !events.isEmpty { return events }
            if Task.isCancelled { return [] }
            let nothingUpTo = await waiters.wait(number, prefix: prefix, seen: upTo)
            position.withLock { $0 = max($0, nothingUpTo) }
        }
    }
}

/// The waiting cursors of a hub; apart from it, so that the store does not hold the hub that holds the store.
private final class Waiters: Sendable {
    private typealias Machine = HubMachine<CheckedContinuation<UInt64, Never>>

    private let machine: Mutex<Machine>
    private let cursors = Mutex<(alive: Int, numbers: UInt64)>((0, 0))

    init(revision: UInt64) { machine = Mutex(Machine(revision: revision)) }

    var waiting: Int { machine.withLock { $0.waiting } }
    var isClosed: Bool { machine.withLock { $0.isClosed } }

    func cursorOpened(limit: Int) -> UInt64? {
        cursors.withLock { cursors in
            guard cursors.alive < limit else { return nil }
            cursors.alive += 1
            cursors.numbers += 1
            return cursors.numbers
        }
    }

    func cursorClosed() { cursors.withLock { $0.alive -= 1 } }

    func wait(_ cursor: UInt64, prefix: String, seen: UInt64) async -> UInt64 {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waker in
                let wake = machine.withLock { machine in
                    // A cancellation from before this moment found nobody waiting; one from now on will.
                    Task.isCancelled
                        ? Machine.Wake(waker: waker, nothingUpTo: seen)
                        : machine.cursorWaited(cursor, prefix: prefix, seen: seen, waker: waker)
                }
                resume(wake)
            }
        } onCancel: {
            resume(machine.withLock { $0.waitCancelled(cursor) })
        }
    }

    func committed(_ events: [StoreEvent]) {
        for wake in machine.withLock({ $0.committed(events) }) { resume(wake) }
    }

    func close() {
        for wake in machine.withLock({ $0.closed() }) { resume(wake) }
    }

    private func resume(_ wake: Machine.Wake?) {
        guard let wake else { return }
        wake.waker.resume(returning: wake.nothingUpTo)
    }
}
