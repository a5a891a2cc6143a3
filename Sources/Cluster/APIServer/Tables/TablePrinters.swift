// The rows of the other kinds that have more to show than name and age.

import Formats
import Objects

extension TablePrinter {
    /// The printer of a kind.
    static func of(_ resource: Resource) -> TablePrinter {
        switch (resource.group, resource.plural) {
        case ("", "pods"): .pods
        case ("apps", "deployments"): .deployments
        case ("apps", "replicasets"): .replicaSets
        case ("", "services"): .services
        case ("", "nodes"): .nodes
        case ("", "namespaces"): .namespaces
        case ("", "configmaps"): .configMaps
        case ("", "secrets"): .secrets
        case ("", "events"): .events
        case ("discovery.k8s.io", "endpointslices"): .endpointSlices
        case ("", "endpoints"): .endpoints
        case ("coordination.k8s.io", "leases"): .leases
        default: .plain
        }
    }

    static let deployments = TablePrinter(
        "Name", "Ready", "Up-to-date", "Available", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        let ready = object["status", "readyReplicas"]?.integer ?? 0
        return [
            .string(object.name), .string("\(ready)/\(object["spec", "replicas"]?.integer ?? 0)"),
            .string(Cell.count(object["status", "updatedReplicas"]).text),
            .string(Cell.count(object["status", "availableReplicas"]).text), Cell.age(object, now), containers.names,
            containers.images, Cell.selector(object["spec", "selector"]),
        ]
    }

    static let replicaSets = TablePrinter(
        "Name", "Desired#", "Current#", "Ready#", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        return [
            .string(object.name), Cell.count(object["spec", "replicas"]), Cell.count(object["status", "replicas"]),
            Cell.count(object["status", "readyReplicas"]), Cell.age(object, now), containers.names, containers.images,
            Cell.selector(object["spec", "selector"]),
        ]
    }

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

    static let nodes = TablePrinter(
        "Name", "Status", "Roles", "Age", "Version", "Internal-IP+", "External-IP+", "OS-Image+", "Kernel-Version+",
        "Container-Runtime+"
    ) { node, now in
        var states = [node.condition("Ready") == nil ? "Unknown" : node.isTrue("Ready") ? "Ready" : "NotReady"]
        if node["spec", "unschedulable"]?.bool == true { states.append("SchedulingDisabled") }
        let prefix = "node-role.kubernetes.io/"
        let roles = node.labels.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
        func address(_ type: String) -> JSON? {
            node["status", "addresses"]?.array?.first { $0["type"]?.string == type }?["address"]
        }
        let info = node["status", "nodeInfo"]
        return [
            .string(node.name), .string(states.joined(separator: ",")),
            .string(roles.isEmpty ? Cell.none : roles.joined(separator: ",")), Cell.age(node, now),
            Cell.text(info?["kubeletVersion"]), Cell.text(address("InternalIP"), orElse: Cell.none),
            Cell.text(address("ExternalIP"), orElse: Cell.none), Cell.text(info?["osImage"], orElse: "<unknown>"),
            Cell.text(info?["kernelVersion"], orElse: "<unknown>"),
            Cell.text(info?["containerRuntimeVersion"], orElse: "<unknown>"),
        ]
    }

    static let namespaces = TablePrinter("Name", "Status", "Age") { object, now in
        [.string(object.name), Cell.text(object["status", "phase"]), Cell.age(object, now)]
    }

    static let configMaps = TablePrinter("Name", "Data", "Age") { object, now in
        let count = (object["data"]?.object?.count ?? 0) + (object["binaryData"]?.object?.count ?? 0)
        return [.string(object.name), .string(String(count)), Cell.age(object, now)]
    }

    static let secrets = TablePrinter("Name", "Type", "Data", "Age") { object, now in
        [
            .string(object.name), Cell.text(object["type"]), .string(String(object["data"]?.object?.count ?? 0)),
            Cell.age(object, now),
        ]
    }

    static let leases = TablePrinter("Name", "Holder", "Age") { object, now in
        [.string(object.name), Cell.text(object["spec", "holderIdentity"]), Cell.age(object, now)]
    }

    static let events = TablePrinter(
        "Last Seen", "Type", "Reason", "Object", "Subobject+", "Source+", "Message", "First Seen+", "Count+", "Name+"
    ) { event, now in
        let first = event["firstTimestamp"]?.string ?? event["eventTime"]?.string
        let last = event["series", "lastObservedTime"]?.string ?? event["lastTimestamp"]?.string ?? first
        let target = event["involvedObject"]
        let source = [
            event["source", "component"]?.string ?? event["reportingComponent"]?.string,
            event["source", "host"]?.string,
        ]
        let message = event["message"]?.string ?? ""
        return [
            Cell.since(last, now), Cell.text(event["type"]), Cell.text(event["reason"]),
            .string("\((target?["kind"]?.string ?? "").lowercased())/\(target?["name"]?.string ?? "")"),
            Cell.text(target?["fieldPath"]), .string(source.compactMap(\.self).joined(separator: ", ")),
            .string(message.hasSuffix("\n") ? String(message.dropLast()) : message), Cell.since(first, now),
            .string(String(event["series", "count"]?.integer ?? event["count"]?.integer ?? 1)), .string(event.name),
        ]
    }

    /// How many endpoints a row names before it only counts the rest.
    private static let namedEndpoints = 3

    private static func shortened(_ names: [String], orElse other: String) -> JSON {
        if names.isEmpty { return .string(other) }
        let shown = names.prefix(namedEndpoints).joined(separator: ",")
        return .string(names.count > namedEndpoints ? "\(shown) + \(names.count - namedEndpoints) more..." : shown)
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
}
