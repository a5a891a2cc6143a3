// The row of a HorizontalPodAutoscaler: its metrics as `name: current/target`.

import Formats
import Objects

extension TablePrinter {
    static let horizontalPodAutoscalers = TablePrinter(
        "Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"
    ) { object, now in
        let target = object["spec", "scaleTargetRef"]
        return [
            .string(object.name), .string("\(target?["kind"]?.string ?? "")/\(target?["name"]?.string ?? "")"),
            .string(AutoscalerMetrics(object).text), Cell.intOrText(object["spec", "minReplicas"], orElse: "<unset>"),
            .string(String(object["spec", "maxReplicas"]?.integer ?? 0)),
            .string(String(object["status", "currentReplicas"]?.integer ?? 0)), Cell.age(object, now),
        ]
    }
}

/// The targets of an autoscaler beside what they were measured to be.
private struct AutoscalerMetrics {
    /// How many metrics a row shows before it only counts the rest.
    static let shown = 2

    let specs: [JSON]
    let statuses: [JSON]

    init(_ object: Object) {
        specs = object["spec", "metrics"]?.array ?? []
        statuses = object["status", "currentMetrics"]?.array ?? []
    }

    var text: String {
        if specs.isEmpty { return Cell.none }
        let all = specs.indices.map(one)
        let text = all.prefix(Self.shown).joined(separator: ", ")
        return all.count > Self.shown ? "\(text) + \(all.count - Self.shown) more..." : text
    }

    private func one(_ index: Int) -> String {
        let status = statuses.indices.contains(index) ? statuses[index] : [:]
        switch specs[index]["type"] {
        case "Resource": return resource(specs[index]["resource"], status["resource"])
        case "ContainerResource": return resource(specs[index]["containerResource"], status["containerResource"])
        case "Pods":
            return
                "\(value(status["pods", "current", "averageValue"]))/\(value(specs[index]["pods", "target", "averageValue"]))"
        case "Object": return average(specs[index]["object"], status["object"])
        case "External": return average(specs[index]["external"], status["external"])
        default: return "<unknown type>"
        }
    }

    private func resource(_ spec: JSON?, _ status: JSON?) -> String {
        let name = spec?["name"]?.string ?? ""
        if let target = spec?["target", "averageValue"] {
            return "\(name): \(value(status?["current", "averageValue"]))/\(value(target))"
        }
        let current = status?["current", "averageUtilization"]?.integer.map { "\($0)%" } ?? "<unknown>"
        let target = spec?["target", "averageUtilization"]?.integer.map { "\($0)%" } ?? "<auto>"
        return "\(name): \(current)/\(target)"
    }

    private func average(_ spec: JSON?, _ status: JSON?) -> String {
        if let target = spec?["target", "averageValue"] {
            return "\(value(status?["current", "averageValue"]))/\(value(target)) (avg)"
        }
        return "\(value(status?["current", "value"]))/\(value(spec?["target", "value"]))"
    }

    private func value(_ quantity: JSON?) -> String {
        quantity?.string ?? quantity?.integer.map(String.init) ?? "<unknown>"
    }
}
