// What a Kubernetes Service looks like in the catalogue.

import Catalogue
import Formats
import Frameworks
import Objects

/// Services and EndpointSlices in, instances out. EndpointSlices that were exported from the catalogue do not count.
package enum ImportMachine {
    private struct Port {
        var name: String
        var number: Int
        var isTCP: Bool
    }

    /// What the Service says of all its instances.
    private struct Words {
        var metadata: [String: String] = [:]
        /// Overrides what the ports say.
        var protocolName: String?
        /// Of the Service's ports, by their names.
        var protocols: [String: String] = [:]
        var portOrder: [String] = []
    }

    /// The instances of a Service: one for every endpoint, a pod's IPv6 address going with its IPv4 one. Endpoints that
    /// are not ready are unhealthy, those that are leaving disabled as well. An instance's port is the Service's first
    /// TCP port, or the first of all when there is none; every other is there by name.
    package static func instances(of service: Object, slices: [Object]) -> [Instance] {
        guard !ExportMark.isHidden(service: service) else { return [] }
        var instances: [String: Instance] = [:]
        let words = words(of: service)
        for slice in slices where !ExportMark.isOwn(slice: slice) {
            let ports = ports(of: slice)
            guard let primary = primary(ports, words.portOrder) else { continue }
            for endpoint in slice["endpoints"]?.array ?? [] {
                for address in endpoint["addresses"]?.strings ?? [] {
                    let instance = instance(endpoint, address, primary, ports, words)
                    // An endpoint moves between slices by being in both for a moment; a ready one counts more.
                    if let other = instances["\(address) \(primary.number)"], other.isHealthy { continue }
                    instances["\(address) \(primary.number)"] = instance
                }
            }
        }
        return joined(instances.keys.sorted().compactMap { instances[$0] })
    }

    /// A pod that has addresses of both families is one instance.
    private static func joined(_ instances: [Instance]) -> [Instance] {
        var result: [Instance] = []
        var places: [String: Int] = [:]
        for instance in instances.filter({ !$0.address.contains(":") }) + instances.filter({ $0.address.contains(":") })
        {
            let place = "\(instance.id) \(instance.port)"
            if instance.address.contains(":"), !instance.id.isEmpty, let index = places[place] {
                result[index].furtherAddresses.append(instance.address)
                continue
            }
            if !instance.address.contains(":"), !instance.id.isEmpty { places[place] = result.count }
            result.append(instance)
        }
        return result
    }

    private static func instance(
        _ endpoint: JSON, _ address: String, _ primary: Port, _ ports: [Port], _ words: Words
    ) -> Instance {
        let conditions = endpoint["conditions"]
        let isLeaving = conditions?["terminating"]?.bool ?? false
        var named: [String: Int] = [:]
        for port in ports where !port.name.isEmpty { named[port.name] = port.number }
        var metadata = words.metadata
        if let zone = endpoint["zone"]?.string, metadata["zone"] == nil { metadata["zone"] = zone }
        let spoken = words.protocolName ?? words.protocols[primary.name] ?? (primary.isTCP ? "" : "udp")
        return Instance(
            id: endpoint["targetRef"]?["name"]?.string ?? "", address: address, port: primary.number, ports: named,
            protocolName: spoken, isHealthy: (conditions?["ready"]?.bool ?? true) && !isLeaving,
            isEnabled: !isLeaving, metadata: metadata, lifetime: .kubernetes, origin: .kubernetes)
    }

    // MARK: Ports

    private static func primary(_ ports: [Port], _ order: [String]) -> Port? {
        func first(_ ports: [Port]) -> Port? {
            order.lazy.compactMap { name in ports.first { $0.name == name } }.first ?? ports.first
        }
        return first(ports.filter(\.isTCP)) ?? first(ports)
    }

    private static func ports(of slice: Object) -> [Port] {
        (slice["ports"]?.array ?? []).compactMap { port in
            guard let number = port["port"]?.integer else { return nil }
            let carrier = port["protocol"]?.string ?? "TCP"
            return Port(name: port["name"]?.string ?? "", number: number, isTCP: carrier == "TCP")
        }
    }

    // MARK: Annotations

    private static func words(of service: Object) -> Words {
        var words = Words()
        let annotations = service.annotations
        for pair in (annotations[ExportMark.metadataAnnotation] ?? "").split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let key = parts.first.map(trimmed), !key.isEmpty else { continue }
            words.metadata[key] = trimmed(parts[1])
        }
        for key in [DeclaredInterface.dubboKey, DeclaredInterface.sofaKey] {
            if let value = annotations[key], !value.isEmpty { words.metadata[key] = value }
        }
        words.protocolName = annotations[ExportMark.protocolAnnotation]
        for port in service.spec["ports"]?.array ?? [] {
            let name = port["name"]?.string ?? ""
            words.portOrder.append(name)
            if let spoken = port["appProtocol"]?.string { words.protocols[name] = spoken }
        }
        return words
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
