// The rules of Deployments, ReplicaSets and ReplicationControllers (upstream: pkg/apis/apps/{v1,validation}).

import Formats
import Objects

struct DeploymentStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("replicas", 1)
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
            spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.isNotNegative(spec["replicas"])
            findings.workloadSelector(spec, kind: "deployment")
            findings.templateMatches(spec)
            findings.podTemplate(spec["template"])
            findings.runsForever(spec["template"], kind: "ReplicaSet")
            Self.rollout(spec["strategy"], &findings)
            for field in ["minReadySeconds", "revisionHistoryLimit"] { findings.isNotNegative(spec[field]) }
            let deadline = spec["progressDeadlineSeconds"]
            findings.isNotNegative(deadline)
            if deadline.exists, deadline.number <= spec["minReadySeconds"].number {
                findings.invalid(deadline, "must be greater than minReadySeconds")
            }
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.ofTemplate(in: object) }

    private static func rollout(_ strategy: Field, _ findings: inout Findings) {
        let rolling = strategy["rollingUpdate"]
        switch strategy["type"].text {
        case "Recreate":
            if rolling.exists {
                findings.forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'")
            }
        case "RollingUpdate":
            let (unavailable, surge) = (rolling["maxUnavailable"], rolling["maxSurge"])
            findings.countOrPercent(unavailable)
            findings.countOrPercent(surge)
            if Findings.isNothing(unavailable.value), Findings.isNothing(surge.value) {
                findings.invalid(unavailable, "may not be 0 when `maxSurge` is 0")
            }
            findings.notMoreThanAll(unavailable)
        default: findings.notSupported(strategy, ["Recreate", "RollingUpdate"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.isUnchanged($0["spec"]["selector"], from: Field(old)["spec"]["selector"]) }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let counts = ["updatedReplicas", "readyReplicas", "availableReplicas"]
            findings.replicaStatus(root["status"], counts + ["unavailableReplicas"], atMostAll: counts)
            let collisions = root["status"]["collisionCount"]
            if Field(old)["status"]["collisionCount"].number > collisions.number {
                findings.invalid(collisions, value: JSON(collisions.number), "cannot be decremented")
            }
        }
    }
}

/// ReplicaSets, and the ReplicationControllers that came before them: the same but for the selector's form.
struct ReplicaSetStrategy: Strategy {
    var isController = false

    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }
    var selectableFields: [String] { ["status.replicas"] }
    func fieldValue(_ path: String, of object: Object) -> String? {
        String(object["status", "replicas"]?.integer ?? 0)
    }

    func setDefaults(_ object: inout Object) {
        let labels = object["spec", "template", "metadata", "labels"]
        object.tree.edit("spec") { spec in
            spec.fill("replicas", 1)
            if isController, spec["selector"]?.object?.isEmpty ?? true { spec["selector"] = labels }
            spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
        }
        if isController, object.labels.isEmpty, let labels { object.tree["metadata", "labels"] = labels }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            if isController {
                findings.isNotNegative(spec["minReadySeconds"])
                controllerSelector(spec, &findings)
                findings.isNotNegative(spec["replicas"])
            } else {
                findings.isNotNegative(spec["replicas"])
                findings.isNotNegative(spec["minReadySeconds"])
                findings.workloadSelector(spec, kind: "deployment")
                findings.templateMatches(spec)
            }
            findings.podTemplate(spec["template"])
            findings.runsForever(spec["template"], kind: isController ? "ReplicationController" : "ReplicaSet")
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.ofTemplate(in: object) }

    private func controllerSelector(_ spec: Field, _ findings: inout Findings) {
        findings.needs(spec["selector"])
        guard spec["template"].exists else { return findings.required(spec["template"]) }
        let labels = spec["template"]["metadata"]["labels"]
        if !LabelSelector(matchLabels: spec["selector"].labels).matches(labels.labels) {
            findings.invalid(labels, value: labels.value ?? [:], "`selector` does not match template `labels`")
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        if isController { return [] }
        return Findings.of(object) { $1.isUnchanged($0["spec"]["selector"], from: Field(old)["spec"]["selector"]) }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        let counts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]
        return Findings.of(object) { $1.replicaStatus($0["status"], counts, atMostAll: counts) }
    }
}

extension Findings {
    /// The counts of a workload's status: none negative, none more than there are replicas.
    mutating func replicaStatus(_ status: Field, _ counts: [String], atMostAll limited: [String]) {
        isNotNegative(status["replicas"])
        for count in counts { isNotNegative(status[count]) }
        isNotNegative(status["observedGeneration"])
        isNotNegative(status["collisionCount"])
        for count in limited where status[count].number > status["replicas"].number {
            invalid(status[count], "cannot be greater than status.replicas")
        }
        if limited.contains("availableReplicas"), status["availableReplicas"].number > status["readyReplicas"].number {
            invalid(status["availableReplicas"], "cannot be greater than readyReplicas")
        }
    }
}
