// Notices that the machine's time of day was set, so that nothing that is waited for comes at once or never.

import Formats

/// Compares the time of day with a clock that runs evenly, from one look to the next.
struct ClockWatch: Sendable {
    /// Smaller differences are how clocks are corrected all the time.
    static let tolerance = Duration.seconds(1)

    private var last: (wall: Timestamp, steady: Duration)?

    /// How far the time of day was moved since the last look, forwards or (negative) backwards; nil when it was not.
    mutating func looked(wall: Timestamp, steady: Duration) -> Duration? {
        defer { last = (wall, steady) }
        guard let last else { return nil }
        let step = (wall - last.wall) - (steady - last.steady)
        return step > Self.tolerance || step < .zero - Self.tolerance ? step : nil
    }
}

extension PodMachine {
    /// The time of day was moved by this much: whatever is waited for moves along, since it was meant as a span. Times
    /// that people see stay what they were.
    package mutating func clockMoved(by step: Duration) {
        activeSince = activeSince + step
        ending?.deadline.move(by: step)
        retryAt?.move(by: step)
        resize.retryAt?.move(by: step)
        if case .failed(let failure, let retryAt) = sandbox { sandbox = .failed(failure, retryAt: retryAt + step) }
        for index in slots.indices {
            slots[index].retryAt?.move(by: step)
            slots[index].endedAt?.move(by: step)
            slots[index].backoff.clockMoved(by: step)
            for kind in slots[index].probes.keys { slots[index].probes[kind]?.clockMoved(by: step) }
        }
    }
}

extension Timestamp {
    fileprivate mutating func move(by step: Duration) { self = self + step }
}
