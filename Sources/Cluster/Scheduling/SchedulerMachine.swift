// Decides which node a pod goes to, or why it can go to none.

import Formats
import Objects

/// After `kubernetes/pkg/scheduler`: filters with upstream's messages, then the node with the most room.
struct SchedulerMachine: Sendable {
    enum Placement: Sendable, Equatable {
        case bind(node: String)
        case unschedulable(String)
    }

    private let nodes: [Object]
    /// What the pods on each node ask for.
    private let used: [String: PodRequests]

    /// `bound` are the pods that have a node and have not ended, with the name of that node.
    init(nodes: [Object], bound: [(pod: Object, node: String)]) {
        self.nodes = nodes
        var used: [String: PodRequests] = [:]
        for (pod, node) in bound { used[node, default: PodRequests()].add(PodRequests(pod)) }
        self.used = used
    }

    func place(_ pod: Object) -> Placement {
        if let refusal = Self.unsupported(pod) { return .unschedulable(refusal) }
        if nodes.isEmpty { return .unschedulable("no nodes available to schedule pods") }
        let requests = PodRequests(pod)
        var reasons: [String: Int] = [:]
        var best: (name: String, load: Double)?
        for node in nodes {
            let obstacles = obstacles(pod, requests, on: node)
            for obstacle in obstacles { reasons[obstacle, default: 0] += 1 }
            guard obstacles.isEmpty else { continue }
            let load = load(requests, on: node)
            if best.map({ (load, node.name) < ($0.load, $0.name) }) ?? true { best = (node.name, load) }
        }
        if let best { return .bind(node: best.name) }
        let counts = reasons.keys.sorted().map { "\(reasons[$0] ?? 0) \($0)" }.joined(separator: ", ")
        return .unschedulable("0/\(nodes.count) nodes are available: \(counts).")
    }

    /// Rules that pods may carry and this scheduler does not weigh: a pod that needs them stays pending and says so.
    private static func unsupported(_ pod: Object) -> String? {
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        for rule in ["podAffinity", "podAntiAffinity"] {
            if pod.spec["affinity"]?[rule]?[required]?.array?.isEmpty == false {
                return "this scheduler does not support \(rule).\(required)"
            }
        }
        return nil
    }

    private func obstacles(_ pod: Object, _ requests: PodRequests, on node: Object) -> [String] {
        if let name = pod.spec["nodeName"]?.string, !name.isEmpty, name != node.name { return ["node(s) didn't match"] }
        if !node.isTrue("Ready") { return ["node(s) were not ready"] }
        let tolerations = pod.spec["tolerations"]?.array ?? []
        if node.spec["unschedulable"]?.bool == true, !NodeSelection.tolerates(tolerations, Self.unschedulableTaint) {
            return ["node(s) were unschedulable"]
        }
        if let taint = NodeSelection.untolerated(node, by: tolerations) {
            return ["node(s) had untolerated taint {\(taint["key"]?.string ?? ""): \(taint["value"]?.string ?? "")}"]
        }
        if !NodeSelection.matches(pod, node) { return ["node(s) didn't match Pod's node affinity/selector"] }
        return shortages(requests, on: node)
    }

    private static let unschedulableTaint: JSON = ["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]

    private func shortages(_ requests: PodRequests, on node: Object) -> [String] {
        let used = used[node.name] ?? PodRequests()
        var shortages: [String] = []
        if let most = Self.allocatable("pods", node), Int64(used.pods) >= most.value { shortages.append("Too many pods") }
        for (name, amount) in requests.amounts where amount.nanos > 0 {
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

/// What a pod asks of its node.
struct PodRequests: Sendable {
    var pods = 0
    var amounts: [String: Quantity] = [:]

    init() {}

    /// The sum over containers and sidecars, or the largest init container where that is more.
    init(_ pod: Object) {
        pods = 1
        var largest: [String: Quantity] = [:]
        for container in pod.spec["containers"]?.array ?? [] { add(container) }
        for container in pod.spec["initContainers"]?.array ?? [] {
            if container["restartPolicy"]?.string == "Always" {
                add(container)
                continue
            }
            for (name, amount) in Self.requests(container) {
                largest[name] = max(largest[name] ?? Quantity(0), amount)
            }
        }
        for (name, amount) in largest { amounts[name] = max(amounts[name] ?? Quantity(0), amount) }
    }

    mutating func add(_ other: PodRequests) {
        pods += other.pods
        for (name, amount) in other.amounts { amounts[name] = (amounts[name] ?? Quantity(0)) + amount }
    }

    private mutating func add(_ container: JSON) {
        for (name, amount) in Self.requests(container) { amounts[name] = (amounts[name] ?? Quantity(0)) + amount }
    }

    /// Requests; a limit without a request counts as one.
    private static func requests(_ container: JSON) -> [String: Quantity] {
        var requests: [String: Quantity] = [:]
        for field in ["limits", "requests"] {
            for member in container["resources"]?[field]?.object ?? JSONObject() {
                if let quantity = Quantity(json: member.value) { requests[member.key] = quantity }
            }
        }
        return requests
    }
}

extension Quantity {
    /// A quantity as objects carry it: text or a number; nil when it is neither.
    init?(json: JSON) {
        if let number = json.integer {
            self.init(Int64(number))
            return
        }
        guard let text = json.string, let quantity = try? Quantity(parsing: text) else { return nil }
        self = quantity
    }
}
