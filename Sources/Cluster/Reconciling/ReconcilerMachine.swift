// Decides which key is reconciled when: each at most once at a time, failures with growing delay.

/// Keys that are ready, waiting for a time, or being reconciled. Time is a parameter; the shell owns the clock.
///
/// A key that is added while it is being reconciled is reconciled once more afterwards. Adding many times is adding once.
struct ReconcilerMachine<Key: Hashable & Sendable>: Sendable {
    typealias Instant = ContinuousClock.Instant

    static var firstRetry: Duration { .milliseconds(20) }
    static var longestRetry: Duration { .seconds(30) }

    private var ready: [Key] = []
    private var readyHead = 0
    private var queued: Set<Key> = []
    private var running: Set<Key> = []
    private var again: Set<Key> = []
    private var later: [Key: Instant] = [:]
    private var failures: [Key: Int] = [:]

    /// Keys that wait to be taken, whether now or at a time.
    var depth: Int { ready.count - readyHead + later.count }

    /// The time at which the next delayed key becomes ready.
    var nextDeadline: Instant? { later.values.min() }

    mutating func added(_ key: Key) {
        later[key] = nil
        if running.contains(key) {
            again.insert(key)
        } else if queued.insert(key).inserted {
            ready.append(key)
        }
    }

    /// Ready at `time`; an earlier time or readiness that it already has stands.
    mutating func added(_ key: Key, at time: Instant) {
        if queued.contains(key) || again.contains(key) { return }
        if let planned = later[key], planned <= time { return }
        later[key] = time
    }

    /// The next key to reconcile; the caller says `finished` or `failed` for it later.
    mutating func taken(now: Instant) -> Key? {
        promote(now: now)
        guard readyHead < ready.count else { return nil }
        let key = ready[readyHead]
        readyHead += 1
        if readyHead > 64, readyHead * 2 > ready.count {
            ready.removeFirst(readyHead)
            readyHead = 0
        }
        queued.remove(key)
        running.insert(key)
        return key
    }

    /// The reconcile went well.
    mutating func finished(_ key: Key) {
        failures[key] = nil
        ended(key)
    }

    /// The reconcile failed; answers when it is tried again. `jitter` is 0...1.
    @discardableResult
    mutating func failed(_ key: Key, now: Instant, jitter: Double) -> Duration {
        let count = failures[key, default: 0]
        failures[key] = count + 1
        var delay = Self.firstRetry
        for _ in 0..<min(count, 20) { delay = min(delay * 2, Self.longestRetry) }
        delay += delay * (jitter * 0.1)
        ended(key)
        added(key, at: now + delay)
        return delay
    }

    private mutating func ended(_ key: Key) {
        running.remove(key)
        if again.remove(key) != nil { added(key) }
    }

    private mutating func promote(now: Instant) {
        if later.isEmpty { return }
        for (key, time) in later where time <= now { added(key) }
    }
}
