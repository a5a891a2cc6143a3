// The rows of services and of everything else about the network.

import Formats
import Objects

extension TablePrinter {
    static let services = TablePrinter(
        "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector+"
    ) { object, now in
        let spec = object.spec
        let isExternal = spec["type"] == "ExternalName"
        let ports = (spec["ports"]?.array ?? []).map { port in
            let node = port["nodePort"]?.integer ?? 0
            return "\(port["port"]?.integer ?? 0)\(node > 0 ? ":\(node)" : "")/\(port["protocol"]?.string ?? "TCP")"
        }
        let selector = spec["selector"]?.stringMap ?? [:]
        return [
            .string(object.name), Cell.text(spec["type"]),
            Cell.text(spec["clusterIP"], orElse: Cell.none),
            .string(externalAddress(object, isExternal: isExternal)),
            .string(ports.isEmpty ? Cell.none : ports.joined(separator: ",")), Cell.age(object, now),
            .string(selector.isEmpty ? Cell.none : LabelSelector(matchLabels: selector).text),
        ]
    }

    private static func externalAddress(_ service: Object, isExternal: Bool) -> String {
        if isExternal { return service["spec", "externalName"]?.string ?? "" }
        let given = service["spec", "externalIPs"]?.strings ?? []
        if service["spec", "type"] == "LoadBalancer" {
            let ingress = service["status", "loadBalancer", "ingress"]?.array ?? []
            let all = ingress.compactMap { ($0["ip"] ?? $0["hostname"])?.string } + given
            return all.isEmpty ? "<pending>" : all.joined(separator: ",")
        }
        return given.isEmpty ? Cell.none : given.joined(separator: ",")
    }

    static let endpointSlices = TablePrinter(
        "Name", "AddressType", "Ports", "Endpoints", "Age"
    ) { object, now in
        let ports = (object["ports"]?.array ?? []).map { $0["port"]?.integer.map(String.init) ?? "*" }
        let addresses = (object["endpoints"]?.array ?? []).flatMap { $0["addresses"]?.strings ?? [] }
        return [
            .string(object.name), Cell.text(object["addressType"]), shortened(ports, orElse: "<unset>"),
            shortened(addresses, orElse: "<unset>"), Cell.age(object, now),
        ]
    }

    static let endpoints = TablePrinter("Name", "Endpoints", "Age") { object, now in
        var all: [String] = []
        for subset in object["subsets"]?.array ?? [] {
            let addresses = (subset["addresses"]?.array ?? []).compactMap { $0["ip"]?.string }
            let ports = (subset["ports"]?.array ?? []).compactMap { $0["port"]?.integer }
            if ports.isEmpty { all += addresses }
            for port in ports { all += addresses.map { "\($0):\(port)" } }
        }
        return [.string(object.name), shortened(all, orElse: Cell.none), Cell.age(object, now)]
    }

    /// How many endpoints a row names before it only counts the rest.
    private static let namedEndpoints = 3

    private static func shortened(_ names: [String], orElse other: String) -> JSON {
        if names.isEmpty { return .string(other) }
        let shown = names.prefix(namedEndpoints).joined(separator: ",")
        return .string(names.count > namedEndpoints ? "\(shown) + \(names.count - namedEndpoints) more..." : shown)
    }

    /// How many hosts of an Ingress a row names before it only counts the rest.
    private static let namedHosts = 3

    static let ingresses = TablePrinter("Name", "Class", "Hosts", "Address", "Ports", "Age") { object, now in
        let hosts = (object["spec", "rules"]?.array ?? []).compactMap { $0["host"]?.string }.filter { !$0.isEmpty }
        let named = hosts.prefix(namedHosts).joined(separator: ",")
        let shown =
            hosts.isEmpty ? "*" : hosts.count > namedHosts ? "\(named) + \(hosts.count - namedHosts) more..." : named
        let points = object["status", "loadBalancer", "ingress"]?.array ?? []
        let addresses = Set(points.compactMap { ($0["ip"] ?? $0["hostname"])?.string }).sorted()
        return [
            .string(object.name), Cell.text(object["spec", "ingressClassName"], orElse: Cell.none), .string(shown),
            .string(addresses.joined(separator: ",")),
            object["spec", "tls"]?.array?.isEmpty == false ? "80, 443" : "80", Cell.age(object, now),
        ]
    }

    static let ingressClasses = TablePrinter("Name", "Controller", "Parameters", "Age") { object, now in
        var parameters = Cell.none
        if let reference = object["spec", "parameters"] {
            let group = reference["apiGroup"]?.string.map { ".\($0)" } ?? ""
            parameters = "\(reference["kind"]?.string ?? "")\(group)/\(reference["name"]?.string ?? "")"
        }
        return [
            .string(object.name), Cell.text(object["spec", "controller"]), .string(parameters), Cell.age(object, now),
        ]
    }

    static let networkPolicies = TablePrinter("Name", "Pod-Selector", "Age") { object, now in
        [.string(object.name), Cell.selector(object["spec", "podSelector"]), Cell.age(object, now)]
    }

    static let serviceCIDRs = TablePrinter("Name", "CIDRs", "Age") { object, now in
        [
            .string(object.name), .string((object["spec", "cidrs"]?.strings ?? []).joined(separator: ",")),
            Cell.age(object, now),
        ]
    }

    static let ipAddresses = TablePrinter("Name", "ParentRef") { object, _ in
        let parent = object["spec", "parentRef"]
        let group = parent?["group"]?.string ?? ""
        let parts = [
            "\(parent?["resource"]?.string ?? "")\(group.isEmpty ? "" : ".\(group)")",
            parent?["namespace"]?.string ?? "",
            parent?["name"]?.string ?? "",
        ]
        return [.string(object.name), .string(parts.filter { !$0.isEmpty }.joined(separator: "/"))]
    }
}
