// What the Deployment controller reads from a Deployment and writes on its ReplicaSets.

import Formats
import Objects

enum DeploymentAnnotation {
    static let revision = "deployment.kubernetes.io/revision"
    static let revisionHistory = "deployment.kubernetes.io/revision-history"
    static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
    static let maxReplicas = "deployment.kubernetes.io/max-replicas"
    /// Stay where they are; everything else on a Deployment is copied to its ReplicaSet.
    static let notCopied: Set<String> = [
        revision, revisionHistory, desiredReplicas, maxReplicas, "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
    ]
    /// Characters of a revision history; older numbers fall off.
    static let historyLimit = 2000
}

/// How a Deployment wants to be rolled, with percentages resolved.
struct RolloutStrategy: Sendable, Equatable {
    var isRecreate: Bool
    /// Pods above the wanted number, rounded up.
    var maxSurge: Int
    /// Pods that may be missing, rounded down; at least one where there is no surge.
    var maxUnavailable: Int

    init(_ deployment: Object) {
        let strategy = deployment.spec["strategy"]
        let replicas = deployment.desiredReplicas
        isRecreate = strategy?["type"]?.string == "Recreate"
        if isRecreate {
            (maxSurge, maxUnavailable) = (0, 0)
            return
        }
        let rolling = strategy?["rollingUpdate"]
        maxSurge = Self.resolve(rolling?["maxSurge"], of: replicas, roundingUp: true)
        maxUnavailable = Self.resolve(rolling?["maxUnavailable"], of: replicas, roundingUp: false)
        if maxSurge == 0, maxUnavailable == 0 { maxUnavailable = 1 }
        maxUnavailable = min(maxUnavailable, replicas)
    }

    /// A number, or a percentage of the replicas; missing means 25 %.
    static func resolve(_ value: JSON?, of total: Int, roundingUp: Bool) -> Int {
        if let number = value?.integer { return max(0, number) }
        let text = value?.string ?? "25%"
        guard text.hasSuffix("%"), let percent = Int(text.dropLast()), percent >= 0 else { return 0 }
        return roundingUp ? (percent * total + 99) / 100 : percent * total / 100
    }
}

extension Object {
    /// The revision that the Deployment controller gave; zero before it did.
    var revision: Int { annotations[DeploymentAnnotation.revision].flatMap { Int($0) } ?? 0 }

    var isPaused: Bool { spec["paused"]?.bool ?? false }

    /// Seconds without progress after which a rollout has failed; nil for never.
    var progressDeadlineSeconds: Int? {
        guard let seconds = spec["progressDeadlineSeconds"]?.integer else { return 600 }
        return seconds == Int(Int32.max) ? nil : seconds
    }
}
