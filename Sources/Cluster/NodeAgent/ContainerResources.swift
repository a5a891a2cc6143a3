// The amounts of a container's `resources` that may change while it runs, so that two spellings of one amount are
// equal.

import Formats
import Objects

/// CPU and memory of one container, as requested and as limited.
struct ContainerResources: Sendable, Hashable {
    private(set) var amounts: [String: Quantity] = [:]

    /// Texts that are no quantity count as absent; the API lets none through.
    init(_ resources: JSON?) {
        for kind in ["requests", "limits"] {
            for name in Self.names { amounts["\(kind).\(name)"] = Self.quantity(resources?[kind, name]) }
        }
    }

    static let names = ["cpu", "memory"]

    static func quantity(_ value: JSON?) -> Quantity? {
        guard let value, !value.isNull else { return nil }
        return try? Quantity(parsing: value.string ?? value.text)
    }

    /// The resources, `cpu` or `memory`, that differ.
    func differences(from other: ContainerResources) -> [String] {
        Self.names.filter { name in
            ["requests", "limits"].contains { amounts["\($0).\(name)"] != other.amounts["\($0).\(name)"] }
        }
    }

    /// What is reserved for a container: its requests, or its limits where it names no request.
    static func requested(_ name: String, by container: JSON) -> Quantity {
        quantity(container["resources", "requests", name]) ?? quantity(container["resources", "limits", name])
            ?? Quantity(0)
    }
}

/// Whether a pod that is to be resized has room on its node.
enum ResizeVerdict: Sendable, Hashable {
    case fits
    /// Not beside the pods that are there now.
    case deferred(String)
    /// Not even alone.
    case infeasible(String)
}

/// What a node can give, and what the pods on it have (upstream: `pkg/kubelet/allocation`, in its words).
struct ResizeRoom: Sendable {
    /// In thousandths.
    let processors: Int64
    let memoryBytes: Int64
    /// The other pods of the node; those that have ended hold nothing.
    let others: [Object]

    func verdict(on containers: [JSON]) -> ResizeVerdict {
        for name in ContainerResources.names {
            let wanted = amount(name, containers)
            if wanted > capacity(name) {
                return .infeasible(
                    "Node didn't have enough capacity: \(name), requested: \(wanted), capacity: \(capacity(name))")
            }
        }
        for name in ContainerResources.names {
            let wanted = amount(name, containers)
            let used = others.filter { !Self.hasEnded($0) }.reduce(0 as Int64) { $0 + amount(name, Self.held(by: $1)) }
            if wanted + used > capacity(name) {
                return .deferred(
                    "Node didn't have enough resource: \(name), requested: \(wanted), used: \(used), "
                        + "capacity: \(capacity(name))")
            }
        }
        return .fits
    }

    private func capacity(_ name: String) -> Int64 { name == "cpu" ? processors : memoryBytes }

    private func amount(_ name: String, _ containers: [JSON]) -> Int64 {
        containers.reduce(0) { sum, container in
            let quantity = ContainerResources.requested(name, by: container)
            return sum + (name == "cpu" ? quantity.milliValue : quantity.value)
        }
    }

    /// The containers that run as long as the pod.
    static func lasting(_ pod: Object) -> [JSON] {
        (pod.spec["containers"]?.array ?? [])
            + (pod.spec["initContainers"]?.array ?? []).filter { $0["restartPolicy"]?.string == "Always" }
    }

    /// The same with what they were granted, which may be less than what they ask for by now.
    private static func held(by pod: Object) -> [JSON] {
        let statuses =
            (pod.status["containerStatuses"]?.array ?? []) + (pod.status["initContainerStatuses"]?.array ?? [])
        return lasting(pod).map { container in
            var held = container
            if let granted = statuses.first(where: { $0["name"] == container["name"] })?["allocatedResources"] {
                held["resources", "requests"] = granted
            }
            return held
        }
    }

    private static func hasEnded(_ pod: Object) -> Bool {
        ["Succeeded", "Failed"].contains(pod.status["phase"]?.string)
    }
}
