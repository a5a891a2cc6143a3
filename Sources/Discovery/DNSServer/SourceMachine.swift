// Keeps one client from taking what is there for all: limits by address.

import Timing

/// How much each source may ask of other servers. What the zone knows costs no more than a refusal and is not counted.
struct SourceMachine: Sendable {
    /// Questions of one source that wait for upstream at once.
    static let waitingLimit = 128
    /// Questions of one source that go upstream: this many at once, and this many a second.
    static let burstLimit = 1000
    static let perSecond = 500.0
    /// Sources remembered. When there are more, those that wait for nothing are forgotten.
    static let sourceLimit = 4096

    private struct Source: Sendable {
        var waiting = 0
        var bucket: TokenBucket
    }

    private var sources: [IPAddress: Source] = [:]
    private(set) var refusals: UInt64 = 0

    var count: Int { sources.count }

    /// Whether a source may put one more question; then `answered` must follow.
    mutating func asked(_ address: IPAddress, now: Int64) -> Bool {
        let key = Self.network(of: address)
        if sources[key] == nil, sources.count >= Self.sourceLimit {
            sources = sources.filter { $0.value.waiting > 0 }
        }
        let time = Duration.milliseconds(now)
        var source =
            sources[key]
            ?? Source(
                bucket: TokenBucket(capacity: Self.burstLimit, tokensPerSecond: Self.perSecond, now: time))
        guard sources.count < Self.sourceLimit || sources[key] != nil, source.waiting < Self.waitingLimit,
            source.bucket.take(now: time)
        else {
            refusals += 1
            return false
        }
        source.waiting += 1
        sources[key] = source
        return true
    }

    mutating func answered(_ address: IPAddress) {
        let key = Self.network(of: address)
        if let waiting = sources[key]?.waiting, waiting > 0 { sources[key]?.waiting = waiting - 1 }
    }

    /// Whoever has one IPv6 address has the 2⁶⁴ beside it too.
    private static func network(of address: IPAddress) -> IPAddress {
        switch address {
        case .v4: address
        case .v6(let high, _): .v6(high: high, low: 0)
        }
    }
}
