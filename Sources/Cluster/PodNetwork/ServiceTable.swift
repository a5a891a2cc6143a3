// Which service address leads to which endpoints: Services and EndpointSlices read into plain values.

import Formats
import Objects

/// One port of one Service and where its new connections go.
struct ServicePort: Hashable, Sendable {
    /// What nftables and Kubernetes both know; others are refused by the API.
    enum TransportProtocol: String, Hashable, Sendable, Comparable {
        case tcp, udp, sctp

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    struct Target: Hashable, Sendable, Comparable {
        var address: IPv4Address
        var port: Int

        static func < (left: Target, right: Target) -> Bool { (left.address, left.port) < (right.address, right.port) }
    }

    var service: ObjectKey
    var transport: TransportProtocol
    /// The cluster IPs: what the service is called inside.
    var addresses: [IPv4Address]
    /// External IPs and the addresses of its load balancer: what it is called from outside, as by its node port.
    var externalAddresses: [IPv4Address]
    var port: Int
    var nodePort: Int?
    /// Connections from one client go to one target, until none came for so many seconds.
    var stickySeconds: Int?
    /// Addresses of a load balancer that only clients of some ranges may use.
    var guardedAddresses: [IPv4Address] = []
    var sourceRanges: [AddressRange] = []
    /// For connections to `addresses`; in order, without doubles.
    var targets: [Target]
    /// For connections to `externalAddresses` and `nodePort`.
    var externalTargets: [Target]
}

/// The ports of all Services.
struct ServiceTable: Hashable, Sendable {
    /// In the order of service, protocol and port, so that equal pictures give equal tables.
    private(set) var ports: [ServicePort] = []
    /// Terminating endpoints among the slices: a request to withdraw means something only for these.
    private(set) var terminating: Set<IPv4Address> = []

    /// Reads the picture. Slices count whoever manages them.
    ///
    /// Targets of a port are its ready endpoints; when none is ready, those that still serve while they terminate (as
    /// kube-proxy does, KEP-1669), but never a terminating endpoint in `withdrawing`: its node waits for it to be left.
    ///
    /// With a traffic policy of Local only endpoints whose node is `nodeName` count.
    /// `pods` are this node's, for their host ports.
    init(
        services: [Object], slices: [Object], pods: [Object] = [], withdrawing: Set<IPv4Address> = [],
        nodeName: String = ""
    ) {
        var slicesByService: [ObjectKey: [Object]] = [:]
        for slice in slices where slice["addressType"]?.string == "IPv4" {
            guard let service = slice.labels["kubernetes.io/service-name"] else { continue }
            slicesByService[ObjectKey(namespace: slice.namespace, name: service), default: []].append(slice)
        }
        for slice in slices {
            for endpoint in slice["endpoints"]?.array ?? [] where Condition(endpoint).isTerminating {
                terminating.formUnion(Self.addresses(of: endpoint))
            }
        }
        for service in services {
            let own = slicesByService[service.key] ?? []
            for port in service.spec["ports"]?.array ?? [] {
                guard let number = port["port"]?.integer, (1...65535).contains(number),
                    let transport = ServicePort.TransportProtocol(
                        rawValue: (port["protocol"]?.string ?? "TCP").lowercased())
                else { continue }
                let addresses = Self.addresses(of: service)
                let external = Self.externalAddresses(of: service)
                let nodePort = Self.hasNodePorts(service) ? port["nodePort"]?.integer : nil
                guard !addresses.isEmpty || !external.isEmpty || nodePort != nil else { continue }
                func targets(_ policy: String) -> [ServicePort.Target] {
                    Self.targets(
                        port: port["name"]?.string ?? "", transport: transport, slices: own, withdrawing: withdrawing,
                        onlyOn: service.spec[policy] == "Local" ? nodeName : nil)
                }
                let guarded = Self.sourceRanges(of: service)
                ports.append(
                    ServicePort(
                        service: service.key, transport: transport, addresses: addresses, externalAddresses: external,
                        port: number,
                        nodePort: nodePort.flatMap { (1...65535).contains($0) ? $0 : nil },
                        stickySeconds: Self.stickySeconds(of: service),
                        guardedAddresses: guarded == nil ? [] : Self.balancerAddresses(of: service),
                        sourceRanges: guarded ?? [],
                        targets: targets("internalTrafficPolicy"), externalTargets: targets("externalTrafficPolicy")))
            }
        }
        ports += HostPorts.of(pods)
        ports.sort { ($0.service, $0.transport, $0.port) < ($1.service, $1.transport, $1.port) }
    }

