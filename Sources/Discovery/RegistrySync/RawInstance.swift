// An exported instance in its writer's words, as an EndpointSlice's annotation keeps it.

import Catalogue
import Formats
import Objects

/// The annotation is a JSON array of objects; what an instance has as usual is left out of its object.
enum RawInstance {
    static func tree(_ instance: Instance) -> JSON {
        var tree: JSON = ["address": .string(instance.address), "port": JSON(instance.port)]
        if !instance.furtherAddresses.isEmpty {
            tree["addresses"] = .array(instance.furtherAddresses.map { .string($0) })
        }
        if !instance.protocolName.isEmpty { tree["protocol"] = .string(instance.protocolName) }
        if instance.isImplied { tree["implied"] = true }
        if !instance.id.isEmpty { tree["id"] = .string(instance.id) }
        if instance.weight != 1 { tree["weight"] = .number(instance.weight) }
        tree["cluster"] = .string(instance.cluster)
        if !instance.isHealthy { tree["healthy"] = false }
        if !instance.isEnabled { tree["enabled"] = false }
        if case .persistent = instance.lifetime { tree["persistent"] = true }
        if !instance.ports.isEmpty {
            var ports = JSONObject()
            for name in instance.ports.keys.sorted() { ports[name] = instance.ports[name].map { JSON($0) } }
            tree["ports"] = .object(ports)
        }
        if !instance.metadata.isEmpty { tree["metadata"] = JSON(stringMap: instance.metadata) }
        if !instance.words.isEmpty { tree["words"] = .string(instance.words) }
        if let lease = instance.lifetime.lease, lease.removedAfterMilliseconds > Lease.adopted.removedAfterMilliseconds
        {
            tree["leaseSeconds"] = JSON(lease.removedAfterMilliseconds / 1_000)
        }
        return tree
    }

    /// The instances that an exported slice stands for, to be put back into the catalogue after a restart until their
    /// writers come again; persistent ones, whose writers do not, for good. What is implied comes back with its cause.
    static func adopted(from slice: Object) -> [Instance] {
        guard ExportMark.isOwn(slice: slice), !slice.isTerminating else { return [] }
        return trees(slice).filter { $0["implied"]?.bool != true }.compactMap { instance($0, slice) }
    }

    /// Every instance that a slice made here keeps the words of.
    static func all(in slice: Object) -> [Instance] { trees(slice).compactMap { instance($0, slice) } }

    private static func trees(_ slice: Object) -> [JSON] {
        guard let text = slice.annotations[ExportMark.instancesAnnotation] else { return [] }
        return (try? JSON(parsing: text))?.array ?? []
    }

    private static func instance(_ tree: JSON, _ slice: Object) -> Instance? {
        guard let origin = slice.labels[ExportMark.originLabel].flatMap(Origin.init(rawValue:)), origin != .kubernetes,
            let address = tree["address"]?.string, let port = tree["port"]?.integer
        else { return nil }
        var ports: [String: Int] = [:]
        for member in tree["ports"]?.object ?? JSONObject() { ports[member.key] = member.value.integer }
        var instance = Instance(
            id: tree["id"]?.string ?? "", address: address, furtherAddresses: tree["addresses"]?.strings ?? [],
            port: port, ports: ports, protocolName: tree["protocol"]?.string ?? "",
            weight: tree["weight"]?.number ?? 1, isHealthy: tree["healthy"]?.bool ?? true,
            isEnabled: tree["enabled"]?.bool ?? true, cluster: tree["cluster"]?.string ?? "DEFAULT",
            metadata: tree["metadata"]?.stringMap ?? [:], words: tree["words"]?.string ?? "",
            lifetime: tree["persistent"]?.bool == true ? .persistent : .lease(adoptedLease(tree)), origin: origin)
        instance.isImplied = tree["implied"]?.bool == true
        return instance
    }

    /// Its writer has as long to come again as it would have had.
    private static func adoptedLease(_ tree: JSON) -> Lease {
        var lease = Lease.adopted
        if let seconds = tree["leaseSeconds"]?.integer, (1...86_400).contains(seconds) {
            lease.unhealthyAfterMilliseconds = max(lease.unhealthyAfterMilliseconds, seconds * 1_000)
            lease.removedAfterMilliseconds = max(lease.removedAfterMilliseconds, seconds * 1_000)
        }
        return lease
    }
}
