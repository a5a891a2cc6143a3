// The records of a cluster: Services and EndpointSlices rendered by the Kubernetes DNS specification, version 1.1.0.

import Formats
import Objects

/// All records of the cluster domain and the reverse names of its addresses, at one moment.
///
/// Follows https://github.com/kubernetes/dns/blob/master/docs/specification.md, and CoreDNS where that is silent: every
/// service has names for its endpoints, an endpoint without a hostname is called by its address with dashes.
struct Zone: Sendable {
    static let specificationVersion = "1.1.0"
    static let timeToLiveSeconds: UInt32 = 5

    let domain: DomainName
    let startOfAuthority: RecordData
    private var records: [DomainName: [RecordData]] = [:]
    /// Names without records of their own between the domain and names that have some (RFC 4592, section 2.2.2).
    private var betweens: Set<DomainName> = []

    init(domain: DomainName, serverAddress: UInt32?, services: [Object], slices: [Object], serial: UInt32) {
        self.domain = domain
        let server = domain.prefixed("ns", "dns") ?? domain
        startOfAuthority = .soa(
            RecordData.StartOfAuthority(
                server: server, mailbox: domain.prefixed("hostmaster") ?? domain, serial: serial, refreshSeconds: 7200,
                retrySeconds: 1800, expireSeconds: 86400, negativeSeconds: Self.timeToLiveSeconds))
        add(startOfAuthority, at: domain)
        add(.ns(server), at: domain)
        if let serverAddress { add(.a(serverAddress), at: server) }
        add(.txt([Array(Self.specificationVersion.utf8)]), at: domain.prefixed("dns-version"))
        for branch in ["svc", "pod"] { if let name = domain.prefixed(branch) { betweens.insert(name) } }

        var slicesByService: [ObjectKey: [Object]] = [:]
        for slice in slices where slice["addressType"]?.string == "IPv4" {
            guard let service = slice.labels["kubernetes.io/service-name"] else { continue }
            slicesByService[ObjectKey(namespace: slice.namespace, name: service), default: []].append(slice)
        }
        for service in services { add(service, slices: slicesByService[service.key] ?? []) }
    }

    enum Found: Hashable, Sendable {
        case records([RecordData])
        /// The name exists, with no records.
        case nothing
        case noSuchName
    }

    /// Everything at a name.
    func find(_ name: DomainName) -> Found {
        if let found = records[name] { return .records(found) }
        if let address = podAddress(name) { return .records([.a(address)]) }
        return betweens.contains(name) ? .nothing : .noSuchName
    }

    /// `10-88-0-5.shop.pod.cluster.local` says its own address; as with CoreDNS's default, whether there is such a pod is
    /// not asked.
    private func podAddress(_ name: DomainName) -> UInt32? {
        guard name.labels.count == domain.labels.count + 3, name.isWithin(domain),
            DomainName(labels: name.labels.dropFirst(2)) == domain.prefixed("pod")
        else { return nil }
        return Self.address(String(decoding: name.labels[0], as: UTF8.self), separator: "-")
    }

    private mutating func add(_ service: Object, slices: [Object]) {
        guard let name = domain.prefixed(service.name, service.namespace, "svc") else { return }
        if service.spec["type"]?.string == "ExternalName" {
            if let target = service.spec["externalName"]?.string.flatMap({ DomainName($0) }) { add(.cname(target), at: name) }
            return
        }
        let clusterIP = service.spec["clusterIP"]?.string ?? ""
        let isHeadless = clusterIP == "None"
        if let address = Self.address(clusterIP) {
            add(.a(address), at: name)
            add(.ptr(name), at: Self.reverse(address))
            for port in service.spec["ports"]?.array ?? [] {
                guard let number = port["port"]?.integer.flatMap({ UInt16(exactly: $0) }) else { continue }
                add(.srv(priority: 0, weight: 100, port: number, target: name), at: Self.portName(port, name))
            }
        } else if isHeadless {
            addBetween(name)
        }
        for slice in slices { add(slice, of: name, isHeadless: isHeadless) }
    }

    private mutating func add(_ slice: Object, of service: DomainName, isHeadless: Bool) {
        let endpoints = (slice["endpoints"]?.array ?? []).filter { $0["conditions", "ready"]?.bool ?? true }
        for endpoint in endpoints {
            for text in endpoint["addresses"]?.strings ?? [] {
                guard let address = Self.address(text) else { continue }
                let dashed = text.split(separator: ".").joined(separator: "-")
                let hostname = endpoint["hostname"]?.string ?? ""
                guard let name = service.prefixed(hostname.isEmpty ? dashed : hostname) else { continue }
                add(.a(address), at: name)
                add(.ptr(name), at: Self.reverse(address))
                guard isHeadless else { continue }
                add(.a(address), at: service)
                for port in slice["ports"]?.array ?? [] {
                    guard let number = port["port"]?.integer.flatMap({ UInt16(exactly: $0) }) else { continue }
                    let weight = UInt16(max(1, 100 / max(1, endpoints.count)))
                    add(.srv(priority: 0, weight: weight, port: number, target: name), at: Self.portName(port, service))
                }
            }
        }
    }

    /// `_http._tcp.` before the service; nil for a port without a name, which has no record.
    private static func portName(_ port: JSON, _ service: DomainName) -> DomainName? {
        guard let name = port["name"]?.string, !name.isEmpty else { return nil }
        return service.prefixed("_\(name)", "_\((port["protocol"]?.string ?? "TCP").lowercased())")
    }

    private mutating func add(_ data: RecordData, at name: DomainName?) {
        guard let name, records[name]?.contains(data) != true else { return }
        records[name, default: []].append(data)
        addBetween(name)
    }

    private mutating func addBetween(_ name: DomainName) {
        var next: DomainName? = name
        while let name = next, name != domain, name.isWithin(domain), betweens.insert(name).inserted { next = name.parent }
    }

    static func address(_ text: String, separator: Character = ".") -> UInt32? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard part.count <= 3, part.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt8(part) else {
                return nil
            }
            address = address << 8 | UInt32(number)
        }
        return address
    }

    static func reverse(_ address: UInt32) -> DomainName? {
        DomainName("\(address & 255).\(address >> 8 & 255).\(address >> 16 & 255).\(address >> 24).in-addr.arpa")
    }
}
