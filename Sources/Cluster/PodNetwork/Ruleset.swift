// The nftables table that makes the kernel the load balancer, as text.

import Objects

/// The rules for a table of service ports. Equal tables give equal text.
struct Ruleset: Hashable, Sendable {
    static let table = "mangrove-services"

    /// The whole table, in place of any that there is.
    var text: String { Self.removal + body }
    /// Every address that these rules send new connections to.
    let targets: Set<IPv4Address>
    /// What was left out and why, in people's words.
    let omissions: [String]
    /// Ways of UDP packets: the kernel keeps a flow on its way for as long as packets come.
    let flows: Set<Flow>
    /// What has to be known of these rules to replace them and keep who is at home where.
    let names: RuleNames
    /// The table, for where there is none.
    let body: String

    /// A service's address and port, or its node port on any address, and a target behind it.
    struct Flow: Hashable, Sendable {
        var address: IPv4Address?
        var port: Int
        var target: IPv4Address
    }

    init(_ services: ServiceTable, serviceRange: AddressRange, podRange: AddressRange) {
        var rules = Rules(podRange: podRange)
        for port in services.ports { rules.add(port) }
        body = rules.text(serviceRange: serviceRange)
        targets = rules.targets
        omissions = rules.omissions
        flows = rules.flows
        names = RuleNames(chains: rules.chainNames, affinities: rules.affinities)
    }

    /// The table is made first so that deleting it cannot fail; nft applies the whole input as one transaction.
    static let removal = "table ip \(table)\ndelete table ip \(table)\n"

    /// What turns these rules, which the kernel has, into the next ones and keeps who is at home where; nil where there
    /// is nothing to keep.
    func change(to next: Ruleset) -> String? { names.change(to: next.names).map { $0 + next.body } }
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
    var chainNames: [String] = []
    var affinities: [String: Int] = [:]
    var guarded: [String] = []
    var flows: Set<Ruleset.Flow> = []
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
        guardAddresses(of: port, chain)
        if port.externalTargets == port.targets {
            add(port, port.addresses + port.externalAddresses, port.nodePort, port.targets, chain)
        } else {
            add(port, port.addresses, nil, port.targets, chain)
            add(port, port.externalAddresses, port.nodePort, port.externalTargets, "out/" + chain.dropFirst(4))
        }
    }

    /// A port without targets gets no chain: its addresses are refused, its node port falls through to a machine that
    /// does not listen there.
    private mutating func add(
        _ port: ServicePort, _ addresses: [IPv4Address], _ nodePort: Int?, _ targets: [ServicePort.Target],
        _ chain: String
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
        if port.transport == .udp {
            for target in targets {
                for address in addresses {
                    flows.insert(.init(address: address, port: port.port, target: target.address))
                }
                if let nodePort { flows.insert(.init(address: nil, port: nodePort, target: target.address)) }
            }
        }
        if let seconds = port.stickySeconds {
            addSticky(chain, transport, targets, seconds)
        } else {
            addChain(chain, ["meta l4proto \(transport) \(Self.translation(targets))"])
        }
    }

    private mutating func addChain(_ name: String, _ lines: [String]) {
        chainNames.append(name)
        chains.append("  chain \(name) {\n" + lines.map { "    \($0)\n" }.joined() + "  }\n")
    }

    /// A client that a target's set still holds goes there; others go anywhere and are held from then on (as
    /// kube-proxy's nftables mode does it).
    private mutating func addSticky(
        _ chain: String, _ transport: String, _ targets: [ServicePort.Target], _ seconds: Int
    ) {
        var known: [String] = []
        var map: [String] = []
        for (position, target) in targets.enumerated() {
            let place = "\(chain)/\(target.address)/\(target.port)"
            let (set, end) = ("at/\(place)", "to/\(place)")
            affinities[set] = seconds
            chains.append(
                "  set \(set) {\n    type ipv4_addr\n    flags dynamic,timeout\n    timeout \(seconds)s\n  }\n")
            addChain(
                end,
                ["update @\(set) { ip saddr }", "meta l4proto \(transport) dnat to \(target.address):\(target.port)"])
            known.append("ip saddr @\(set) goto \(end)")
            map.append("\(position) : goto \(end)")
        }
        addChain(chain, known + ["numgen random mod \(targets.count) vmap { \(map.joined(separator: ", ")) }"])
        // It leads to the others, so it is deleted before them.
        chainNames.removeLast()
        chainNames.insert(chain, at: 0)
    }

    /// Only clients of these ranges may use a load balancer's address; others hear nothing, as kube-proxy has it.
    private mutating func guardAddresses(of port: ServicePort, _ chain: String) {
        guard !port.guardedAddresses.isEmpty else { return }
        let name = "may/\(chain)"
        addChain(name, port.sourceRanges.map { "ip saddr \($0) return" } + ["drop"])
        for address in port.guardedAddresses {
            guarded.append("\(address) . \(port.transport.rawValue) . \(port.port) : goto \(name)")
        }
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

    private static func translation(_ targets: [ServicePort.Target]) -> String {
        if targets.count == 1, let only = targets.first { return "dnat to \(only.address):\(only.port)" }
        let map = targets.enumerated().map { "\($0.offset) : \($0.element.address) . \($0.element.port)" }
        return "dnat to numgen random mod \(targets.count) map { \(map.joined(separator: ", ")) }"
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
    /// answer itself directly. Rejection is a filter's right, so it is not in the nat chains; the machine's own
    /// addresses in the service range (kubernetes, DNS) are let through to whoever listens there.
    func text(serviceRange: AddressRange) -> String {
        let hairpin = targets.filter(podRange.contains).sorted().map { "\($0) . \($0)" }
        return """
            table ip \(Ruleset.table) {
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
              map guarded {
                type ipv4_addr . inet_proto . inet_service : verdict
            \(Self.elements(guarded))  }
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
              chain guard-in {
                type filter hook prerouting priority dstnat - 10
                ip daddr . meta l4proto . th dport vmap @guarded
              }
              chain guard-own {
                type filter hook output priority -110
                ip daddr . meta l4proto . th dport vmap @guarded
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
