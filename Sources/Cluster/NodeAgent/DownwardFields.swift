// What a pod tells its own containers about itself (the downward API).

import Formats
import Objects

struct DownwardFields: Sendable {
    let pod: Object
    let address: String
    let hostAddress: String
    /// What the node can give a container that names no limit.
    let nodeProcessors: Int
    let nodeMemoryBytes: Int64

    /// The value at a path of `fieldRef`; nil when the path is not one of those.
    func value(at path: String) -> String? {
        switch path {
        case "metadata.name": return pod.name
        case "metadata.namespace": return pod.namespace
        case "metadata.uid": return pod.uid
        case "metadata.labels": return Self.lines(pod.labels)
        case "metadata.annotations": return Self.lines(pod.annotations)
        case "spec.nodeName": return pod.spec["nodeName"]?.string ?? ""
        case "spec.serviceAccountName": return pod.spec["serviceAccountName"]?.string ?? "default"
        case "status.podIP", "status.podIPs": return address
        case "status.hostIP", "status.hostIPs": return hostAddress
        default: break
        }
        for (prefix, map) in [("metadata.labels['", pod.labels), ("metadata.annotations['", pod.annotations)]
        where path.hasPrefix(prefix) && path.hasSuffix("']") {
            return map[String(path.dropFirst(prefix.count).dropLast(2))] ?? ""
        }
        return nil
    }

    /// The value of a `resourceFieldRef`, in units of its divisor and rounded up. A limit that is not set is what the
    /// node has; a request that is not set is 0.
    func resource(_ reference: JSON, of container: String?) throws(StartFailure) -> String {
        let name = reference["containerName"]?.string ?? container ?? ""
        let all = ["containers", "initContainers"].flatMap { pod.spec[$0]?.array ?? [] }
        guard let tree = all.first(where: { $0["name"]?.string == name }) else {
            throw StartFailure(PodSources.failureReason, "container \(name) not found")
        }
        let parts = (reference["resource"]?.string ?? "").split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2, ["limits", "requests"].contains(parts[0]),
            ["cpu", "memory", "ephemeral-storage"].contains(parts[1])
        else {
            throw StartFailure(
                PodSources.failureReason, "unsupported container resource : \(parts.joined(separator: "."))")
        }
        do {
            let divisor = try Self.quantity(reference["divisor"]) ?? Quantity(1)
            let unit = divisor.nanos == 0 ? Quantity(1) : divisor
            let amount = try Self.quantity(tree["resources", parts[0], parts[1]]) ?? usual(parts[0], parts[1])
            return String(Int64(clamping: (amount.nanos + unit.nanos - 1) / unit.nanos))
        } catch {
            throw StartFailure(PodSources.failureReason, "resourceFieldRef of container \(name): \(error)")
        }
    }

    private func usual(_ kind: String, _ resource: String) -> Quantity {
        if kind == "requests" { return Quantity(0) }
        switch resource {
        case "cpu": return Quantity(Int64(nodeProcessors))
        case "memory": return Quantity(nodeMemoryBytes)
        default: return Quantity(0)
        }
    }

    private static func quantity(_ value: JSON?) throws(FormatProblem) -> Quantity? {
        guard let value, !value.isNull else { return nil }
        return try Quantity(parsing: value.string ?? value.text)
    }

    private static func lines(_ map: [String: String]) -> String {
        map.keys.sorted().map { "\($0)=\(JSON.string(map[$0] ?? "").text)" }.joined(separator: "\n")
    }
}
