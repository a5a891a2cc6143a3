// Decides which EndpointSlices show an Endpoints object that somebody wrote by hand.

import Formats
import Objects

/// After `kubernetes/pkg/controller/endpointslicemirroring`: one slice for each subset and address family.
struct MirrorMachine: Sendable {
    static let manager = "endpointslicemirroring-controller.k8s.io"
    static let skipLabel = "endpointslice.kubernetes.io/skip-mirror"
    static let leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"
    /// Addresses of a subset that are mirrored (`--mirroring-max-endpoints-per-subset`).
    static let addressLimit = 1000

    /// Whether an Endpoints object is one to mirror: written for a Service that selects nothing, and not opted out.
    static func applies(to endpoints: Object, service: Object) -> Bool {
        let selector = service.spec["selector"]?.stringMap ?? [:]
        return selector.isEmpty && service.spec["type"]?.string != "ExternalName" && !endpoints.isTerminating
            && endpoints.labels[skipLabel] != "true" && endpoints.annotations[leaderAnnotation] == nil
            && endpoints.labels[EndpointsMachine.managedBy] != EndpointsMachine.manager
    }

    let endpoints: Object
    /// The slices that mirror it now.
    let slices: [Object]

    func actions() -> [EndpointSliceMachine.Action] {
        var left = slices.filter { !$0.isTerminating }
        var actions: [EndpointSliceMachine.Action] = []
        for wanted in wanted {
            let index = left.firstIndex { slice in
                slice["addressType"] == wanted["addressType"]
                    && (slice["ports"] ?? .array([])) == (wanted["ports"] ?? .array([]))
            }
            guard let index else {
                actions.append(.create(wanted))
                continue
            }
            let slice = left.remove(at: index)
            var changed = slice
            if changed.labels != wanted.labels { changed.labels = wanted.labels }
            if changed.annotations != wanted.annotations { changed.annotations = wanted.annotations }
            if changed["endpoints"] != wanted["endpoints"] { changed["endpoints"] = wanted["endpoints"] }
            if changed != slice { actions.append(.update(changed)) }
        }
        return actions + left.map { .delete($0) }
    }

    private var wanted: [Object] {
        (endpoints["subsets"]?.array ?? []).flatMap { subset in
            ["IPv4", "IPv6"].compactMap { slice(of: subset, family: $0) }
        }
    }

    private func slice(of subset: JSON, family: String) -> Object? {
        func mirrored(_ field: String, ready: Bool) -> [JSON] {
            (subset[field]?.array ?? []).compactMap { address in
                guard let ip = address["ip"]?.string, ip.contains(":") == (family == "IPv6") else { return nil }
                var endpoint: JSON = ["addresses": [.string(ip)], "conditions": ["ready": .bool(ready)]]
                for name in ["hostname", "nodeName", "targetRef"] { endpoint[name] = address[name] }
                return endpoint
            }
        }
        let all = mirrored("addresses", ready: true) + mirrored("notReadyAddresses", ready: false)
        if all.isEmpty { return nil }
        var labels = endpoints.labels
        labels[EndpointSliceMachine.serviceLabel] = endpoints.name
        labels[EndpointSliceMachine.managedByLabel] = Self.manager
        var slice = Object([
            "apiVersion": .string(Resource.endpointSlices.apiVersion), "kind": "EndpointSlice",
            "metadata": [
                "generateName": .string(endpoints.name + "-"), "namespace": .string(endpoints.namespace),
                "ownerReferences": .array([OwnerReference(controller: endpoints).tree]),
            ],
        ])
        slice.labels = labels
        slice.annotations = endpoints.annotations.filter {
            $0.key != "kubectl.kubernetes.io/last-applied-configuration"
                && $0.key != "endpoints.kubernetes.io/last-change-trigger-time"
        }
        slice["addressType"] = .string(family)
        slice["endpoints"] = .array(Array(all.prefix(Self.addressLimit)))
        slice["ports"] = .array(
            (subset["ports"]?.array ?? []).map { port in
                var port = port
                port["name"] = port["name"] ?? ""
                port["protocol"] = port["protocol"] ?? "TCP"
                return port
            })
        return slice
    }
}
