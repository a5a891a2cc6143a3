// What one Service and its EndpointSlices are in DNS, by the Kubernetes DNS specification, version 1.1.0.

import Formats
import Objects

/// A record at a name in lower case.
struct NamedRecord: Hashable, Sendable {
    var name: [UInt8]
    var data: RecordData
}

/// Renders a Service.
///
/// Follows https://github.com/kubernetes/dns/blob/master/docs/specification.md, and CoreDNS where that is silent: every
/// service has names for its endpoints, an endpoint without a hostname is called by its address with dashes.
struct ServiceRecords {
    private(set) var records: [NamedRecord] = []
    private let service: Object
    private let isHeadless: Bool
    private let publishesNotReady: Bool

    /// Who wrote the slices does not matter: services that registries export are services.
    static func of(_ service: Object, slices: [Object], domain: DomainName) -> [NamedRecord] {
        var made = ServiceRecords(service)
        made.add(slices: slices, domain: domain)
        return made.records
    }

    private init(_ service: Object) {
        self.service = service
        isHeadless = service.spec["clusterIP"]?.string == "None"
        publishesNotReady = service.spec["publishNotReadyAddresses"]?.bool ?? false
    }

    private mutating func add(slices: [Object], domain: DomainName) {
        guard let name = domain.prefixed(service.name, service.namespace, "svc") else { return }
        if service.spec["type"]?.string == "ExternalName" {
            if let target = service.spec["externalName"]?.string.flatMap({ DomainName($0) }) {
                add(.cname(target), at: name)
            }
            return
        }
        var addresses = service.spec["clusterIPs"]?.strings ?? []
        if addresses.isEmpty, let only = service.spec["clusterIP"]?.string { addresses = [only] }
        for address in addresses.compactMap({ IPAddress($0) }) {
            add(.address(address), at: name)
            add(.ptr(name), at: address.reverse)
        }
        if !isHeadless, !records.isEmpty {
            for port in service.spec["ports"]?.array ?? [] {
                guard let number = port["port"]?.integer.flatMap({ UInt16(exactly: $0) }) else { continue }
                add(.srv(priority: 0, weight: 100, port: number, target: name), at: Self.portName(port, name))
            }
        }
        // The share of an endpoint counts all that are named, in whichever slice they are.
        let ready = slices.map { slice in (slice["endpoints"]?.array ?? []).filter { isNamed($0) } }
        let weight = UInt16(max(1, 100 / max(1, ready.reduce(0) { $0 + $1.count })))
        for (slice, endpoints) in zip(slices, ready) {
            for endpoint in endpoints { add(endpoint, ports: slice["ports"]?.array ?? [], weight: weight, of: name) }
        }
    }

    /// An endpoint that says nothing of its readiness is ready.
    private func isNamed(_ endpoint: JSON) -> Bool {
        publishesNotReady || endpoint["conditions", "ready"]?.bool ?? true
    }

    private mutating func add(_ endpoint: JSON, ports: [JSON], weight: UInt16, of service: DomainName) {
        let hostname = endpoint["hostname"]?.string ?? ""
        for address in (endpoint["addresses"]?.strings ?? []).compactMap({ IPAddress($0) }) {
            guard let name = service.prefixed(hostname.isEmpty ? address.dashed : hostname) else { continue }
            add(.address(address), at: name)
            add(.ptr(name), at: address.reverse)
            guard isHeadless else { continue }
            add(.address(address), at: service)
            for port in ports {
                guard let number = port["port"]?.integer.flatMap({ UInt16(exactly: $0) }) else { continue }
                add(.srv(priority: 0, weight: weight, port: number, target: name), at: Self.portName(port, service))
            }
        }
    }

    /// `_http._tcp.` before the service; nil for a port without a name, which has no record.
    private static func portName(_ port: JSON, _ service: DomainName) -> DomainName? {
        guard let name = port["name"]?.string, !name.isEmpty else { return nil }
        return service.prefixed("_\(name)", "_\((port["protocol"]?.string ?? "TCP").lowercased())")
    }

    private mutating func add(_ data: RecordData, at name: DomainName?) {
        if let name { records.append(NamedRecord(name: name.folded, data: data)) }
    }
}
