// What a catalogue service looks like in Kubernetes, and what has to be written to get there.

import Catalogue
import Formats
import Objects

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
}

/// Plans exports. A plan is right from any state; where a Service has to be made first, the slices follow in the next
/// plan, when the Service is there and has a uid.
package enum ExportMachine {
    /// Endpoints in one EndpointSlice, the API's own limit.
    package static let endpointLimit = 1000
    /// Bytes of the annotation that keeps the instances' raw words; above it only addresses and ports are exported.
    package static let annotationLimitBytes = 128 << 10

    /// - Parameters:
    ///   - instances: what is to be seen in Kubernetes; empty when the source is gone.
    ///   - services: the Services that stand for this one, see `ServiceName(service:)`, and the one in the way, if any.
    ///   - slices: the EndpointSlices that were exported for this service, wherever they hang.
    ///   - keepsService: with no instances left, whether a Service made here stays, for writers that come back soon.
    package static func plan(
        _ name: ServiceName, instances: [Instance], services: [Object], slices: [Object], keepsService: Bool
    ) -> ExportPlan {
        var plan = ExportPlan()
        let groups = group(instances, &plan)
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
        let wanted = groups.map { slice(name, $0, of: target) }
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

    // MARK: Groups: what goes into one slice

    struct Group {
        var origin: Origin
        var type: AddressType
        var port: Int
        /// Counts the slices of one origin, type and port.
        var part: Int
        var instances: [Instance]
    }

    private struct GroupKey: Hashable {
        var origin: Origin
        var type: AddressType
        var port: Int
    }

    private static func group(_ instances: [Instance], _ plan: inout ExportPlan) -> [Group] {
        var members: [GroupKey: [Instance]] = [:]
        for instance in instances {
            guard let type = AddressType(instance.address), (1...65_535).contains(instance.port) else {
                plan.unusable.append("\(instance.address):\(instance.port)")
                continue
            }
            let key = GroupKey(origin: instance.origin, type: type, port: instance.port)
            members[key, default: []].append(instance)
        }
        let keys = members.keys.sorted {
            ($0.origin.rawValue, $0.type.rawValue, $0.port) < ($1.origin.rawValue, $1.type.rawValue, $1.port)
        }
        return keys.flatMap { key in
            let all = (members[key] ?? []).sorted { ($0.address, $0.cluster) < ($1.address, $1.cluster) }
            return stride(from: 0, to: all.count, by: endpointLimit).enumerated().map { part, start in
                Group(
                    origin: key.origin, type: key.type, port: key.port, part: part,
                    instances: Array(all[start..<min(start + endpointLimit, all.count)]))
            }
        }
    }

    // MARK: Objects

    /// A Service without selector; its port is the one that most instances have.
    private static func service(_ name: ServiceName, _ groups: [Group]) -> Object {
        var service = Object(.services, namespace: name.namespace, name: name.kubernetesName)
        let main = groups.max { ($0.instances.count, $1.port) < ($1.instances.count, $0.port) }
        service.labels = [
            ExportMark.originLabel: main?.origin.rawValue ?? "", ExportMark.serviceManagedBy: ExportMark.manager,
        ]
        service.annotations = [ExportMark.serviceAnnotation: name.annotation]
        let port = JSON(main?.port ?? 0)
        service.spec = [
            "type": "ClusterIP", "ports": [["port": port, "protocol": "TCP", "targetPort": port]],
        ]
        return service
    }

    private static func slice(_ name: ServiceName, _ group: Group, of service: Object) -> Object {
        let suffix = group.part == 0 ? "" : "-\(group.part)"
        let family = group.type == .ipv6 ? "-ipv6" : ""
        var slice = Object(
            .endpointSlices, namespace: service.namespace,
            name: "\(service.name)-\(group.origin.rawValue)\(family)-\(group.port)\(suffix)")
        slice.labels = [
            ExportMark.sliceService: service.name, ExportMark.sliceManagedBy: ExportMark.manager,
            ExportMark.originLabel: group.origin.rawValue,
        ]
        slice.annotations = annotations(name, group)
        var owner = OwnerReference(controller: service)
        owner.blocksOwnerDeletion = false
        slice.ownerReferences = [owner]
        slice["addressType"] = .string(group.type.rawValue)
        slice["endpoints"] = .array(endpoints(group.instances))
        slice["ports"] = [["name": .string(portName(of: service, group)), "port": JSON(group.port), "protocol": "TCP"]]
        return slice
    }

    private static func annotations(_ name: ServiceName, _ group: Group) -> [String: String] {
        var annotations = [ExportMark.serviceAnnotation: name.annotation]
        let raw = JSON.array(group.instances.map(RawInstance.tree)).text
        if raw.utf8.count <= annotationLimitBytes { annotations[ExportMark.instancesAnnotation] = raw }
        return annotations
    }

    private static func endpoints(_ instances: [Instance]) -> [JSON] {
        // The same address may be declared in two clusters; it takes calls when either does.
        var ready: [String: Bool] = [:]
        for instance in instances {
            let takesCalls = instance.isHealthy && instance.isEnabled && instance.weight > 0
            ready[instance.address] = takesCalls || ready[instance.address] == true
        }
        return ready.keys.sorted().map { address in
            let isReady = JSON.bool(ready[address] ?? false)
            return [
                "addresses": [.string(address)],
                "conditions": ["ready": isReady, "serving": isReady, "terminating": false],
            ]
        }
    }

    /// The Service's port that calls for these instances come in by: the one whose target is their port, or that bears
    /// a name of theirs, or the first.
    private static func portName(of service: Object, _ group: Group) -> String {
        let ports = service.spec["ports"]?.array ?? []
        let byTarget = ports.first { ($0["targetPort"]?.integer ?? $0["port"]?.integer) == group.port }
        let names = Set(group.instances.flatMap { $0.ports.filter { $0.value == group.port }.keys })
        let byName = ports.first { names.contains($0["name"]?.string ?? "") }
        return (byTarget ?? byName ?? ports.first)?["name"]?.string ?? ""
    }

    // MARK: Comparing

    private static func isSame(_ current: Object, _ wanted: Object) -> Bool {
        func ports(_ slice: Object) -> [String] {
            (slice["ports"]?.array ?? []).map { "\($0["name"]?.string ?? "")/\($0["port"]?.integer ?? 0)" }
        }
        func endpoints(_ slice: Object) -> [String] {
            (slice["endpoints"]?.array ?? []).map { endpoint in
                let isReady = endpoint["conditions"]?["ready"]?.bool ?? true
                return "\(endpoint["addresses"]?.strings ?? []) \(isReady)"
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