    private static func hasNodePorts(_ service: Object) -> Bool {
        ["NodePort", "LoadBalancer"].contains(service.spec["type"]?.string)
    }

    /// None for a headless or external-name service.
    private static func addresses(of service: Object) -> [IPv4Address] {
        guard service.spec["type"]?.string != "ExternalName", service.spec["clusterIP"]?.string != "None" else {
            return []
        }
        var texts = service.spec["clusterIPs"]?.strings ?? []
        if let only = service.spec["clusterIP"]?.string, !texts.contains(only) { texts.append(only) }
        return texts.compactMap { IPv4Address($0) }
    }

    private static func externalAddresses(of service: Object) -> [IPv4Address] {
        guard service.spec["type"]?.string != "ExternalName" else { return [] }
        let given = (service.spec["externalIPs"]?.strings ?? []).compactMap { IPv4Address($0) }
        return Set(given + balancerAddresses(of: service)).sorted()
    }

    private static func balancerAddresses(of service: Object) -> [IPv4Address] {
        guard service.spec["type"] == "LoadBalancer" else { return [] }
        // With ipMode Proxy whoever owns the address does not want it short-cut.
        return (service.status["loadBalancer", "ingress"]?.array ?? []).filter { $0["ipMode"] != "Proxy" }
            .compactMap { $0["ip"]?.string }.compactMap { IPv4Address($0) }
    }

    /// Upstream's default for `clientIP.timeoutSeconds`.
    static let usualStickySeconds = 10_800

    private static func stickySeconds(of service: Object) -> Int? {
        guard service.spec["sessionAffinity"]?.string == "ClientIP" else { return nil }
        let given = service.spec["sessionAffinityConfig", "clientIP", "timeoutSeconds"]?.integer ?? usualStickySeconds
        return min(max(given, 1), 86_400)
    }

    /// Who may use the load balancer; nil where everybody may. The older annotation counts where the field is empty.
    private static func sourceRanges(of service: Object) -> [AddressRange]? {
        guard service.spec["type"] == "LoadBalancer" else { return nil }
        var texts = service.spec["loadBalancerSourceRanges"]?.strings ?? []
        if texts.isEmpty, let text = service.annotations["service.beta.kubernetes.io/load-balancer-source-ranges"] {
            texts = text.split(separator: ",").map { $0.filter { $0 != " " } }
        }
        if texts.isEmpty || texts.contains("0.0.0.0/0") { return nil }
        return texts.compactMap { AddressRange(masking: $0) }
    }

    private static func addresses(of endpoint: JSON) -> [IPv4Address] {
        (endpoint["addresses"]?.strings ?? []).compactMap { IPv4Address($0) }
    }

    private static func targets(
        port name: String, transport: ServicePort.TransportProtocol, slices: [Object], withdrawing: Set<IPv4Address>,
        onlyOn node: String?
    ) -> [ServicePort.Target] {
        var ready: Set<ServicePort.Target> = []
        var lasting: Set<ServicePort.Target> = []
        for slice in slices {
            let numbers = (slice["ports"]?.array ?? []).compactMap { port -> Int? in
                guard port["name"]?.string ?? "" == name,
                    (port["protocol"]?.string ?? "TCP").lowercased() == transport.rawValue,
                    let number = port["port"]?.integer, (1...65535).contains(number)
                else { return nil }
                return number
            }
            guard !numbers.isEmpty else { continue }
            for endpoint in slice["endpoints"]?.array ?? [] {
                let condition = Condition(endpoint)
                guard condition.isReady || condition.isServing && condition.isTerminating else { continue }
                if let node, endpoint["nodeName"]?.string != node { continue }
                for address in Self.addresses(of: endpoint) {
                    if condition.isTerminating, withdrawing.contains(address) { continue }
                    for number in numbers {
                        let target = ServicePort.Target(address: address, port: number)
                        if condition.isReady { ready.insert(target) } else { lasting.insert(target) }
                    }
                }
            }
        }
        return (ready.isEmpty ? lasting : ready).sorted()
    }

    /// What a slice says about an endpoint; an unknown condition counts as the API's documentation asks.
    private struct Condition {
        let isReady: Bool
        let isServing: Bool
        let isTerminating: Bool

        init(_ endpoint: JSON) {
            isReady = endpoint["conditions", "ready"]?.bool ?? true
            isServing = endpoint["conditions", "serving"]?.bool ?? isReady
            isTerminating = endpoint["conditions", "terminating"]?.bool ?? false
        }
    }
}
