// Decides which EndpointSlices a Service needs for its pods.

import Formats
import Objects

/// After `k8s.io/endpointslice/reconciler.go`: endpoints stay in the slice they are in, new ones fill slices that have
/// room, empty slices go; a Service without any endpoint keeps one empty slice.
struct EndpointSliceMachine: Sendable {
    /// Upstream's `--max-endpoints-per-slice`.
    static let endpointsPerSlice = 100
    static let managedByLabel = "endpointslice.kubernetes.io/managed-by"
    static let manager = "endpointslice-controller.k8s.io"
    static let serviceLabel = "kubernetes.io/service-name"
    static let headlessLabel = "service.kubernetes.io/headless"

    enum Action: Sendable, Equatable {
        case create(Object)
        case update(Object)
        case delete(Object)
    }

    let service: Object
    let pods: [Object]
    /// The slices of this Service that this controller manages.
    let slices: [Object]

    func actions() -> [Action] {
        families.flatMap { actions(family: $0) }
            + slices.filter { !families.contains($0["addressType"]?.string ?? "") }.map { .delete($0) }
    }

    private var families: [String] {
        let families = service.spec["ipFamilies"]?.strings ?? []
        return families.isEmpty ? ["IPv4"] : families
    }

    private var isHeadless: Bool { service.spec["clusterIP"]?.string == "None" }
    private var publishesNotReady: Bool { service.spec["publishNotReadyAddresses"]?.bool ?? false }

    /// Pods that resolve the Service's ports alike share slices.
    private func actions(family: String) -> [Action] {
        var groups: [JSON: [JSON]] = [:]
        for pod in pods where !pod.isPodFinished {
            let addresses = Self.addresses(of: pod, family: family)
            if addresses.isEmpty { continue }
            groups[Self.ports(of: service, in: pod), default: []].append(endpoint(pod, addresses))
        }
        let existing = slices.filter { $0["addressType"]?.string == family }
        var actions: [Action] = []
        var kept: Set<String> = []
        for (ports, endpoints) in groups {
            let mine = existing.filter { ($0["ports"] ?? .array([])) == ports && !$0.isTerminating }
            actions += fill(mine, ports: ports, endpoints: endpoints, family: family, kept: &kept)
        }
        var surplus = existing.filter { !kept.contains($0.name) && !$0.isTerminating }
        if groups.isEmpty {
            // One empty slice says that the Service is known and has no endpoint.
            let placeholder = surplus.isEmpty ? nil : surplus.removeFirst()
            if let action = write(placeholder, ports: .array([]), endpoints: [], family: family) {
                actions.append(action)
            }
        }
        return actions + surplus.map { .delete($0) }
    }

    private func fill(
        _ slices: [Object], ports: JSON, endpoints: [JSON], family: String, kept: inout Set<String>
    ) -> [Action] {
        var waiting: [String: JSON] = [:]
        var order: [String] = []
        for endpoint in endpoints {
            let identity = Self.identity(endpoint)
            if waiting[identity] == nil { order.append(identity) }
            waiting[identity] = endpoint
        }
        // First everything that is in a slice already, in its place; then the new ones where there is room.
        var contents: [(slice: Object?, endpoints: [JSON])] = slices.map { slice in
            let staying = (slice["endpoints"]?.array ?? []).compactMap {
                waiting.removeValue(forKey: Self.identity($0))
            }
            return (slice, staying)
        }
        var fresh = order.compactMap { waiting[$0] }[...]
        for index in contents.indices where !contents[index].endpoints.isEmpty || contents.count == 1 {
            let room = max(0, Self.endpointsPerSlice - contents[index].endpoints.count)
            contents[index].endpoints += fresh.prefix(room)
            fresh = fresh.dropFirst(room)
        }
        while !fresh.isEmpty {
            let next = Array(fresh.prefix(Self.endpointsPerSlice))
            fresh = fresh.dropFirst(next.count)
            if let empty = contents.firstIndex(where: { $0.endpoints.isEmpty }) {
                contents[empty].endpoints = next
            } else {
                contents.append((nil, next))
            }
        }
        return contents.compactMap { slice, endpoints in
            if endpoints.isEmpty { return nil }
            if let slice { kept.insert(slice.name) }
            return write(slice, ports: ports, endpoints: endpoints, family: family)
        }
    }

