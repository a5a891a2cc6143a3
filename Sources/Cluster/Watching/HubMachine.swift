// Who waits for which keys and until when: decides whom a commit, or the time, wakes.

import Storage

/// Cursors that have read everything and wait. `Waker` is whatever the shell wakes a cursor by.
///
/// A wake carries the revision up to which nothing was there for that cursor, so that one that slept long does not
/// count as having fallen behind. Where many follow the same prefix, they are not woken more often than every
/// `gathering`: what is committed meanwhile is handed out together.
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
        /// Nothing was there for it up to this revision, as far as anybody has looked.
        var seen: UInt64
    }

    /// The cursors of one prefix, waiting or not.
    private struct Following: Sendable {
        var open = 0
        var waiting: Set<UInt64> = []
        /// When a crowd may be woken again; nil for those that have never been woken as one.
        var rested: Instant?
        /// How many of the crowd have to be back before its rest begins.
        var awaited = 0
        /// Whether there may be something for those who wait.
        var isPending = false
    }

    private let limits: WatchLimits
    /// The last revision that was announced.
    private(set) var revision: UInt64
    private(set) var isClosed = false
    private var waiters: [UInt64: Waiter] = [:]
    /// Thousands of watches share a few dozen prefixes.
    private var byPrefix: [String: Following] = [:]
    /// Those of them that do not end at a slash.
    private var odd: Set<String> = []
    private var pending: Set<String> = []
    /// No deadline is before this; it may be of a cursor that has long been woken.
    private var earliestDeadline: Instant?
    /// What the shell has been told to wake up at.
    private var alarm: Instant?
    private var alive = 0
    private var numbers: UInt64 = 0

    init(revision: UInt64, limits: WatchLimits = .init()) {
        self.revision = revision
        self.limits = limits
    }

    var waiting: Int { waiters.count }

    // MARK: Cursors

    /// A number for a cursor; nil over the limit.
    mutating func cursorOpened(prefix: String) -> UInt64? {
        guard alive < limits.cursors else { return nil }
        alive += 1
        numbers += 1
        byPrefix[prefix, default: Following()].open += 1
        if !prefix.hasSuffix("/") { odd.insert(prefix) }
        return numbers
    }

    mutating func cursorClosed(prefix: String) {
        alive -= 1
        byPrefix[prefix]?.open -= 1
        forget(prefix)
    }

    /// A cursor has read up to `seen` and found nothing. Returns a wake if there may be something by now.
    mutating func cursorWaited(
        _ cursor: UInt64, prefix: String, seen: UInt64, until deadline: Instant? = nil, waker: Waker, at now: Instant
    ) -> Wake? {
        cameBack(prefix, at: now)
        let mayHaveMore = revision > seen
        let rest = mayHaveMore ? restOfCrowd(byPrefix[prefix], at: now) : nil
        if isClosed || (mayHaveMore && rest == nil) { return Wake(waker: waker, nothingUpTo: seen) }
        waiters[cursor] = Waiter(prefix: prefix, deadline: deadline, waker: waker, seen: seen)
        byPrefix[prefix, default: Following()].waiting.insert(cursor)
        if let deadline { expect(deadline) }
        if let rest { gather(prefix, until: rest) }
        return nil
    }

    /// A crowd rests from when most of it has handed out what it was woken for: from its wake on, the next one would
    /// find it still at work, and writers with it.
    private mutating func cameBack(_ prefix: String, at now: Instant) {
        guard let awaited = byPrefix[prefix]?.awaited, awaited > 0 else { return }
        byPrefix[prefix]?.awaited = awaited - 1
        guard awaited == 1 else { return }
        let rested = min(byPrefix[prefix]?.rested ?? now, now + limits.gathering)
        byPrefix[prefix]?.rested = rested
        if byPrefix[prefix]?.isPending == true { expect(rested) }
    }

    /// Until when the cursors of a prefix have to rest; nil when they may be woken.
    private func restOfCrowd(_ following: Following?, at now: Instant) -> Instant? {
        guard let following, following.open >= limits.crowd, let rested = following.rested, now < rested else {
            return nil
        }
        return rested
    }

    private mutating func gather(_ prefix: String, until instant: Instant) {
        byPrefix[prefix]?.isPending = true
        pending.insert(prefix)
        expect(instant)
    }

    private mutating func expect(_ instant: Instant) {
        earliestDeadline = min(earliestDeadline ?? instant, instant)
    }

    /// The task of a cursor was cancelled.
    mutating func waitCancelled(_ cursor: UInt64) -> Wake? { wake(cursor) }

    // MARK: Time

    /// When `timePassed` is to be called, if that is earlier than what was asked for before.
    mutating func takeAlarm() -> Instant? {
        guard let earliestDeadline, alarm.map({ earliestDeadline < $0 }) ?? true else { return nil }
        alarm = earliestDeadline
        return earliestDeadline
    }

    /// Wakes those whose deadline has come, and crowds that have rested.
    mutating func timePassed(_ now: Instant) -> [Wake] {
        // The shell's clock may run a little behind this one; an alarm for later than that is still to come.
        if let alarm, alarm <= now + .milliseconds(5) { self.alarm = nil }
        guard let earliest = earliestDeadline, earliest <= now else { return [] }
        earliestDeadline = nil
        var wakes: [Wake] = []
        for prefix in pending {
            if let rest = restOfCrowd(byPrefix[prefix], at: now) {
                expect(rest)
            } else {
                wakes += wakeAll(prefix, at: now)
            }
        }
        var due: [UInt64] = []
        for (cursor, waiter) in waiters {
            guard let deadline = waiter.deadline else { continue }
            if deadline <= now { due.append(cursor) } else { expect(deadline) }
        }
        return wakes + due.compactMap { wake($0) }
    }

    // MARK: Commits

    /// A commit became visible.
    mutating func committed(_ events: [StoreEvent], at now: Instant) -> [Wake] {
        guard let first = events.first, let last = events.last else { return [] }
        revision = max(revision, last.revision)
        var wakes: [Wake] = []
        for prefix in followed(of: events) {
            guard let following = byPrefix[prefix], !following.waiting.isEmpty, !following.isPending else { continue }
            for cursor in following.waiting { waiters[cursor]?.seen = first.revision - 1 }
            if let rest = restOfCrowd(following, at: now) {
                gather(prefix, until: rest)
            } else {
                wakes += wakeAll(prefix, at: now)
            }
        }
        return wakes
    }

    /// The followed prefixes that keys of these events begin with. Nearly all prefixes end at a slash: those are looked
    /// up, once for a run of events beside each other, instead of being compared one by one.
    private func followed(of events: [StoreEvent]) -> Set<String> {
        var found: Set<String> = []
        var place: Substring?
        for event in events {
            if !odd.isEmpty { found.formUnion(odd.filter { event.key.hasPrefix($0) }) }
            let key = event.key
            let directory = key[..<(key.utf8.lastIndex(of: UInt8(ascii: "/")) ?? key.startIndex)]
            if directory == place { continue }
            place = directory
            for (index, byte) in zip(key.utf8.indices, key.utf8) where byte == UInt8(ascii: "/") {
                let prefix = String(key[...index])
                if byPrefix[prefix] != nil { found.insert(prefix) }
            }
        }
        return found
    }

    private mutating func wakeAll(_ prefix: String, at now: Instant) -> [Wake] {
        let waiting = byPrefix[prefix]?.waiting ?? []
        let seen = waiting.compactMap { cursor in
            waiters.removeValue(forKey: cursor).map { Wake(waker: $0.waker, nothingUpTo: $0.seen) }
        }
        let rested = now + limits.round
        byPrefix[prefix]?.awaited = seen.count - seen.count / 4
        byPrefix[prefix]?.waiting = []
        byPrefix[prefix]?.isPending = false
        byPrefix[prefix]?.rested = rested
        pending.remove(prefix)
        forget(prefix)
        return seen
    }

    /// The program stops: every cursor wakes and none waits again.
    mutating func closed() -> [Wake] {
        isClosed = true
        return waiters.keys.compactMap { wake($0) }
    }

    /// Wakes one cursor, with all that is known not to have been for it.
    private mutating func wake(_ cursor: UInt64) -> Wake? {
        guard let waiter = waiters.removeValue(forKey: cursor) else { return nil }
        let isPending = byPrefix[waiter.prefix]?.isPending == true
        byPrefix[waiter.prefix]?.waiting.remove(cursor)
        forget(waiter.prefix)
        return Wake(waker: waiter.waker, nothingUpTo: isPending ? waiter.seen : revision)
    }

    /// Lets go of a prefix that nobody follows any more.
    private mutating func forget(_ prefix: String) {
        guard let following = byPrefix[prefix], following.open <= 0, following.waiting.isEmpty else { return }
        byPrefix[prefix] = nil
        pending.remove(prefix)
        odd.remove(prefix)
    }
}
