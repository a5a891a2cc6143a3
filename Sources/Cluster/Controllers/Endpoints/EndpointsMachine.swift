// Decides what a Service's Endpoints object says: the older, flat form of EndpointSlices.

import Formats
import Objects

/// After `kubernetes/pkg/controller/endpoint`: one subset for each set of ports that pods resolve the Service's ports
/// to.
struct EndpointsMachine: Sendable {
    /// Addresses in one object; the rest are left out and the annotation says so.
    static let addressLimit = 1000
    static let overCapacity = "endpoints.kubernetes.io/over-capacity"
    static let managedBy = "endpoints.kubernetes.io/managed-by"
    static let manager = "endpoint-controller"

    let service: Object
    let pods: [Object]

    /// The object as it should be, over the one there is; nil when that is right already.
    func wanted(over existing: Object?) -> Object? {
        var (subsets, isTruncated) = self.subsets
        if isTruncated { subsets = truncated(subsets) }
        var wanted = existing ?? Object(.endpoints, namespace: service.namespace, name: service.name)
        let labels = labels
        if wanted.labels != labels { wanted.labels = labels }
        if (wanted.annotations[Self.overCapacity] != nil) != isTruncated {
            wanted.annotations[Self.overCapacity] = isTruncated ? "truncated" : nil
        }
        if (wanted["subsets"]?.array ?? []) != subsets { wanted["subsets"] = .array(subsets) }
        return wanted == existing ? nil : wanted
    }

    private var labels: [String: String] {
        var labels = service.labels
        labels[Self.managedBy] = Self.manager
        if service.spec["clusterIP"]?.string == "None" { labels[EndpointSliceMachine.headlessLabel] = "" }
        return labels
    }

    private var subsets: ([JSON], isTruncated: Bool) {
        let publishesNotReady = service.spec["publishNotReadyAddresses"]?.bool ?? false
        var groups: [(ports: JSON, ready: [JSON], notReady: [JSON])] = []
        var count = 0
        for pod in pods where !pod.isPodFinished && (publishesNotReady || !pod.isTerminating) {
            guard let address = address(of: pod) else { continue }
            let ports = EndpointSliceMachine.ports(of: service, in: pod)
            // A Service with ports of which the pod has none does not reach it.
            if ports.array?.isEmpty == true, service.spec["ports"]?.array?.isEmpty == false { continue }
            let index = groups.firstIndex { $0.ports == ports } ?? groups.count
            if index == groups.count { groups.append((ports, [], [])) }
            count += 1
            if publishesNotReady || pod.isPodReady {
                groups[index].ready.append(address)
            } else {
                groups[index].notReady.append(address)
            }
        }
        let subsets = groups.map { group in
            var subset: JSON = [:]
            if !group.ready.isEmpty { subset["addresses"] = .array(group.ready) }
            if !group.notReady.isEmpty { subset["notReadyAddresses"] = .array(group.notReady) }
            if group.ports.array?.isEmpty == false { subset["ports"] = Self.plain(group.ports) }
            return subset
        }
        return (subsets, count > Self.addressLimit)
    }

    /// Ports without the empty names that slices carry.
    private static func plain(_ ports: JSON) -> JSON {
        .array(
            (ports.array ?? []).map { port in
                var port = port
                if port["name"]?.string == "" { port["name"] = nil }
                return port
            })
    }

    private func address(of pod: Object) -> JSON? {
        let family = service.spec["ipFamilies"]?.strings?.first ?? "IPv4"
        guard let ip = EndpointSliceMachine.addresses(of: pod, family: family).first else { return nil }
        var address: JSON = ["ip": .string(ip)]
        if let hostname = pod.spec["hostname"]?.string, pod.spec["subdomain"]?.string == service.name {
            address["hostname"] = .string(hostname)
        }
        if let node = pod.spec["nodeName"]?.string, !node.isEmpty { address["nodeName"] = .string(node) }
        address["targetRef"] = [
            "kind": "Pod", "namespace": .string(pod.namespace), "name": .string(pod.name), "uid": .string(pod.uid),
        ]
        return address
    }

    /// Keeps ready addresses before others, and the first of each.
    private func truncated(_ subsets: [JSON]) -> [JSON] {
        var room = Self.addressLimit
        var subsets = subsets
        for field in ["addresses", "notReadyAddresses"] {
            for index in subsets.indices {
                guard let addresses = subsets[index][field]?.array else { continue }
                subsets[index][field] = .list(Array(addresses.prefix(room)))
                room -= min(room, addresses.count)
            }
        }
        return subsets.filter { $0["addresses"] != nil || $0["notReadyAddresses"] != nil }
    }
}
