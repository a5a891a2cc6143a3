// How a consumer without a connection comes and goes, and so for how long its silence means nothing.

/// The visits of one consumer that polls.
///
/// One that is taken for gone too early may still call an address whose pod then stops, and loses a call. One that is
/// taken for gone too late makes a leaving pod wait, and never for longer than its grace period. So all doubt is in
/// favour of its coming back: of its last pauses the longest counts, and until there are enough of them a usual one is
/// assumed beside them, since a client that asks twice in a row has not become a faster one.
struct Visits: Sendable {
    /// Pauses that are remembered, and as many as make a habit.
    static let remembered = 3
    /// A consumer that has missed so many of its own pauses has stopped.
    static let missedPauses = 3
    /// However often a consumer comes, a garbage collection, a busy machine or a retry may keep it away for this long.
    static let shortestPatience: Duration = .seconds(10)
    static let longestPatience: Duration = .seconds(90)

    private(set) var last: ContinuousClock.Instant
    private var pauses: [Duration] = []
    private let isDeclared: Bool

    /// `isDeclared`: it says of itself that it is a client that will come again.
    init(first: ContinuousClock.Instant, isDeclared: Bool = false) {
        last = first
        self.isDeclared = isDeclared
    }

    mutating func came(at now: ContinuousClock.Instant) {
        pauses = (pauses + [last.duration(to: now)]).suffix(Self.remembered)
        last = now
    }

    /// Whether it is a consumer: anybody may ask once; who comes again, or says that it will, uses what it was told.
    var isRegular: Bool { isDeclared || !pauses.isEmpty }

    /// Whether it has stopped. `usual` is the pause of a client of its kind.
    func hasStopped(now: ContinuousClock.Instant, usual: Duration) -> Bool { last.duration(to: now) > patience(usual) }

    private func patience(_ usual: Duration) -> Duration {
        guard let longest = pauses.max() else { return Self.longestPatience }
        let pause = pauses.count < Self.remembered ? max(longest, usual) : longest
        return min(max(pause * Self.missedPauses, Self.shortestPatience), Self.longestPatience)
    }
}
