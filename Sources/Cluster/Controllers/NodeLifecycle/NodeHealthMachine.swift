// Decides when a node that is silent counts as lost, which taints nodes carry, and which pods must leave.

import Formats
import Objects

/// The health of all nodes, after `kubernetes/pkg/controller/nodelifecycle` and `tainteviction`.
///
/// Silence is measured on this controller's own clock from the last sign of life that it saw itself, so that neither a
/// wall clock that jumps nor a restart makes a node seem lost.
struct NodeHealthMachine: Sendable {
    /// Silence that a node may keep (`--node-monitor-grace-period`).
    static let gracePeriod = Duration.seconds(50)
    /// How long pods that say nothing stay on a node that is not ready or not reachable (`DefaultTolerationSeconds`).
    static let defaultToleration = 300
    /// A node that is gone may come back for this long before its pods are given up (`podgc`'s quarantine).
    static let quarantine = Duration.seconds(40)
    static let unreachable = "node.kubernetes.io/unreachable"
    static let notReady = "node.kubernetes.io/not-ready"

    struct Decision: Sendable, Equatable {
        /// The status to write, when the node has fallen silent.
        var status: JSON?
        /// The taints to write, when they differ.
        var taints: [JSON]?
        /// Whether this is the first look at the node.
        var isNew = false
        /// Whether the node stopped being ready at this look.
        var hasFallen = false
        var nextLook: Duration?
    }

    private struct Sign: Sendable {
        var renewed: String
        var heartbeat: String
        var seen: Duration
    }

    private var signs: [String: Sign] = [:]
    private var missing: [String: Duration] = [:]

    /// A look at a node. `time` runs evenly and has any beginning; `lease` is the node's, if it has one.
    mutating func looked(at node: Object, lease: Object?, time: Duration, now: Timestamp) -> Decision {
        let renewed = lease?.spec["renewTime"]?.string ?? ""
        let heartbeat = node.condition("Ready")?["lastHeartbeatTime"]?.string ?? ""
        let old = signs[node.name]
        missing[node.name] = nil
        if old == nil || old?.renewed != renewed || (old?.heartbeat != heartbeat && node.isReadyKnown) {
            signs[node.name] = Sign(renewed: renewed, heartbeat: heartbeat, seen: time)
        }
        let silence = time - (signs[node.name]?.seen ?? time)
        var decision = Decision(isNew: old == nil)
        var judged = node
        if silence > Self.gracePeriod {
            let status = Self.silent(node, now: now)
            if status != node.status { decision.status = status }
            decision.hasFallen = node.isTrue("Ready")
            judged.status = status
        } else {
            decision.nextLook = Self.gracePeriod - silence + .seconds(1)
        }
        let taints = Self.taints(of: judged, now: now)
        if taints != node.spec["taints"]?.array ?? [] { decision.taints = taints }
        return decision
    }

    /// A look at a node that is not there: how long its pods are still left alone; zero when that is over.
    mutating func missed(_ node: String, time: Duration) -> Duration {
        signs[node] = nil
        let since = missing[node] ?? time
        missing[node] = since
        return max(.zero, since + Self.quarantine - time)
    }

    /// Nothing is left of a node that is gone.
    mutating func forgot(_ node: String) { missing[node] = nil }

    /// The status of a node that says nothing: every condition is unknown.
    private static func silent(_ node: Object, now: Timestamp) -> JSON {
        var status = node.status
        var conditions = status["conditions"]?.array ?? []
        for type in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let index = conditions.firstIndex { $0["type"]?.string == type }
            if index == nil, type != "Ready" { continue }
            let old = index.map { conditions[$0] }
            if old?["status"]?.string == "Unknown" { continue }
            let fresh: JSON = [
                "type": .string(type), "status": "Unknown",
                "reason": old == nil ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
                "message": old == nil ? "Kubelet never posted node status." : "Kubelet stopped posting node status.",
                "lastHeartbeatTime": old?["lastHeartbeatTime"] ?? .string(now.rfc3339),
                "lastTransitionTime": .string(now.rfc3339),
            ]
            if let index { conditions[index] = fresh } else { conditions.append(fresh) }
        }
        status["conditions"] = .array(conditions)
        return status
    }

    /// The taints that a node should carry: other people's, and those that its conditions ask for.
    static func taints(of node: Object, now: Timestamp) -> [JSON] {
        var wanted: [(key: String, effect: String)] = []
        switch node.condition("Ready")?["status"]?.string {
        case "True": break
        case "False": wanted += [(notReady, "NoSchedule"), (notReady, "NoExecute")]
        default: wanted += [(unreachable, "NoSchedule"), (unreachable, "NoExecute")]
        }
        if node.spec["unschedulable"]?.bool == true {
            wanted.append(("node.kubernetes.io/unschedulable", "NoSchedule"))
        }
        for (condition, key) in [
            ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
            ("DiskPressure", "node.kubernetes.io/disk-pressure"),
            ("PIDPressure", "node.kubernetes.io/pid-pressure"),
            ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
        ] where node.isTrue(condition) {
            wanted.append((key, "NoSchedule"))
        }
        let ours: Set<String> = [
            notReady, unreachable, "node.kubernetes.io/unschedulable", "node.kubernetes.io/memory-pressure",
            "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure",
            "node.kubernetes.io/network-unavailable",
        ]
        let old = node.spec["taints"]?.array ?? []
        var taints = old.filter { taint in
            let key = taint["key"]?.string ?? ""
            return !ours.contains(key) || wanted.contains { $0.key == key && $0.effect == taint["effect"]?.string }
        }
        for (key, effect) in wanted
        where !taints.contains(where: { $0["key"]?.string == key && $0["effect"]?.string == effect }) {
            var taint: JSON = ["key": .string(key), "effect": .string(effect)]
            taint["timeAdded"] = .string(now.rfc3339)
            taints.append(taint)
        }
        return taints
    }

    /// How long a pod may stay on a node with these taints: nil for ever, zero not at all.
    static func stay(of pod: Object, taints: [JSON], now: Timestamp) -> Duration? {
        let tolerations = pod.spec["tolerations"]?.array ?? []
        var shortest: Duration?
        for taint in taints where taint["effect"]?.string == "NoExecute" {
            let matching = tolerations.filter { NodeSelection.tolerates($0, taint) }
            var seconds = matching.compactMap { $0["tolerationSeconds"]?.integer }.min()
            if matching.isEmpty {
                let isOurs = [notReady, unreachable].contains(taint["key"]?.string ?? "")
                seconds = isOurs ? defaultToleration : 0
            } else if matching.contains(where: { $0["tolerationSeconds"] == nil }), seconds == nil {
                continue
            }
            let added = taint["timeAdded"]?.string.flatMap(Timestamp.init(rfc3339:)) ?? now
            let left = max(.zero, added + .seconds(max(0, seconds ?? 0)) - now)
            shortest = min(shortest ?? left, left)
        }
        return shortest
    }
}

extension Object {
    /// Whether the node's Ready condition is the node's own word.
    fileprivate var isReadyKnown: Bool { condition("Ready")?["status"]?.string != "Unknown" }
}
