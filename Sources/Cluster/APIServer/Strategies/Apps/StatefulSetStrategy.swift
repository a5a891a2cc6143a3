// The rules of StatefulSets (upstream: pkg/apis/apps/{v1,validation}).

import Formats
import Objects

struct StatefulSetStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("podManagementPolicy", "OrderedReady")
            spec.fill("updateStrategy", [:])
            spec.edit("updateStrategy") { strategy in
                strategy.fill("type", "RollingUpdate")
                guard strategy["type"] == "RollingUpdate" else { return }
                strategy.fill("rollingUpdate", [:])
                strategy.edit("rollingUpdate") { $0.fill("partition", 0) }
            }
            spec.fill("persistentVolumeClaimRetentionPolicy", [:])
            spec.edit("persistentVolumeClaimRetentionPolicy") { policy in
                policy.fill("whenDeleted", "Retain")
                policy.fill("whenScaled", "Retain")
            }
            spec.fill("replicas", 1)
            spec.fill("revisionHistoryLimit", 10)
            spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
            spec.editEach("volumeClaimTemplates") { claim in
                claim.fill("apiVersion", "v1")
                claim.fill("kind", "PersistentVolumeClaim")
                claim.edit("spec") { $0.fill("volumeMode", "Filesystem") }
                claim.fill("status", [:])
                claim.edit("status") { $0.fill("phase", "Pending") }
            }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            let management = spec["podManagementPolicy"]
            if !["OrderedReady", "Parallel"].contains(management.text) {
                findings.invalid(management, "must be 'OrderedReady' or 'Parallel'")
            }
            Self.updateStrategy(spec["updateStrategy"], &findings)
            for field in ["whenDeleted", "whenScaled"] {
                let policy = spec["persistentVolumeClaimRetentionPolicy"][field]
                findings.isOne(of: ["Retain", "Delete"], policy, isRequired: false)
            }
            for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] { findings.isNotNegative(spec[field]) }
            findings.isNotNegative(spec["ordinals"]["start"])
            findings.workloadSelector(spec, kind: "statefulset")
            findings.templateMatches(spec)
            // Upstream leaves the rest of the template to the creation of the pods, as claims become volumes only
            // there.
            let template = spec["template"]
            findings.labels(template["metadata"]["labels"].at(template["labels"]))
            findings.annotationKeys(template["metadata"]["annotations"], at: template["annotations"])
            findings.runsForever(template, kind: "StatefulSet")
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.ofTemplate(in: object) }

    private static func updateStrategy(_ strategy: Field, _ findings: inout Findings) {
        let rolling = strategy["rollingUpdate"]
        switch strategy["type"].text {
        case "": findings.required(strategy)
        case "OnDelete":
            if rolling.exists { findings.invalid(rolling, "only allowed for updateStrategy 'RollingUpdate'") }
        case "RollingUpdate":
            findings.isNotNegative(rolling["partition"])
            let unavailable = rolling["maxUnavailable"]
            findings.countOrPercent(unavailable)
            if unavailable.exists, Findings.isNothing(unavailable.value) {
                findings.invalid(unavailable, "cannot be 0")
            }
            findings.notMoreThanAll(unavailable)
        default: findings.invalid(strategy, "must be 'RollingUpdate' or 'OnDelete'")
        }
    }

    private static let mutable = [
        "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    ]

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        var (new, before) = (object.spec, old.spec)
        for field in Self.mutable {
            new[field] = nil
            before[field] = nil
        }
        if new == before { return [] }
        let names = Self.mutable.dropLast().map { "'\($0)'" }.joined(separator: ", ")
        return [
            .forbidden(
                "spec", "updates to statefulset spec for fields other than \(names) and 'minReadySeconds' are forbidden"
            )
        ]
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        let counts = ["readyReplicas", "currentReplicas", "updatedReplicas"]
        return Findings.of(object) { root, findings in
            findings.replicaStatus(root["status"], counts + ["availableReplicas"], atMostAll: counts)
            if root["status"]["availableReplicas"].number > root["status"]["readyReplicas"].number {
                let why = "cannot be greater than status.readyReplicas"
                findings.invalid(root["status"]["availableReplicas"], why)
            }
        }
    }
}
