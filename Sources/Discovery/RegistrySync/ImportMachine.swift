// What a Kubernetes Service looks like in the catalogue.

import Catalogue
import Formats
import Objects

/// Services and EndpointSlices in, instances out. EndpointSlices that were exported from the catalogue do not count.
package enum ImportMachine {
    /// The instances of a Service: one for every address of every endpoint. Endpoints that are not ready are unhealthy,
    /// those that are leaving disabled as well. Only TCP ports count; a slice without any gives nothing.
    package static func instances(of service: Object, slices: [Object]) -> [Instance] {
        var instances: [String: Instance] = [:]
        let order = (service.spec["ports"]?.array ?? []).map { $0["name"]?.string ?? "" }
        for slice in slices where !ExportMark.isOwn(slice: slice) {
            let ports = ports(of: slice)
            let primary = order.lazy.compactMap { name in ports.first { $0.name == name } }.first ?? ports.first
            guard let primary else { continue }
            for endpoint in slice["endpoints"]?.array ?? [] {
                for address in endpoint["addresses"]?.strings ?? [] {
                    let instance = instance(endpoint, address, primary.port, ports)
                    // An endpoint moves between slices by being in both for a moment; a ready one counts more.
                    if let other = instances["\(address) \(primary.port)"], other.isHealthy { continue }
                    instances["\(address) \(primary.port)"] = instance
                }
            }
        }
        return instances.keys.sorted().compactMap { instances[$0] }
    }

    private static func instance(
        _ endpoint: JSON, _ address: String, _ port: Int, _ ports: [(name: String, port: Int)]
    ) -> Instance {
        let conditions = endpoint["conditions"]
        let isLeaving = conditions?["terminating"]?.bool ?? false
        var named: [String: Int] = [:]
        for port in ports where !port.name.isEmpty { named[port.name] = port.port }
        return Instance(
            id: endpoint["targetRef"]?["name"]?.string ?? "", address: address, port: port, ports: named,
            isHealthy: (conditions?["ready"]?.bool ?? true) && !isLeaving, isEnabled: !isLeaving, lifetime: .kubernetes,
            origin: .kubernetes)
    }

    private static func ports(of slice: Object) -> [(name: String, port: Int)] {
        (slice["ports"]?.array ?? []).compactMap { port in
            guard (port["protocol"]?.string ?? "TCP") == "TCP", let number = port["port"]?.integer else { return nil }
            return (port["name"]?.string ?? "", number)
        }
    }
}
