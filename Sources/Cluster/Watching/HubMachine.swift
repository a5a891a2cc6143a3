// Who waits for which keys and until when: decides whom a commit, or the time, wakes.

import Storage

/// Cursors that have read everything and wait. `Waker` is whatever the shell wakes a cursor by.
///
/// A wake carries the revision up to which nothing was there for that cursor, so that one that slept long does not
/// count as having fallen behind.
struct HubMachine<Waker: Sendable>: Sendable {
    typealias Instant = ContinuousClock.Instant

    struct Wake: Sendable {
        let waker: Waker
        let nothingUpTo: UInt64
    }

    private struct Waiter: Sendable {
        let prefix: String
        let deadline: Instant?
        let waker: Waker
    }

    /// The last revision that was announced.
    private(set) var revision: UInt64
    private(set) var isClosed = false
    private var waiters: [UInt64: Waiter] = [:]
    /// Thousands of watches share a few dozen prefixes.
    private var byPrefix: [String: Set<UInt64>] = [:]
    /// No deadline is before this; it may be of a cursor that has long been woken.
    private var earliestDeadline: Instant?
    /// What the shell has been told to wake up at.
    private var alarm: Instant?

    init(revision: UInt64) { self.revision = revision }

    var waiting: Int { waiters.count }

    /// A cursor has read up to `seen` and found nothing. Returns a wake if there may be something by now.
    mutating func cursorWaited(
        _ cursor: UInt64, prefix: String, seen: UInt64, until deadline: Instant? = nil, waker: Waker
    ) -> Wake? {
        if isClosed || revision > seen { return Wake(waker: waker, nothingUpTo: seen) }
        waiters[cursor] = Waiter(prefix: prefix, deadline: deadline, waker: waker)
        byPrefix[prefix, default: []].insert(cursor)
        if let deadline { earliestDeadline = min(earliestDeadline ?? deadline, deadline) }
        return nil
    }

    /// When `timePassed` is to be called, if that is earlier than what was asked for before.
    mutating func takeAlarm() -> Instant? {
        guard let earliestDeadline, alarm.map({ earliestDeadline < $0 }) ?? true else { return nil }
        alarm = earliestDeadline
        return earliestDeadline
    }

    /// Wakes those whose deadline has come.
    mutating func timePassed(_ now: Instant) -> [Wake] {
        // The shell's clock may run a little behind this one; an alarm for later than that is still to come.
        if let alarm, alarm <= now + .milliseconds(5) { self.alarm = nil }
        guard let earliest = earliestDeadline, earliest <= now else { return [] }
        var due: [UInt64] = []
        earliestDeadline = nil
        for (cursor, waiter) in waiters {
            guard let deadline = waiter.deadline else { continue }
            if deadline <= now {
                due.append(cursor)
            } else {
                earliestDeadline = min(earliestDeadline ?? deadline, deadline)
            }
        }
        return due.compactMap { wake($0, nothingUpTo: revision) }
    }

    /// The task of a cursor was cancelled.
    mutating func waitCancelled(_ cursor: UInt64) -> Wake? { wake(cursor, nothingUpTo: revision) }

    /// A commit became visible.
    mutating func committed(_ events: [StoreEvent]) -> [Wake] {
        guard let first = events.first, let last = events.last else { return [] }
        revision = max(revision, last.revision)
        var wakes: [Wake] = []
        for (prefix, cursors) in byPrefix where events.contains(where: { $0.key.hasPrefix(prefix) }) {
            for cursor in cursors {
                if let wake = wake(cursor, nothingUpTo: first.revision - 1) { wakes.append(wake) }
            }
        }
        return wakes
    }

    /// The program stops: every cursor wakes and none waits again.
    mutating func closed() -> [Wake] {
        isClosed = true
        return waiters.keys.compactMap { wake($0, nothingUpTo: revision) }
    }

    private mutating func wake(_ cursor: UInt64, nothingUpTo: UInt64) -> Wake? {
        guard let waiter = waiters.removeValue(forKey: cursor) else { return nil }
        byPrefix[waiter.prefix]?.remove(cursor)
        if byPrefix[waiter.prefix]?.isEmpty == true { byPrefix[waiter.prefix] = nil }
        return Wake(waker: waiter.waker, nothingUpTo: nothingUpTo)
    }
}
