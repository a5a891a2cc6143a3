// The rules of HorizontalPodAutoscalers, in their stored version (upstream: pkg/apis/autoscaling/{v2,validation}).

import Formats
import Objects

struct AutoscalerStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("minReplicas", 1)
            if spec["metrics"]?.array?.isEmpty ?? true {
                let target: JSON = ["type": "Utilization", "averageUtilization": 80]
                spec["metrics"] = [["type": "Resource", "resource": ["name": "cpu", "target": target]]]
            }
            spec.edit("behavior") { behavior in
                for (direction, window, policies) in Self.behavior {
                    behavior.fill(direction, [:])
                    behavior.edit(direction) { rules in
                        if let window { rules.fill("stabilizationWindowSeconds", JSON(window)) }
                        rules.fill("selectPolicy", "Max")
                        rules.fill("policies", policies)
                    }
                }
            }
        }
    }

    private static let behavior: [(direction: String, windowSeconds: Int?, policies: JSON)] = [
        (
            "scaleUp", 0,
            [
                ["type": "Pods", "value": 4, "periodSeconds": 15],
                ["type": "Percent", "value": 100, "periodSeconds": 15],
            ]
        ),
        ("scaleDown", nil, [["type": "Percent", "value": 100, "periodSeconds": 15]]),
    ]

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            let (least, most) = (spec["minReplicas"], spec["maxReplicas"])
            if least.exists, least.number < 1 { findings.invalid(least, "must be greater than or equal to 1") }
            if most.number < 1 { findings.invalid(most, value: JSON(most.number), "must be greater than 0") }
            if least.exists, most.number < least.number {
                findings.invalid(most, value: JSON(most.number), "must be greater than or equal to `minReplicas`")
            }
            findings.scaledObject(spec["scaleTargetRef"])
            for metric in spec["metrics"].elements { findings.metric(metric) }
            for direction in ["scaleUp", "scaleDown"] where spec["behavior"][direction].exists {
                findings.scalingRules(spec["behavior"][direction])
            }
        }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            for count in ["currentReplicas", "desiredReplicas"] { findings.isNotNegative(root["status"][count]) }
        }
    }
}

extension Findings {
    mutating func scaledObject(_ field: Field) {
        for part in ["kind", "name"] where needs(field[part]) { name(field[part], .pathSegment) }
    }

    private static let sources = [
        "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
        "Resource": "resource",
    ]

    mutating func metric(_ field: Field) {
        let type = field["type"]
        if type.isEmpty { return required(type, "must specify a metric source type") }
        guard let expected = Self.sources[type.text] else { return notSupported(type, Self.sources.keys.sorted()) }
        for source in Self.sources.values.sorted() where field[source].exists != (source == expected) {
            if source == expected {
                required(field[source], "must populate information for the given metric source")
            } else {
                forbidden(field[source], "must populate the given metric source only")
            }
        }
        guard field[expected].exists else { return }
        let source = field[expected]
        metricTarget(source["target"])
        switch expected {
        case "resource", "containerResource":
            needs(source["name"], "must specify a resource name")
            if expected == "containerResource" { needs(source["container"], "must specify a container") }
            resourceTarget(source["target"])
        case "pods":
            metricName(source["metric"])
            if (source["target"]["averageValue"].quantity?.nanos ?? 0) <= 0 {
                required(source["target"]["averageValue"], "must specify a positive target averageValue")
            }
        case "object":
            scaledObject(source["describedObject"])
            metricName(source["metric"])
            oneTarget(source["target"], missing: "must set either a target value or averageValue", both: nil)
        default:
            metricName(source["metric"])
            oneTarget(
                source["target"], missing: "must set either a target value for metric or a per-pod target",
                both: "may not set both a target value for metric and a per-pod target")
        }
    }

    private mutating func metricName(_ field: Field) {
        if needs(field["name"], "must specify a metric name") { name(field["name"], .pathSegment) }
        labelSelector(field["selector"])
    }

    private mutating func metricTarget(_ target: Field) {
        let type = target["type"]
        if type.isEmpty {
            required(type, "must specify a metric target type")
        } else if !["Utilization", "Value", "AverageValue"].contains(type.text) {
            invalid(type, "must be either Utilization, Value, or AverageValue")
        }
        for value in ["value", "averageValue"] {
            if let amount = target[value].quantity, amount.nanos <= 0 {
                invalid(target[value], value: .string(amount.text), "must be positive")
            }
        }
        let percent = target["averageUtilization"]
        if percent.exists, percent.number < 1 { invalid(percent, "must be greater than 0") }
    }

    private mutating func resourceTarget(_ target: Field) {
        switch (target["averageUtilization"].exists, target["averageValue"].exists) {
        case (false, false):
            required(target["averageUtilization"], "must set either a target raw value or a target utilization")
        case (true, true):
            forbidden(target["averageValue"], "may not set both a target raw value and a target utilization")
        default: break
        }
    }

    private mutating func oneTarget(_ target: Field, missing: String, both: String?) {
        switch (target["value"].exists, target["averageValue"].exists) {
        case (false, false): required(target["averageValue"], missing)
        case (true, true): if let both { forbidden(target["value"], both) }
        default: break
        }
    }

    private static let windowSeconds = 3600
    private static let periodSeconds = 1800

    mutating func scalingRules(_ field: Field) {
        let window = field["stabilizationWindowSeconds"]
        if window.number < 0 { invalid(window, "must be greater than or equal to zero") }
        if window.number > Self.windowSeconds { invalid(window, "must be less than or equal to \(Self.windowSeconds)") }
        isOne(of: ["Disabled", "Max", "Min"], field["selectPolicy"], isRequired: false)
        if field["policies"].isEmpty { required(field["policies"], "must specify at least one Policy") }
        for policy in field["policies"].elements {
            if !["Percent", "Pods"].contains(policy["type"].text) {
                notSupported(policy["type"], ["Percent", "Pods"], value: .string(policy["type"].text))
            }
            for number in ["value", "periodSeconds"] where policy[number].number <= 0 {
                invalid(policy[number], value: JSON(policy[number].number), "must be greater than zero")
            }
            if policy["periodSeconds"].number > Self.periodSeconds {
                invalid(policy["periodSeconds"], "must be less than or equal to \(Self.periodSeconds)")
            }
        }
    }
}
