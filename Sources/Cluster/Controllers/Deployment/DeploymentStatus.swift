// What a Deployment's status says: counts, and the conditions that `kubectl rollout status` reads.

import Formats
import Objects

/// The counts of a status.
struct DeploymentCounts: Sendable, Equatable {
    var replicas = 0
    var updated = 0
    var ready = 0
    var available = 0
    var unavailable = 0

    init(_ status: JSON) {
        func count(_ field: String) -> Int { status[field]?.integer ?? 0 }
        replicas = count("replicas")
        updated = count("updatedReplicas")
        ready = count("readyReplicas")
        available = count("availableReplicas")
        unavailable = count("unavailableReplicas")
    }
}

extension DeploymentMachine {
    func currentCounts() -> DeploymentCounts {
        var counts = DeploymentCounts(.null)
        for set in allSets {
            counts.replicas += set.statusCount("replicas")
            counts.ready += set.statusCount("readyReplicas")
            counts.available += set.statusCount("availableReplicas")
        }
        counts.updated = newSet?.statusCount("replicas") ?? 0
        counts.unavailable = max(0, allSets.map(\.desiredReplicas).reduce(0, +) - counts.available)
        return counts
    }

    /// Whether every wanted replica is of the new set and available, and nothing else is left.
    func isComplete(_ counts: DeploymentCounts) -> Bool {
        counts.updated == replicas && counts.replicas == replicas && counts.available == replicas
    }

    /// Appends the status when it differs from the one that is written.
    mutating func updateStatus(isRollout: Bool) {
        let counts = currentCounts()
        if isRollout {
            noteProgress(counts)
            noteReplicaFailure()
        }
        if counts.available >= replicas - strategy.maxUnavailable {
            conditions.set(
                "Available", "True", reason: "MinimumReplicasAvailable",
                message: "Deployment has minimum availability.", hasUpdateTime: true)
        } else {
            conditions.set(
                "Available", "False", reason: "MinimumReplicasUnavailable",
                message: "Deployment does not have minimum availability.", hasUpdateTime: true)
        }
        var status = deployment.status
        func set(_ field: String, _ value: Int) { status[field] = .count(value) }
        status["observedGeneration"] = JSON(deployment.generation)
        set("replicas", counts.replicas)
        set("updatedReplicas", counts.updated)
        set("readyReplicas", counts.ready)
        set("availableReplicas", counts.available)
        set("unavailableReplicas", counts.unavailable)
        status["conditions"] = conditions.json
        if status != deployment.status { actions.append(.updateStatus(status)) }
    }

    /// After `progress.go`: says whether the rollout is complete, moves, or has been stuck for too long.
    private mutating func noteProgress(_ counts: DeploymentCounts) {
        guard deployment.progressDeadlineSeconds != nil else {
            conditions.remove("Progressing")
            return
        }
        let what = newSet.map { "ReplicaSet \"\($0.name)\"" } ?? "Deployment \"\(deployment.name)\""
        let reason = conditions["Progressing"]?["reason"]?.string
        if counts.replicas == counts.updated, reason == "NewReplicaSetAvailable" { return }
        if isComplete(counts) {
            setProgressing("True", "NewReplicaSetAvailable", "\(what) has successfully progressed.")
        } else if hasProgressed(counts) {
            setProgressing("True", "ReplicaSetUpdated", "\(what) is progressing.", refreshed: true)
        } else if hasTimedOut {
            setProgressing("False", "ProgressDeadlineExceeded", "\(what) has timed out progressing.")
        }
    }

    private func hasProgressed(_ counts: DeploymentCounts) -> Bool {
        let before = DeploymentCounts(deployment.status)
        return counts.updated > before.updated
            || counts.replicas - counts.updated < before.replicas - before.updated
            || counts.ready > before.ready || counts.available > before.available
    }

    private var hasTimedOut: Bool {
        let reason = conditions["Progressing"]?["reason"]?.string
        if reason == "ProgressDeadlineExceeded" { return true }
        return timeToDeadline().map { $0 < .zero } ?? false
    }

    /// How long until a rollout that does not move has failed; nil when none is under way or there is no deadline.
    func timeToDeadline() -> Duration? {
        guard let seconds = deployment.progressDeadlineSeconds, let condition = conditions["Progressing"],
            !["NewReplicaSetAvailable", "ProgressDeadlineExceeded"].contains(condition["reason"]?.string ?? ""),
            let from = condition["lastUpdateTime"]?.string.flatMap(Timestamp.init(rfc3339:))
        else { return nil }
        return from + .seconds(seconds) - now
    }

    /// Carries a set's failure to create or delete pods up to the Deployment; the new set's comes first.
    private mutating func noteReplicaFailure() {
        let failing = ([newSet].compactMap { $0 } + oldSets).lazy.compactMap { $0.condition("ReplicaFailure") }.first
        guard let failing else {
            conditions.remove("ReplicaFailure")
            return
        }
        conditions.set(
            "ReplicaFailure", failing["status"]?.string ?? "True", reason: failing["reason"]?.string ?? "",
            message: failing["message"]?.string ?? "", hasUpdateTime: true)
    }
}
