// The rules of Deployments and ReplicaSets (upstream: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation).

import Formats
import Objects

/// One strategy for both: they differ in the Deployment's rollout fields only.
struct WorkloadStrategy: Strategy {
    var isDeployment: Bool

    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }
    var selectableFields: [String] { isDeployment ? [] : ["status.replicas"] }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("replicas", 1)
            if isDeployment { WorkloadStrategy.fillRollout(&spec) }
            spec.edit("template") { template in template.edit("spec", PodDefaults.fillSpec) }
        }
    }

    private static func fillRollout(_ spec: inout JSON) {
        spec.fill("strategy", [:])
        spec.edit("strategy") { strategy in
            strategy.fill("type", "RollingUpdate")
            guard strategy["type"] == "RollingUpdate" else { return }
            strategy.fill("rollingUpdate", [:])
            strategy.edit("rollingUpdate") { rolling in
                rolling.fill("maxUnavailable", "25%")
                rolling.fill("maxSurge", "25%")
            }
        }
        spec.fill("revisionHistoryLimit", 10)
        spec.fill("progressDeadlineSeconds", 600)
    }

    func faults(in object: Object) -> [FieldFault] {
        let spec = object.spec
        var faults: [FieldFault] = []
        if let replicas = spec["replicas"], (replicas.integer ?? -1) < 0 {
            faults.append(.invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
        }
        faults += selectorFaults(spec)
        faults += NameRules.labelFaults(spec["template", "metadata", "labels"], at: "spec.template.metadata.labels")
        faults += PodValidation.faults(inSpec: spec["template", "spec"] ?? [:], at: "spec.template.spec")
        if let policy = spec["template", "spec", "restartPolicy"], policy != "Always" {
            faults.append(.notSupported("spec.template.spec.restartPolicy", policy, ["Always"]))
        }
        if isDeployment { faults += WorkloadStrategy.rolloutFaults(spec) }
        return faults
    }

    private func selectorFaults(_ spec: JSON) -> [FieldFault] {
        guard let tree = spec["selector"] else { return [.required("spec.selector")] }
        let labels = spec["template", "metadata", "labels"]
        do throws(FormatProblem) {
            let selector = try LabelSelector(tree)
            if selector.isEmpty {
                return [
                    .invalid(
                        "spec.selector", tree,
                        "empty selector is invalid for \(isDeployment ? "deployment" : "replicaset")")
                ]
            }
            if !selector.matches(labels?.stringMap ?? [:]) {
                let why = "`selector` does not match template `labels`"
                return [.invalid("spec.template.metadata.labels", labels ?? [:], why)]
            }
            return []
        } catch {
            return [.invalid("spec.selector", tree, error.message)]
        }
    }

    private static func rolloutFaults(_ spec: JSON) -> [FieldFault] {
        let strategy = spec["strategy"] ?? [:]
        switch strategy["type"]?.string {
        case "Recreate":
            guard strategy["rollingUpdate"] != nil else { return [] }
            let why = "may not be specified when strategy `type` is 'Recreate'"
            return [.forbidden("spec.strategy.rollingUpdate", why)]
        case "RollingUpdate":
            let rolling = strategy["rollingUpdate"] ?? [:]
            if isNothing(rolling["maxUnavailable"]), isNothing(rolling["maxSurge"]) {
                let path = "spec.strategy.rollingUpdate.maxUnavailable"
                return [.invalid(path, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")]
            }
            return ["maxUnavailable", "maxSurge"].compactMap { field in
                guard let value = rolling[field], !isCountOrPercent(value) else { return nil }
                let why = "must be an integer or percentage (e.g '5%')"
                return .invalid("spec.strategy.rollingUpdate.\(field)", value, why)
            }
        default: return [.notSupported("spec.strategy.type", strategy["type"], ["Recreate", "RollingUpdate"])]
        }
    }

    private static func isNothing(_ value: JSON?) -> Bool { value == 0 || value == "0%" }

    private static func isCountOrPercent(_ value: JSON) -> Bool {
        if let count = value.integer { return count >= 0 }
        guard let text = value.string, text.hasSuffix("%"), let percent = Int(text.dropLast()) else { return false }
        return percent >= 0
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        let selector = object["spec", "selector"]
        return selector == old["spec", "selector"]
            ? [] : [.invalid("spec.selector", selector, "field is immutable")]
    }
}
