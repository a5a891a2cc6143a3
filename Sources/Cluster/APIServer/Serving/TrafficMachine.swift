// Requests under way and requests answered: the limits of the first, the numbers of both; pure.

/// Counts requests. Labels come from what is served, so their number is bounded by resources, verbs and codes.
struct TrafficMachine: Sendable {
    /// Upper bounds of durations in seconds (upstream: endpoints/metrics).
    static let bounds: [Double] = [
        0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
    ]

    struct Histogram: Sendable {
        /// One for each bound and one for what is above them all.
        var buckets = [UInt64](repeating: 0, count: TrafficMachine.bounds.count + 1)
        var sum = 0.0

        var count: UInt64 { buckets.reduce(0, +) }

        mutating func observe(_ seconds: Double) {
            buckets[TrafficMachine.bounds.firstIndex { seconds <= $0 } ?? TrafficMachine.bounds.count] += 1
            sum += seconds
        }
    }

    struct Answer: Sendable, Hashable {
        var request: RequestSummary
        var code: Int
    }

    private(set) var readOnlyInFlight = 0
    private(set) var mutatingInFlight = 0
    private(set) var answers: [Answer: UInt64] = [:]
    private(set) var durations: [RequestSummary: Histogram] = [:]
    private(set) var streams: [RequestSummary: Int] = [:]

    /// Whether there is room for one more; if so it counts until it has left.
    mutating func arrived(isMutating: Bool, _ limits: APILimits) -> Bool {
        if isMutating {
            guard mutatingInFlight < limits.mutatingInFlight else { return false }
            mutatingInFlight += 1
        } else {
            guard readOnlyInFlight < limits.readOnlyInFlight else { return false }
            readOnlyInFlight += 1
        }
        return true
    }

    mutating func left(isMutating: Bool) {
        if isMutating { mutatingInFlight -= 1 } else { readOnlyInFlight -= 1 }
    }

    /// `seconds` is nil for what says nothing about speed: streams, and what was turned away.
    mutating func answered(_ request: RequestSummary, code: Int, seconds: Double?) {
        answers[Answer(request: request, code: code), default: 0] += 1
        if let seconds { durations[request, default: Histogram()].observe(seconds) }
    }

    mutating func streamBegan(_ request: RequestSummary) { streams[request, default: 0] += 1 }

    mutating func streamEnded(_ request: RequestSummary) {
        streams[request, default: 1] -= 1
        if streams[request] == 0 { streams[request] = nil }
    }
}
