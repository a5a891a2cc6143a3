// Which upstream server is asked, in which order, by how they answered lately.

/// The health of the upstream servers. They are asked in the order given; one that failed twice in a row waits behind
/// the others, for longer each time, and is back with its first answer.
struct UpstreamMachine: Sendable {
    static let failureLimit = 2
    static let firstRestMilliseconds: Int64 = 1000
    static let restLimitMilliseconds: Int64 = 30_000
    /// Questions put for one query in all: three servers once, or one three times.
    static let attemptLimit = 3

    struct Health: Sendable {
        var failures = 0
        var restsUntil: Int64 = 0
        /// It does not understand EDNS0 (RFC 6891, section 6.2.2).
        var isPlain = false
        var answers: UInt64 = 0
        var faults: UInt64 = 0
        var seconds: Double = 0
    }

    private(set) var health: [Health]

    init(count: Int) { health = [Health](repeating: Health(), count: count) }

    func isDown(_ index: Int, now: Int64) -> Bool { health[index].restsUntil > now }

    /// The servers to ask, one after another.
    func plan(now: Int64) -> [Int] {
        guard !health.isEmpty else { return [] }
        let order = health.indices.filter { !isDown($0, now: now) } + health.indices.filter { isDown($0, now: now) }
        return (0..<Self.attemptLimit).map { order[$0 % order.count] }
    }

    mutating func answered(_ index: Int, afterSeconds seconds: Double) {
        health[index].failures = 0
        health[index].restsUntil = 0
        health[index].answers += 1
        health[index].seconds += seconds
    }

    mutating func failed(_ index: Int, now: Int64) {
        health[index].faults += 1
        health[index].failures += 1
        let over = health[index].failures - Self.failureLimit
        guard over >= 0 else { return }
        let rest = Self.firstRestMilliseconds << min(Int64(over), 10)
        health[index].restsUntil = now + min(rest, Self.restLimitMilliseconds)
    }

    mutating func spokePlainly(_ index: Int) { health[index].isPlain = true }
}
