// How long a container that keeps ending waits before it is started again (CrashLoopBackOff).

import Formats

/// The first restart comes at once, later ones after 10 s, 20 s, 40 s, … 5 min, counted from the last end; ten quiet
/// minutes forgive everything (upstream `client-go/util/flowcontrol/backoff.go` as the kubelet uses it).
package struct RestartBackoff: Sendable, Hashable {
    static let initial = Duration.seconds(10)
    static let limit = Duration.seconds(300)
    static let forgivenAfter = Duration.seconds(600)

    /// Zero until the first restart.
    package private(set) var delay = Duration.zero
    private var lastRestartAt: Timestamp?

    package init() {}

    /// When a container that ended at this time may start again.
    package mutating func restartAllowed(endedAt: Timestamp) -> Timestamp {
        if let lastRestartAt, endedAt - lastRestartAt > Self.forgivenAfter { self = RestartBackoff() }
        return endedAt + delay
    }

    /// The time of day was moved; what was a span stays one.
    package mutating func clockMoved(by step: Duration) { lastRestartAt = lastRestartAt.map { $0 + step } }

    package mutating func restarted(at now: Timestamp) {
        delay = delay == .zero ? Self.initial : min(delay * 2, Self.limit)
        lastRestartAt = now
    }
}
