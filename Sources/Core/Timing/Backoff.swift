// How long to wait before the next try, growing with each failure.

/// Exponential delays up to a limit. Randomness is the caller's: it passes the jitter.
package struct Backoff: Sendable, Hashable {
    package var initial: Duration
    package var factor: Double
    package var limit: Duration
    /// The largest part of a delay that jitter may add; 0.5 means up to half as much again.
    package var jitter: Double

    package init(initial: Duration, factor: Double = 2, limit: Duration, jitter: Double = 0) {
        self.initial = initial
        self.factor = factor
        self.limit = limit
        self.jitter = jitter
    }

    /// The delay after this many failures in a row, the first being 1. `random` in 0..<1 picks the jitter. Jitter may
    /// pass the limit: it is there to spread callers that all reached it.
    package func delay(afterFailures failures: Int, random: Double = 0) -> Duration {
        guard failures > 0 else { return .zero }
        var delay = initial
        for _ in 1..<failures {
            if delay >= limit { break }
            delay = delay * factor
        }
        if delay > limit { delay = limit }
        return delay + delay * (jitter * random)
    }
}
