// The rows of nodes, namespaces, configuration, events and other kinds that have few columns.

import Formats
import Objects

extension TablePrinter {
    static let nodes = TablePrinter(
        "Name", "Status", "Roles", "Age", "Version", "Internal-IP+", "External-IP+", "OS-Image+", "Kernel-Version+",
        "Container-Runtime+"
    ) { node, now in
        var states = [node.condition("Ready") == nil ? "Unknown" : node.isTrue("Ready") ? "Ready" : "NotReady"]
        if node["spec", "unschedulable"]?.bool == true { states.append("SchedulingDisabled") }
        let roles = nodeRoles(node)
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

    private static func nodeRoles(_ node: Object) -> [String] {
        let prefix = "node-role.kubernetes.io/"
        var roles = Set(node.labels.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
        roles.insert(node.labels["kubernetes.io/role"] ?? "")
        return roles.filter { !$0.isEmpty }.sorted()
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
            .string(trimmed(message)), Cell.since(first, now),
            .string(String(event["series", "count"]?.integer ?? event["count"]?.integer ?? 1)), .string(event.name),
        ]
    }

    private static func trimmed(_ text: String) -> String {
        let head = text.drop { $0.isWhitespace }
        guard let last = head.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(head[...last])
    }

    static let componentStatuses = TablePrinter("Name", "Status", "Message", "Error") { object, _ in
        let health = object["conditions"]?.array?.first { $0["type"] == "Healthy" }
        let state = health.map { $0["status"] == "True" ? "Healthy" : "Unhealthy" } ?? "Unknown"
        return [.string(object.name), .string(state), Cell.text(health?["message"]), Cell.text(health?["error"])]
    }

    static let resourceQuotas = TablePrinter("Name", "Request", "Limit", "Age") { object, now in
        var requests: [String] = []
        var limits: [String] = []
        let hard = object["status", "hard"]?.object ?? JSONObject()
        for name in hard.keys.sorted() {
            let used = Cell.quantity(object["status", "used"]?[name]) ?? "0"
            let text = "\(name): \(used)/\(Cell.quantity(hard[name]) ?? "0")"
            if name.hasPrefix("limits") { limits.append(text) } else { requests.append(text) }
        }
        return [
            .string(object.name), .string(requests.joined(separator: ", ")), .string(limits.joined(separator: ", ")),
            Cell.age(object, now),
        ]
    }

    static let priorityClasses = TablePrinter(
        "Name", "Value#", "Global-Default?", "Age", "PreemptionPolicy"
    ) { object, now in
        [
            .string(object.name), Cell.count(object["value"]), .bool(object["globalDefault"]?.bool ?? false),
            Cell.age(object, now), Cell.text(object["preemptionPolicy"]),
        ]
    }

    static let runtimeClasses = TablePrinter("Name", "Handler", "Age") { object, now in
        [.string(object.name), Cell.text(object["handler"]), Cell.age(object, now)]
    }

    static let roleBindings = TablePrinter(
        "Name", "Role", "Age", "Users+", "Groups+", "ServiceAccounts+"
    ) { object, now in
        let subjects = object["subjects"]?.array ?? []
        func names(_ kind: String) -> JSON {
            let names = subjects.filter { $0["kind"]?.string == kind }.map { subject in
                let name = subject["name"]?.string ?? ""
                return kind == "ServiceAccount" ? "\(subject["namespace"]?.string ?? "")/\(name)" : name
            }
            return .string(names.joined(separator: ", "))
        }
        return [
            .string(object.name),
            .string("\(object["roleRef", "kind"]?.string ?? "")/\(object["roleRef", "name"]?.string ?? "")"),
            Cell.age(object, now), names("User"), names("Group"), names("ServiceAccount"),
        ]
    }

    static let certificateSigningRequests = TablePrinter(
        "Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"
    ) { object, now in
        let duration = object["spec", "expirationSeconds"]?.integer.map(Cell.humanDuration)
        var state = object.condition("Denied") != nil ? "Denied" : "Pending"
        if state == "Pending", object.condition("Approved") != nil { state = "Approved" }
        if object.condition("Failed") != nil { state += ",Failed" }
        if object["status", "certificate"]?.string?.isEmpty == false { state += ",Issued" }
        return [
            .string(object.name), Cell.age(object, now), Cell.text(object["spec", "signerName"], orElse: Cell.none),
            Cell.text(object["spec", "username"]), .string(duration ?? Cell.none), .string(state),
        ]
    }
}
