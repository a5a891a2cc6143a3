// Decides which pods a ReplicaSet creates or deletes, and what its status says.

import Formats
import Objects

/// After `kubernetes/pkg/controller/replicaset/replica_set.go` and `controller_utils.go`.
struct ReplicaSetMachine: Sendable {
    enum Action: Sendable, Equatable {
        case create(Int)
        case delete([Object])
    }

    let replicaSet: Object
    /// The pods that belong to the set and have not ended.
    let pods: [Object]
    let now: Timestamp

    init(replicaSet: Object, owned: [Object], now: Timestamp) {
        self.replicaSet = replicaSet
        pods = owned.filter(\.isPodActive)
        self.now = now
    }

    private var minReadySeconds: Int { replicaSet.spec["minReadySeconds"]?.integer ?? 0 }

    /// What brings the number of pods to the wanted one; nil when it is right or the set is going.
    func action() -> Action? {
        if replicaSet.isTerminating { return nil }
        let missing = replicaSet.desiredReplicas - pods.count
        if missing > 0 { return .create(min(missing, PodControl.burstLimit)) }
        if missing < 0 {
            return .delete(Array(Self.inOrderOfDeletion(pods).prefix(min(-missing, PodControl.burstLimit))))
        }
        return nil
    }

    /// The status now. `failure` is what the last action met, if it failed.
    func status(failure: (reason: String, message: String)? = nil) -> JSON {
        let labels = replicaSet.spec["template"]?["metadata", "labels"]?.stringMap ?? [:]
        let available = pods.filter { $0.podAvailable(minReadySeconds: minReadySeconds, now: now) == .zero }.count
        var status = replicaSet.status
        status["replicas"] = JSON(pods.count)
        status["fullyLabeledReplicas"] = .count(
            pods.filter { LabelSelector(matchLabels: labels).matches($0.labels) }.count)
        status["readyReplicas"] = .count(pods.filter(\.isPodReady).count)
        status["availableReplicas"] = .count(available)
        status["observedGeneration"] = JSON(replicaSet.generation)
        var conditions = Conditions(replicaSet.status, now: now)
        if let failure {
            conditions.set("ReplicaFailure", "True", reason: failure.reason, message: failure.message)
        } else {
            conditions.remove("ReplicaFailure")
        }
        status["conditions"] = conditions.json
        return status
    }

    /// When a pod that is ready becomes available, if that is still to come.
    func nextAvailability() -> Duration? {
        pods.compactMap { $0.podAvailable(minReadySeconds: minReadySeconds, now: now) }.filter { $0 > .zero }.min()
    }

    /// The pod that the template describes, owned by the set.
    static func pod(for replicaSet: Object) -> Object {
        PodTemplate.pod(replicaSet.spec["template"] ?? .null, owner: replicaSet)
    }

    /// The pods that are missed least come first.
    static func inOrderOfDeletion(_ pods: [Object]) -> [Object] {
        let ranks = pods.map { DeletionRank($0) }
        return ranks.indices.sorted { ranks[$0] < ranks[$1] }.map { pods[$0] }
    }
}

/// How little a pod is missed: unbound before bound, pending before running, not ready before ready, cheap before dear,
/// ready for a short time before a long one, often restarted before steady, young before old.
private struct DeletionRank: Comparable {
    private let values: [Int64]
    private let name: String

    init(_ pod: Object) {
        let phases = ["Pending": 0, "": 0, "Unknown": 1]
        let cost = pod.annotations["controller.kubernetes.io/pod-deletion-cost"].flatMap { Int64($0) } ?? 0
        let restarts =
            (pod.status["containerStatuses"]?.array ?? []).map { $0["restartCount"]?.integer ?? 0 }.max() ?? 0
        values = [
            pod.spec["nodeName"]?.string ?? "" == "" ? 0 : 1,
            Int64(phases[pod.podPhase] ?? 2),
            pod.isPodReady ? 1 : 0,
            cost,
            -(pod.podReadySince?.secondsSinceEpoch ?? 0),
            Int64(-restarts),
            -pod.created.secondsSinceEpoch,
        ]
        name = pod.name
    }

    static func < (left: DeletionRank, right: DeletionRank) -> Bool {
        for (mine, other) in zip(left.values, right.values) where mine != other { return mine < other }
        return left.name < right.name
    }
}
