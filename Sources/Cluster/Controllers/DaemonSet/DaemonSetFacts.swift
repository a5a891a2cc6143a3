// Where a DaemonSet wants its pods, and how it replaces them.

import Formats
import Objects

enum DaemonSetLabel {
    /// On pods and ControllerRevisions: the hash of their template.
    static let hash = "controller-revision-hash"
}

/// The fields of a DaemonSet with their defaults.
struct DaemonSetWishes: Sendable {
    /// Daemons stay on nodes in trouble and run on nodes that take nothing else
    /// (`AddOrUpdateDaemonPodTolerations` of `daemonset_util.go`).
    private static let tolerations: [(key: String, effect: String)] = [
        ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]

    let set: Object

    var template: JSON { self.set.spec["template"] ?? [:] }
    var isOnDelete: Bool { self.set.spec["updateStrategy", "type"]?.string == "OnDelete" }
    var minReadySeconds: Int { self.set.spec["minReadySeconds"]?.integer ?? 0 }
    var historyLimit: Int { self.set.spec["revisionHistoryLimit"]?.integer ?? 10 }

    /// Pods that may come beside their predecessors, of so many wanted ones.
    func maxSurge(of desired: Int) -> Int {
        guard !isOnDelete, let value = set.spec["updateStrategy", "rollingUpdate", "maxSurge"] else { return 0 }
        return RolloutStrategy.resolve(value, of: desired, roundingUp: true)
    }

    /// Pods that may be missing; one where neither limit is set, since nothing would move otherwise.
    func maxUnavailable(of desired: Int) -> Int {
        let value = set.spec["updateStrategy", "rollingUpdate", "maxUnavailable"] ?? 1
        let count = RolloutStrategy.resolve(value, of: desired, roundingUp: true)
        return count == 0 && maxSurge(of: desired) == 0 ? 1 : count
    }

    /// Whether a daemon belongs on a node, and whether one that is there may stay.
    func placement(on node: Object) -> (shouldRun: Bool, mayStay: Bool) {
        let pod = Object(["spec": template["spec"] ?? [:]])
        if let name = pod.spec["nodeName"]?.string, !name.isEmpty, name != node.name { return (false, false) }
        if !NodeSelection.matches(pod, node) { return (false, false) }
        let tolerations = allTolerations
        let evicting = NodeSelection.untolerated(node, by: tolerations, effects: ["NoExecute"])
        let repelling = NodeSelection.untolerated(node, by: tolerations, effects: ["NoExecute", "NoSchedule"])
        return (repelling == nil, evicting == nil)
    }

    private var allTolerations: [JSON] {
        var tolerations = template["spec", "tolerations"]?.array ?? []
        var wanted = Self.tolerations
        if template["spec", "hostNetwork"]?.bool == true {
            wanted.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
        }
        for (key, effect) in wanted {
            let toleration: JSON = ["key": .string(key), "operator": "Exists", "effect": .string(effect)]
            if !tolerations.contains(toleration) { tolerations.append(toleration) }
        }
        return tolerations
    }

    /// The daemon for a node: the scheduler can bind it nowhere else.
    func pod(for node: String, hash: String) -> Object {
        var pod = PodTemplate.pod(template, owner: set)
        pod.labels[DaemonSetLabel.hash] = hash
        pod.spec["tolerations"] = .array(allTolerations)
        let here: JSON = ["key": "metadata.name", "operator": "In", "values": [.string(node)]]
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        var terms = pod.spec["affinity"]?["nodeAffinity"]?[required]?["nodeSelectorTerms"]?.array ?? []
        if terms.isEmpty { terms = [[:]] }
        terms = terms.map { term in
            var term = term
            term["matchFields"] = [here]
            return term
        }
        pod.tree.set(.array(terms), at: ["spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"])
        return pod
    }

    /// The node that a daemon is on or is meant for.
    static func node(of pod: Object) -> String? {
        if let name = pod.spec["nodeName"]?.string, !name.isEmpty { return name }
        let required = pod.spec["affinity"]?["nodeAffinity"]?["requiredDuringSchedulingIgnoredDuringExecution"]
        for term in required?["nodeSelectorTerms"]?.array ?? [] {
            for field in term["matchFields"]?.array ?? [] where field["key"]?.string == "metadata.name" {
                return field["values"]?.strings?.first
            }
        }
        return nil
    }
}