    /// A slice with this content; nil when it has it already.
    private func write(_ slice: Object?, ports: JSON, endpoints: [JSON], family: String) -> Action? {
        var wanted =
            slice
            ?? Object([
                "apiVersion": .string(Resource.endpointSlices.apiVersion), "kind": "EndpointSlice",
                "metadata": [
                    "generateName": .string(service.name + "-"), "namespace": .string(service.namespace),
                    "ownerReferences": .array([OwnerReference(controller: service).tree]),
                ],
            ])
        if wanted.labels != labels { wanted.labels = labels }
        wanted["addressType"] = .string(family)
        if (wanted["endpoints"] ?? .array([])) != .array(endpoints) { wanted["endpoints"] = .array(endpoints) }
        if (wanted["ports"] ?? .array([])) != ports { wanted["ports"] = ports }
        guard let slice else {
            wanted["endpoints"] = .array(endpoints)
            wanted["ports"] = ports
            return .create(wanted)
        }
        return wanted == slice ? nil : .update(wanted)
    }

    /// The Service's own labels and those by which slices are found.
    private var labels: [String: String] {
        var labels = service.labels
        labels[Self.serviceLabel] = service.name
        labels[Self.managedByLabel] = Self.manager
        labels[Self.headlessLabel] = isHeadless ? "" : nil
        return labels
    }

    private static func identity(_ endpoint: JSON) -> String {
        endpoint["targetRef", "uid"]?.string ?? endpoint["addresses"]?.strings?.first ?? ""
    }

    static func addresses(of pod: Object, family: String) -> [String] {
        var all = (pod.status["podIPs"]?.array ?? []).compactMap { $0["ip"]?.string }
        if all.isEmpty, let address = pod.status["podIP"]?.string { all = [address] }
        return all.filter { !$0.isEmpty && $0.contains(":") == (family == "IPv6") }
    }

    private func endpoint(_ pod: Object, _ addresses: [String]) -> JSON {
        let isServing = pod.isPodReady
        var endpoint: JSON = [
            "addresses": .array(addresses.map { .string($0) }),
            "conditions": [
                "ready": .bool(publishesNotReady || (isServing && !pod.isTerminating)),
                "serving": .bool(isServing),
                "terminating": .bool(pod.isTerminating),
            ],
        ]
        if let hostname = pod.spec["hostname"]?.string, pod.spec["subdomain"]?.string == service.name {
            endpoint["hostname"] = .string(hostname)
        }
        if let node = pod.spec["nodeName"]?.string, !node.isEmpty { endpoint["nodeName"] = .string(node) }
        endpoint["targetRef"] = [
            "kind": "Pod", "namespace": .string(pod.namespace), "name": .string(pod.name), "uid": .string(pod.uid),
        ]
        return endpoint
    }

    /// The Service's ports as this pod has them; a named target that the pod does not have is left out.
    static func ports(of service: Object, in pod: Object) -> JSON {
        let ports = (service.spec["ports"]?.array ?? []).compactMap { port -> JSON? in
            let transport = port["protocol"]?.string ?? "TCP"
            guard let number = target(of: port, transport: transport, in: pod) else { return nil }
            var resolved: JSON = [
                "name": port["name"] ?? "", "protocol": .string(transport), "port": JSON(number),
            ]
            if let application = port["appProtocol"] { resolved["appProtocol"] = application }
            return resolved
        }
        return .array(ports)
    }

    static func target(of port: JSON, transport: String, in pod: Object) -> Int? {
        guard let target = port["targetPort"] else { return port["port"]?.integer }
        if let number = target.integer { return number == 0 ? port["port"]?.integer : number }
        guard let name = target.string, !name.isEmpty else { return port["port"]?.integer }
        let sidecars = (pod.spec["initContainers"]?.array ?? []).filter { $0["restartPolicy"]?.string == "Always" }
        for container in (pod.spec["containers"]?.array ?? []) + sidecars {
            for candidate in container["ports"]?.array ?? []
            where candidate["name"]?.string == name && (candidate["protocol"]?.string ?? "TCP") == transport {
                return candidate["containerPort"]?.integer
            }
        }
        return nil
    }
}
