// Where `pods/<name>/proxy`, `services/<name>/proxy` and `nodes/<name>/proxy` lead, and which addresses they may reach.

import Formats
import Objects

/// The name in such a path: `web`, `web:8080`, `https:web:8443` (upstream: apimachinery, SplitSchemeNamePort).
struct ProxyName: Sendable, Hashable {
    var isSecure = false
    var name: String
    /// A number or, of a service, a port's name; empty where none is given.
    var port = ""

    /// Nil for texts of another form.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1: name = parts[0]
        case 2: (name, port) = (parts[0], parts[1])
        case 3 where ["", "http", "https"].contains(parts[0]):
            isSecure = parts[0] == "https"
            (name, port) = (parts[1], parts[2])
        default: return nil
        }
        if name.isEmpty { return nil }
    }
}

/// An address and port to connect to; pure.
struct ProxyTarget: Sendable, Hashable {
    var host: String
    var port: Int
    var isSecure: Bool

    private static let usualPort = 80

    /// Only addresses of the cluster: never the API server's own loopback, nor what is local to a link, where clouds
    /// keep their machines' secrets (upstream: ResourceLocation of pods, IsProxyableIP).
    init(host: String, port: Int, isSecure: Bool) throws(Problem) {
        guard AddressRules.isVersion4(host), AddressRules.specialFault(host) == nil, !host.hasPrefix("0."),
            (1...65_535).contains(port)
        else { throw .badRequest("address not allowed") }
        self.host = host
        self.port = port
        self.isSecure = isSecure
    }

    /// A pod at its own address; without a port at the first that a container names.
    init(pod: Object, _ name: ProxyName) throws(Problem) {
        var port = name.port
        if port.isEmpty {
            let ports = (pod["spec", "containers"]?.array ?? []).flatMap { $0["ports"]?.array ?? [] }
            port = ports.first?["containerPort"]?.integer.map(String.init) ?? String(Self.usualPort)
        }
        guard let number = Int(port) else {
            throw .badRequest("invalid pod request \"\(name.name):\(name.port)\": no port number")
        }
        try self.init(host: pod.status["podIP"]?.string ?? "", port: number, isSecure: name.isSecure)
    }

    /// One of the ready endpoints of a service. `pick` chooses one of so many.
    init(service: Object, slices: [Object], _ name: ProxyName, pick: (Int) -> Int) throws(Problem) {
        var wanted = name.port
        let ports = service["spec", "ports"]?.array ?? []
        if let number = Int(wanted) {
            guard let port = ports.first(where: { $0["port"]?.integer == number }) else {
                throw Problem(.serviceUnavailable, "no service port \(number) found for service \"\(service.name)\"")
            }
            wanted = port["name"]?.string ?? ""
        } else if wanted.isEmpty, ports.count == 1 {
            wanted = ports[0]["name"]?.string ?? ""
        }
        var found: [(host: String, port: Int)] = []
        for slice in slices where slice["addressType"]?.string == "IPv4" {
            let numbers = (slice["ports"]?.array ?? []).filter { ($0["name"]?.string ?? "") == wanted }
                .compactMap { $0["port"]?.integer }
            for endpoint in slice["endpoints"]?.array ?? [] where endpoint["conditions", "ready"]?.bool ?? true {
                for address in endpoint["addresses"]?.strings ?? [] { found += numbers.map { (address, $0) } }
            }
        }
        if found.isEmpty { throw Problem(.serviceUnavailable, "no endpoints available for service \"\(name.name)\"") }
        let chosen = found[pick(found.count)]
        try self.init(host: chosen.host, port: chosen.port, isSecure: name.isSecure)
    }

    /// A port of a node's own address.
    init(node: Object, port: Int, isSecure: Bool) throws(Problem) {
        let addresses = node.status["addresses"]?.array ?? []
        let internalAddress = addresses.first { $0["type"]?.string == "InternalIP" }
        try self.init(host: internalAddress?["address"]?.string ?? "", port: port, isSecure: isSecure)
    }

    var authority: String { "\(host):\(port)" }
}
