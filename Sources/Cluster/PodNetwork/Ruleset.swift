// The nftables table that makes the kernel the load balancer, as text.

import Objects

/// The rules for a table of service ports. Equal tables give equal text.
struct Ruleset: Hashable, Sendable {
    static let table = "mangrove-services"

    let text: String
    /// Every address that these rules send new connections to.
    let targets: Set<IPv4Address>
    /// What was left out and why, in people's words.
    let omissions: [String]

    init(_ services: ServiceTable, serviceRange: AddressRange, podRange: AddressRange) {
        var rules = Rules(podRange: podRange)
        for port in services.ports { rules.add(port) }
        text = rules.text(serviceRange: serviceRange)
        targets = rules.targets
        omissions = rules.omissions
    }

    /// The table is made first so that deleting it cannot fail; nft applies the whole input as one transaction.
    static let removal = "table ip \(table)\ndelete table ip \(table)\n"
}

/// Rules as they are gathered.
private struct Rules {
    let podRange: AddressRange
    var services: [String] = []
    /// Addresses with a port that leads nowhere: connections are refused at once, also where the address is not in the
    /// service range.
    var empty: [String] = []
    var nodePorts: [String] = []
    var chains: [String] = []
    var targets: Set<IPv4Address> = []
    var omissions: [String] = []
    private var owners: [String: ObjectKey] = [:]

    init(podRange: AddressRange) { self.podRange = podRange }

    mutating func add(_ port: ServicePort) {
        let chain = "svc/\(port.service.namespace)/\(port.service.name)/\(port.transport.rawValue)/\(port.port)"
        guard chain.utf8.allSatisfy(Self.isPlain) else {
            omissions.append("\(port.service) has a name that no service can have")
            return
        }
        if port.externalTargets == port.targets {
            add(port, port.addresses + port.externalAddresses, port.nodePort, port.targets, chain)
        } else {
            add(port, port.addresses, nil, port.targets, chain)
            add(port, port.externalAddresses, port.nodePort, port.externalTargets, "out/" + chain.dropFirst(4))
        }
    }

    /// A port without targets gets no chain: its addresses are refused, its node port falls through to a machine that does
    /// not listen there.
    private mutating func add(
        _ port: ServicePort, _ addresses: [IPv4Address], _ nodePort: Int?, _ targets: [ServicePort.Target], _ chain: String
    ) {
        let transport = port.transport.rawValue
        guard !targets.isEmpty else {
            for address in addresses where claim("\(address) . \(transport) . \(port.port)", port.service) {
                empty.append("\(address) . \(transport) . \(port.port)")
            }
            return
        }
        var isUsed = false
        for address in addresses where claim("\(address) . \(transport) . \(port.port)", port.service) {
            services.append("\(address) . \(transport) . \(port.port) : goto \(chain)")
            isUsed = true
        }
        if let nodePort, claim("\(transport) . \(nodePort)", port.service) {
            nodePorts.append("\(transport) . \(nodePort) : goto \(chain)")
            isUsed = true
        }
        guard isUsed else { return }
        for target in targets { self.targets.insert(target.address) }
        chains.append("  chain \(chain) {\n    meta l4proto \(transport) \(Self.translation(targets, port.isSticky))\n  }\n")
    }

    /// nft refuses a whole ruleset that has one key twice; the first service in order keeps it.
    private mutating func claim(_ key: String, _ service: ObjectKey) -> Bool {
        if let owner = owners[key] {
            if owner != service { omissions.append("\(service) cannot have \(key): \(owner) has it") }
            return false
        }
        owners[key] = service
        return true
    }

    private static func translation(_ targets: [ServicePort.Target], _ isSticky: Bool) -> String {
        if targets.count == 1, let only = targets.first { return "dnat to \(only.address):\(only.port)" }
        let choice = isSticky ? "jhash ip saddr" : "numgen random"
        let seed = isSticky ? " seed 0x6d616e67" : ""
        let map = targets.enumerated().map { "\($0.offset) : \($0.element.address) . \($0.element.port)" }
        return "dnat to \(choice) mod \(targets.count)\(seed) map { \(map.joined(separator: ", ")) }"
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "."), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    private static func elements(_ elements: [String]) -> String {
        elements.isEmpty ? "" : "    elements = { \(elements.joined(separator: ",\n      ")) }\n"
    }

    /// The hairpin set makes a pod that reaches itself through a service see the machine as its client, or it would
    /// answer itself directly. Rejection is a filter's right, so it is not in the nat chains; the machine's own addresses
    /// in the service range (kubernetes, DNS) are let through to whoever listens there.
    func text(serviceRange: AddressRange) -> String {
        let hairpin = targets.filter(podRange.contains).sorted().map { "\($0) . \($0)" }
        return """
            \(Ruleset.removal)table ip \(Ruleset.table) {
              set hairpin {
                type ipv4_addr . ipv4_addr
            \(Self.elements(hairpin))  }
              map services {
                type ipv4_addr . inet_proto . inet_service : verdict
            \(Self.elements(services))  }
              set empty {
                type ipv4_addr . inet_proto . inet_service
            \(Self.elements(empty))  }
              map nodeports {
                type inet_proto . inet_service : verdict
            \(Self.elements(nodePorts))  }
            \(chains.joined())  chain dispatch {
                ip daddr . meta l4proto . th dport vmap @services
                fib daddr type local meta l4proto . th dport vmap @nodeports
              }
              chain prerouting {
                type nat hook prerouting priority dstnat
                jump dispatch
              }
              chain output {
                type nat hook output priority -100
                jump dispatch
              }
              chain postrouting {
                type nat hook postrouting priority srcnat
                ip saddr . ip daddr @hairpin masquerade
                ct status dnat ip saddr 127.0.0.0/8 oifname != "lo" masquerade
              }
              chain refuse {
                meta l4proto tcp reject with tcp reset
                reject with icmp type port-unreachable
              }
              chain refuse-in {
                type filter hook input priority filter
                ip daddr . meta l4proto . th dport @empty goto refuse
              }
              chain refuse-own {
                type filter hook output priority filter
                ip daddr . meta l4proto . th dport @empty goto refuse
                ip daddr \(serviceRange) fib daddr type != local goto refuse
              }
              chain refuse-forwarded {
                type filter hook forward priority filter
                ip daddr . meta l4proto . th dport @empty goto refuse
                ip daddr \(serviceRange) goto refuse
              }
            }

            """
    }
}
