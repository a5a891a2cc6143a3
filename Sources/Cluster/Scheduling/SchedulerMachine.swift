// Decides which node a pod goes to, or why it can go to none.

import Formats
import Objects

/// After `kubernetes/pkg/scheduler`: filters with upstream's messages in upstream's order, then the node with the most
/// room.
struct SchedulerMachine: Sendable {
    enum Placement: Sendable, Equatable {
        case bind(node: String)
        /// The node is chosen; these claims must get a volume there before the pod is bound.
        case prepare(node: String, claims: [ObjectKey])
        case unschedulable(String)
    }

    /// A pod that has a node, and which.
    typealias Bound = (pod: Object, node: String)

    private let nodes: [Object]
    private let volumes: VolumeView
    private let affinity: AffinityRules
    /// What the pods on each node ask for and hold.
    private let used: [String: PodRequests]
    private let ports: [String: [HostPort]]

    /// `bound` are the pods that have a node and have not ended.
    init(nodes: [Object], bound: [Bound], volumes: VolumeView = VolumeView()) {
        self.nodes = nodes
        self.volumes = volumes
        affinity = AffinityRules(nodes: nodes, bound: bound)
        var used: [String: PodRequests] = [:]
        var ports: [String: [HostPort]] = [:]
        for (pod, node) in bound {
            used[node, default: PodRequests()].add(PodRequests(pod))
            ports[node, default: []] += HostPort.all(of: pod)
        }
        self.used = used
        self.ports = ports
    }

    /// Where the pod goes; `onlyOn` names the one node that is looked at.
    func place(_ pod: Object, onlyOn only: String? = nil) -> Placement {
        if nodes.isEmpty { return .unschedulable("no nodes available to schedule pods") }
        if let obstacle = volumes.obstacle(to: pod) {
            return .unschedulable("0/\(nodes.count) nodes are available: \(obstacle).")
        }
        let requests = PodRequests(pod)
        let constraints = affinity.constraints(of: pod)
        var reasons: [String: Int] = [:]
        var best: (node: Object, load: Double)?
        for node in nodes where only == nil || node.name == only {
            let obstacles = obstacles(pod, requests, constraints, on: node)
            for obstacle in obstacles { reasons[obstacle, default: 0] += 1 }
            guard obstacles.isEmpty else { continue }
            let load = load(requests, on: node)
            if best.map({ (load, node.name) < ($0.load, $0.node.name) }) ?? true { best = (node, load) }
        }
        guard let best else {
            let counts = reasons.keys.sorted().map { "\(reasons[$0] ?? 0) \($0)" }.joined(separator: ", ")
            return .unschedulable("0/\(nodes.count) nodes are available: \(counts).")
        }
        let claims = volumes.claimsToPrepare(of: pod)
        return claims.isEmpty ? .bind(node: best.node.name) : .prepare(node: best.node.name, claims: claims)
    }

    /// What keeps the pod from the node: the words of the first filter that says no.
    private func obstacles(
        _ pod: Object, _ requests: PodRequests, _ constraints: AffinityRules.Constraints, on node: Object
    ) -> [String] {
        let tolerations = pod.spec["tolerations"]?.array ?? []
        if node.spec["unschedulable"]?.bool == true, !NodeSelection.tolerates(tolerations, Self.unschedulable) {
            return ["node(s) were unschedulable"]
        }
        if let taint = NodeSelection.untolerated(node, by: tolerations) ?? Self.missingTaint(of: node, tolerations) {
            return ["node(s) had untolerated taint {\(taint["key"]?.string ?? ""): \(taint["value"]?.string ?? "")}"]
        }
        if !NodeSelection.matches(pod, node) { return ["node(s) didn't match Pod's node affinity/selector"] }
        let taken = ports[node.name] ?? []
        if HostPort.all(of: pod).contains(where: { wanted in taken.contains { $0.conflicts(with: wanted) } }) {
            return ["node(s) didn't have free ports for the requested pod ports"]
        }
        let shortages = shortages(requests, on: node)
        if !shortages.isEmpty { return shortages }
        if let obstacle = volumes.obstacle(to: pod, on: node) { return [obstacle] }
        return constraints.obstacle(on: node).map { [$0] } ?? []
    }

    private static let unschedulable: JSON = ["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]
    private static let notReady: JSON = ["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]

    /// A node that is not ready counts as tainted before the node controller has come to it.
    private static func missingTaint(of node: Object, _ tolerations: [JSON]) -> JSON? {
        node.isTrue("Ready") || NodeSelection.tolerates(tolerations, notReady) ? Optional.none : notReady
    }

    private func shortages(_ requests: PodRequests, on node: Object) -> [String] {
        let used = used[node.name] ?? PodRequests()
        var shortages: [String] = []
        if let most = Self.allocatable("pods", node), Int64(used.pods) >= most.value {
            shortages.append("Too many pods")
        }
        for name in requests.amounts.keys.sorted() {
            guard let amount = requests.amounts[name], amount.nanos > 0 else { continue }
            let most = Self.allocatable(name, node) ?? Quantity(0)
            if (used.amounts[name] ?? Quantity(0)) + amount > most { shortages.append("Insufficient \(name)") }
        }
        return shortages
    }

    private func load(_ requests: PodRequests, on node: Object) -> Double {
        let used = used[node.name] ?? PodRequests()
        var load = Double(used.pods) / 1000
        for name in ["cpu", "memory"] {
            guard let most = Self.allocatable(name, node), most.nanos > 0 else { continue }
            let sum = (used.amounts[name] ?? Quantity(0)) + (requests.amounts[name] ?? Quantity(0))
            load += Double(sum.nanos) / Double(most.nanos)
        }
        return load
    }

    private static func allocatable(_ name: String, _ node: Object) -> Quantity? {
        let amounts = node.status["allocatable"] ?? node.status["capacity"]
        return amounts?[name].flatMap(Quantity.init(json:))
    }
}

/// A port of the machine that a container asks for.
struct HostPort: Sendable, Hashable {
    var address: String
    var transport: String
    var port: Int

    static func all(of pod: Object) -> [HostPort] {
        let isHostNetwork = pod.spec["hostNetwork"]?.bool == true
        let sidecars = (pod.spec["initContainers"]?.array ?? []).filter { $0["restartPolicy"]?.string == "Always" }
        return ((pod.spec["containers"]?.array ?? []) + sidecars).flatMap { container in
            (container["ports"]?.array ?? []).compactMap { port -> HostPort? in
                // In the machine's own network every container port is one of the machine.
                let number = port["hostPort"]?.integer ?? (isHostNetwork ? port["containerPort"]?.integer : nil) ?? 0
                if number == 0 { return nil }
                let address = port["hostIP"]?.string ?? ""
                return HostPort(
                    address: address.isEmpty ? "0.0.0.0" : address, transport: port["protocol"]?.string ?? "TCP",
                    port: number)
            }
        }
    }

    func conflicts(with other: HostPort) -> Bool {
        port == other.port && transport == other.transport
            && (address == other.address || address == "0.0.0.0" || other.address == "0.0.0.0")
    }
}
