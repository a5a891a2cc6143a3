// What a catalogue service looks like in Kubernetes, and what has to be written to get there.

import Catalogue
import Formats
import Objects
import Reconciling

/// One write to the API server.
package enum ExportAction: Sendable, Hashable {
    case createService(Object)
    /// Its EndpointSlices go with it, through their owner reference.
    case deleteService(Object)
    case createSlice(Object)
    case updateSlice(Object)
    case deleteSlice(Object)
}

/// What is to be done about one catalogue service.
package struct ExportPlan: Sendable, Hashable {
    package var actions: [ExportAction] = []
    /// Addresses that an EndpointSlice cannot carry: host names and loopback addresses.
    package var unusable: [String] = []
    /// Instances whose words are too many for an annotation: a restart does not bring them back.
    package var unkept: [String] = []
}

/// Plans exports. A plan is right from any state; where a Service has to be made first, the slices follow in the next
/// plan, when the Service is there and has a uid.
package enum ExportMachine {
    /// Endpoints in one EndpointSlice, the API's own limit.
    package static let endpointLimit = 1000
    /// Bytes of the annotation that keeps the instances' raw words; more instances go into another slice.
    package static let annotationLimitBytes = 128 << 10

    /// - Parameters:
    ///   - instances: what is to be seen in Kubernetes; empty when the source is gone.
    ///   - services: the Services that stand for this one, see `ServiceName(service:)`, and the one in the way, if any.
    ///   - slices: the EndpointSlices that were exported for this service, wherever they hang.
    ///   - keepsService: with no instances left, whether a Service made here stays, for writers that come back soon.
    ///   - replica: which of several replicas exports; nil where there is one.
    package static func plan(
        _ name: ServiceName, instances: [Instance], services: [Object], slices: [Object], keepsService: Bool,
        replica: String? = nil
    ) -> ExportPlan {
        var plan = ExportPlan()
        let isHidden = services.contains(where: ExportMark.isHidden(service:))
        let groups = isHidden ? [] : groups(of: instances, in: slices)
        for group in groups {
            if group.key.type == nil { plan.unusable += group.instances.map { "\($0.address):\($0.port)" } }
            if group.raw == nil { plan.unkept += group.instances.map { "\($0.address):\($0.port)" } }
        }
        let own = services.filter(ExportMark.isOwn(service:))
        let target = services.first { !ExportMark.isOwn(service: $0) } ?? own.first
        for service in own where service.key != target?.key && !service.isTerminating {
            plan.actions.append(.deleteService(service))
        }
        guard !groups.isEmpty else {
            plan.actions += slices.filter { !$0.isTerminating }.map { .deleteSlice($0) }
            if let target, ExportMark.isOwn(service: target), !target.isTerminating, !keepsService {
                plan.actions.append(.deleteService(target))
            }
            return plan
        }
        guard let target else {
            plan.actions.append(.createService(service(name, groups)))
            return plan
        }
        guard !target.isTerminating else { return plan }
        let wanted = groups.map { slice(name, $0, of: target, replica) }
        for slice in slices where !slice.isTerminating && !wanted.contains(where: { $0.key == slice.key }) {
            plan.actions.append(.deleteSlice(slice))
        }
        for slice in wanted {
            guard let current = slices.first(where: { $0.key == slice.key }) else {
                plan.actions.append(.createSlice(slice))
                continue
            }
            if current.isTerminating || isSame(current, slice) { continue }
            plan.actions.append(.updateSlice(merged(slice, into: current)))
        }
        return plan
    }

    // MARK: Objects

    /// A Service without selector; its ports are those of the slice that most instances are in. One whose instances are
    /// all at addresses that mean nothing elsewhere has a port too, and refuses calls.
    private static func service(_ name: ServiceName, _ groups: [Group]) -> Object {
        var service = Object(.services, namespace: name.namespace, name: name.kubernetesName)
        let main = groups.max {
            ($0.key.type == nil ? 0 : 1, $0.instances.count, $1.key.port)
                < ($1.key.type == nil ? 0 : 1, $1.instances.count, $0.key.port)
        }
        service.labels = [
            ExportMark.originLabel: main?.key.origin.rawValue ?? "", ExportMark.serviceManagedBy: ExportMark.manager,
        ]
        service.annotations = [ExportMark.serviceAnnotation: name.annotation]
        let own = main?.instances.first?.port ?? 0
        guard let main, (1...65_535).contains(own) else {
            service.spec = ["type": "ClusterIP", "clusterIP": "None"]
            return service
        }
        let carrier: JSON = main.key.isUDP ? "UDP" : "TCP"
        var first: JSON = ["port": JSON(own), "protocol": carrier, "targetPort": JSON(own)]
        if !main.key.further.isEmpty { first["name"] = .string(ownPortName(own, in: main)) }
        let others = main.key.further.keys.sorted().map { key -> JSON in
            let port = JSON(main.key.further[key] ?? 0)
            return ["name": .string(key), "port": port, "protocol": carrier, "targetPort": port]
        }
        service.spec = ["type": "ClusterIP", "ports": .array([first] + others)]
        return service
    }

    /// What a port is called among several.
    private static func ownPortName(_ port: Int, in group: Group) -> String {
        group.instances.first?.ports.filter { $0.value == port }.keys.sorted().first ?? "main"
    }

    private static func slice(_ name: ServiceName, _ group: Group, of service: Object, _ replica: String?) -> Object {
        let own = replica.map { "-" + $0 } ?? ""
        var slice = Object(.endpointSlices, namespace: service.namespace, name: "\(service.name)-\(group.suffix)\(own)")
        slice.labels = [
            ExportMark.sliceService: service.name, ExportMark.sliceManagedBy: ExportMark.manager,
            ExportMark.originLabel: group.key.origin.rawValue,
        ]
        if let replica { slice.labels[Membership.memberLabel] = replica }
        slice.annotations = [
            ExportMark.serviceAnnotation: name.annotation,
            ExportMark.partAnnotation: "\(group.key.suffix)/\(group.part)",
        ]
        if let raw = group.raw { slice.annotations[ExportMark.instancesAnnotation] = raw }
        var owner = OwnerReference(controller: service)
        owner.blocksOwnerDeletion = false
        slice.ownerReferences = [owner]
        slice["addressType"] = .string((group.key.type ?? .ipv4).rawValue)
        slice["endpoints"] = group.key.type == nil ? [] : .array(endpoints(group.instances))
        slice["ports"] = group.key.type == nil ? [] : .array(ports(of: service, group))
        return slice
    }

    private static func endpoints(_ instances: [Instance]) -> [JSON] {
        // The same address may be declared in two clusters; it takes calls when either does.
        var ready: [String: Bool] = [:]
        var serving: [String: Bool] = [:]
        for instance in instances {
            ready[instance.address] = instance.takesCalls || ready[instance.address] == true
            serving[instance.address] = instance.isHealthy || serving[instance.address] == true
        }
        return ready.keys.sorted().map { address in
            [
                "addresses": [.string(address)],
                "conditions": [
                    "ready": .bool(ready[address] ?? false), "serving": .bool(serving[address] ?? false),
                    "terminating": false,
                ],
            ]
        }
    }

    private static func ports(of service: Object, _ group: Group) -> [JSON] {
        let carrier: JSON = group.key.isUDP ? "UDP" : "TCP"
        let first = portName(of: service, group)
        let further = group.key.further.filter { $0.key != first }
        return [["name": .string(first), "port": JSON(group.key.port), "protocol": carrier]]
            + further.keys.sorted().map { key in
                ["name": .string(key), "port": JSON(further[key] ?? 0), "protocol": carrier]
            }
    }

    /// The Service's port that calls for these instances come in by: the one whose target is their port, or that bears
    /// a name of theirs, or the first.
    private static func portName(of service: Object, _ group: Group) -> String {
        let ports = service.spec["ports"]?.array ?? []
        let byTarget = ports.first { ($0["targetPort"]?.integer ?? $0["port"]?.integer) == group.key.port }
        let names = Set(group.instances.flatMap { $0.ports.filter { $0.value == group.key.port }.keys })
        let byName = ports.first { names.contains($0["name"]?.string ?? "") }
        return (byTarget ?? byName ?? ports.first)?["name"]?.string ?? ""
    }

    // MARK: Comparing

    private static func isSame(_ current: Object, _ wanted: Object) -> Bool {
        func ports(_ slice: Object) -> [String] {
            (slice["ports"]?.array ?? []).map {
                "\($0["name"]?.string ?? "")/\($0["port"]?.integer ?? 0)/\($0["protocol"]?.string ?? "TCP")"
            }
        }
        func endpoints(_ slice: Object) -> [String] {
            (slice["endpoints"]?.array ?? []).map { endpoint in
                let isReady = endpoint["conditions"]?["ready"]?.bool ?? true
                return "\(endpoint["addresses"]?.strings ?? []) \(isReady)"
                    + " \(endpoint["conditions"]?["serving"]?.bool ?? isReady)"
            }
        }
        return ports(current) == ports(wanted) && endpoints(current) == endpoints(wanted)
            && wanted.labels.allSatisfy { current.labels[$0.key] == $0.value }
            && wanted.annotations.allSatisfy { current.annotations[$0.key] == $0.value }
            && current.ownerReferences.first?.uid == wanted.ownerReferences.first?.uid
    }

    private static func merged(_ wanted: Object, into current: Object) -> Object {
        var result = current
        result.labels = current.labels.merging(wanted.labels) { $1 }
        var annotations = current.annotations
        annotations[ExportMark.instancesAnnotation] = nil
        result.annotations = annotations.merging(wanted.annotations) { $1 }
        result.ownerReferences = wanted.ownerReferences
        result["endpoints"] = wanted["endpoints"]
        result["ports"] = wanted["ports"]
        return result
    }
}
