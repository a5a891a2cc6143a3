// HorizontalPodAutoscalers as autoscaling/v2 (stored) and autoscaling/v1 (upstream:
// pkg/apis/autoscaling/v1/conversion.go).

import Formats
import Objects

/// What version 1 has no fields for travels in annotations, so that nothing is lost on the way through it.
enum AutoscalerVersions {
    private static let prefix = "autoscaling.alpha.kubernetes.io/"
    private static let metrics = prefix + "metrics"
    private static let currentMetrics = prefix + "current-metrics"
    private static let conditions = prefix + "conditions"
    private static let behavior = prefix + "behavior"

    static func version1(_ object: Object) -> Object {
        var result = object
        result.tree["apiVersion"] = "autoscaling/v1"
        var spec = object.spec
        var others: [JSON] = []
        for metric in spec["metrics"]?.array ?? [] {
            if let target = processorTarget(metric, in: "target") {
                spec["targetCPUUtilizationPercentage"] = target
            } else {
                others.append(metric1(metric, values: "target", prefix: "target"))
            }
        }
        carry(others, under: metrics, in: &result)
        if let rules = spec["behavior"] { result.annotations[behavior] = rules.text }
        spec["metrics"] = nil
        spec["behavior"] = nil
        if object["spec"] != nil { result.spec = spec }
        if object["status"] != nil { result.status = status1(object.status, in: &result) }
        return result
    }

    private static func status1(_ status: JSON, in result: inout Object) -> JSON {
        var status = status
        var others: [JSON] = []
        for metric in status["currentMetrics"]?.array ?? [] {
            if let value = processorTarget(metric, in: "current") { status["currentCPUUtilizationPercentage"] = value }
            others.append(metric1(metric, values: "current", prefix: "current"))
        }
        carry(others, under: currentMetrics, in: &result)
        carry(status["conditions"]?.array ?? [], under: conditions, in: &result)
        status["currentMetrics"] = nil
        status["conditions"] = nil
        return status
    }

    static func version2(_ object: Object) -> Object {
        var result = object
        result.tree["apiVersion"] = "autoscaling/v2"
        var spec = object.spec
        var list: [JSON] = []
        if let percent = spec["targetCPUUtilizationPercentage"] {
            list.append([
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": percent]],
            ])
        }
        list += carried(metrics, of: object).map { metric2($0, values: "target", prefix: "target") }
        spec["targetCPUUtilizationPercentage"] = nil
        if !list.isEmpty { spec["metrics"] = .array(list) }
        if let text = object.annotations[behavior], let rules = try? JSON(parsing: Array(text.utf8)) {
            spec["behavior"] = rules
        }
        if object["spec"] != nil { result.spec = spec }
        if object["status"] != nil { result.status = status2(object) }
        for name in [metrics, currentMetrics, conditions, behavior] { result.annotations[name] = nil }
        return result
    }

    private static func status2(_ object: Object) -> JSON {
        var status = object.status
        var list = carried(currentMetrics, of: object).map { metric2($0, values: "current", prefix: "current") }
        if list.isEmpty, let percent = status["currentCPUUtilizationPercentage"] {
            list = [["type": "Resource", "resource": ["name": "cpu", "current": ["averageUtilization": percent]]]]
        }
        let states = carried(conditions, of: object)
        status["currentCPUUtilizationPercentage"] = nil
        if !list.isEmpty { status["currentMetrics"] = .array(list) }
        if !states.isEmpty { status["conditions"] = .array(states) }
        return status
    }

    /// The average utilization of the processor, which is the one metric that version 1 has a field for.
    private static func processorTarget(_ metric: JSON, in values: String) -> JSON? {
        guard metric["type"] == "Resource", metric["resource", "name"] == "cpu" else { return nil }
        return metric["resource", values, "averageUtilization"]
    }

    private static func carry(_ list: [JSON], under name: String, in object: inout Object) {
        if !list.isEmpty { object.annotations[name] = JSON.array(list).text }
    }

    private static func carried(_ name: String, of object: Object) -> [JSON] {
        guard let text = object.annotations[name], let tree = try? JSON(parsing: Array(text.utf8)) else { return [] }
        return tree.array ?? []
    }

    /// A metric in version 1's shape: the numbers sit beside the metric's name instead of below `target` or `current`.
    private static func metric1(_ metric: JSON, values: String, prefix: String) -> JSON {
        var metric = metric
        for (source, names) in shapes {
            metric.edit(source) { tree in
                let numbers = tree[values] ?? [:]
                tree[values] = nil
                for (modern, old) in names {
                    if let number = numbers[modern] { tree[spelled(old, prefix)] = number }
                }
                if let described = tree["describedObject"] {
                    tree["describedObject"] = nil
                    tree["target"] = described
                }
                if let named = tree["metric"] {
                    tree["metric"] = nil
                    tree["metricName"] = named["name"]
                    tree[source == "external" ? "metricSelector" : "selector"] = named["selector"]
                }
            }
        }
        return metric
    }

    private static func metric2(_ metric: JSON, values: String, prefix: String) -> JSON {
        var metric = metric
        for (source, names) in shapes {
            metric.edit(source) { tree in
                var numbers: JSON = [:]
                for (modern, old) in names {
                    guard let number = tree[spelled(old, prefix)], number != "0" || modern != "value" else { continue }
                    numbers[modern] = number
                    tree[spelled(old, prefix)] = nil
                }
                if values == "target" { numbers["type"] = targetType(numbers) }
                if let described = tree["target"], source == "object" {
                    tree["describedObject"] = described
                }
                tree[values] = numbers
                if let name = tree["metricName"] {
                    let selector = source == "external" ? "metricSelector" : "selector"
                    tree["metric"] = ["name": name]
                    tree["metric", "selector"] = tree[selector]
                    tree["metricName"] = nil
                    tree[selector] = nil
                }
            }
        }
        return metric
    }

    /// Each kind of source, with its numbers' names in version 2 and (without `target` or `current`) in version 1.
    private static let shapes: [(source: String, names: [(String, String)])] = [
        ("resource", [("averageUtilization", "AverageUtilization"), ("averageValue", "AverageValue")]),
        ("containerResource", [("averageUtilization", "AverageUtilization"), ("averageValue", "AverageValue")]),
        ("pods", [("averageValue", "AverageValue")]),
        ("object", [("value", "Value"), ("averageValue", "averageValue")]),
        ("external", [("value", "Value"), ("averageValue", "AverageValue")]),
    ]

    private static func spelled(_ name: String, _ prefix: String) -> String {
        name.first?.isUppercase == true ? prefix + name : name
    }

    private static func targetType(_ numbers: JSON) -> JSON {
        if numbers["averageUtilization"] != nil { return "Utilization" }
        return numbers["averageValue"] != nil ? "AverageValue" : "Value"
    }
}
