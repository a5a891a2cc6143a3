// What controllers ask of a pod.

import Formats
import Objects

extension Object {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`; empty before the first status.
    var podPhase: String { status["phase"]?.string ?? "" }

    /// Whether the pod ended for good.
    var isPodFinished: Bool { podPhase == "Succeeded" || podPhase == "Failed" }

    /// Whether the pod counts as a replica: not ended and not going.
    var isPodActive: Bool { !isPodFinished && !isTerminating }

    var isPodReady: Bool { isTrue("Ready") }

    /// When the pod became ready, if it is.
    var podReadySince: Timestamp? {
        guard isPodReady else { return nil }
        return condition("Ready")?["lastTransitionTime"]?.string.flatMap(Timestamp.init(rfc3339:))
    }

    /// How long until the pod is available: zero when it is, nil while it is not ready.
    func podAvailable(minReadySeconds: Int, now: Timestamp) -> Duration? {
        guard isPodReady else { return nil }
        if minReadySeconds == 0 { return .zero }
        guard let since = podReadySince else { return nil }
        return max(.zero, since + .seconds(minReadySeconds) - now)
    }

    var created: Timestamp {
        creationTimestamp.flatMap(Timestamp.init(rfc3339:)) ?? Timestamp(secondsSinceEpoch: 0)
    }

    /// `spec.replicas`, which defaults to one.
    var desiredReplicas: Int { spec["replicas"]?.integer ?? 1 }

    /// A count of the status; missing means zero.
    func statusCount(_ field: String) -> Int { status[field]?.integer ?? 0 }
}
