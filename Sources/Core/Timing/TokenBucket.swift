// Limits a rate: tokens come steadily, each deed takes one.

/// A bucket of tokens. Time is a parameter: the span since a fixed moment that the shell chose, never going back.
package struct TokenBucket: Sendable {
    package let capacity: Double
    package let tokensPerSecond: Double
    private var tokens: Double
    private var filledAt: Duration

    /// A full bucket.
    package init(capacity: Int, tokensPerSecond: Double, now: Duration) {
        self.capacity = Double(capacity)
        self.tokensPerSecond = tokensPerSecond
        tokens = Double(capacity)
        filledAt = now
    }

    /// Takes a token if there is one.
    package mutating func take(now: Duration) -> Bool {
        fill(now: now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// Takes a token that may still have to come and returns how long to wait for it. Callers queue up one behind the
    /// other.
    package mutating func reserve(now: Duration) -> Duration {
        fill(now: now)
        tokens -= 1
        return tokens >= 0 ? .zero : .seconds(-tokens / tokensPerSecond)
    }

    private mutating func fill(now: Duration) {
        guard now > filledAt else { return }
        tokens = min(capacity, tokens + (now - filledAt) / .seconds(1) * tokensPerSecond)
        filledAt = now
    }
}
