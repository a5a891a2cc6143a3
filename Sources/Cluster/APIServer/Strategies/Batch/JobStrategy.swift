// The rules of Jobs (upstream: pkg/apis/batch/{v1,validation}, pkg/registry/batch/job).

import Formats
import Objects

struct JobStrategy: Strategy {
    static let uidLabels = ["batch.kubernetes.io/controller-uid", "controller-uid"]
    static let nameLabels = ["batch.kubernetes.io/job-name", "job-name"]
    static let backoffLimit = 6
    static let backoffLimitPerIndex = 2_147_483_647

    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }
    var selectableFields: [String] { ["status.successful"] }
    func fieldValue(_ path: String, of object: Object) -> String? {
        String(object["status", "succeeded"]?.integer ?? 0)
    }

    func setDefaults(_ object: inout Object) {
        let labels = object["spec", "template", "metadata", "labels"]
        object.tree.edit("spec") { spec in
            if spec["completions"] == nil, spec["parallelism"] == nil { spec["completions"] = 1 }
            spec.fill("parallelism", 1)
            let backoffLimit = spec["backoffLimitPerIndex"] == nil ? Self.backoffLimit : Self.backoffLimitPerIndex
            spec.fill("backoffLimit", JSON(backoffLimit))
            spec.fill("completionMode", "NonIndexed")
            spec.fill("suspend", false)
            let replacement: JSON = spec["podFailurePolicy"] == nil ? "TerminatingOrFailed" : "Failed"
            spec.fill("podReplacementPolicy", replacement)
            spec.fill("manualSelector", false)
            spec.edit("podFailurePolicy") { policy in
                policy.editEach("rules") { rule in rule.editEach("onPodConditions") { $0.fill("status", "True") } }
            }
            spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
        }
        if object.labels.isEmpty, let labels { object.tree["metadata", "labels"] = labels }
    }

    /// The pods of a job are told by its uid, unless the writer chose a selector.
    func prepareForCreate(_ object: inout Object) {
        if object["spec", "manualSelector"] == true || object["spec"] == nil { return }
        for label in Self.uidLabels { setTemplateLabel(label, object.uid, &object) }
        for label in Self.nameLabels { setTemplateLabel(label, object.name, &object) }
        let uid = object.uid
        object.tree.edit("spec") { spec in
            spec.fill("selector", [:])
            spec.edit("selector") { selector in
                selector.fill("matchLabels", [:])
                selector.edit("matchLabels") { $0.fill(Self.uidLabels[0], .string(uid)) }
            }
        }
    }

    private func setTemplateLabel(_ name: String, _ value: String, _ object: inout Object) {
        if object["spec", "template", "metadata", "labels"]?[name] == nil {
            object["spec", "template", "metadata", "labels", name] = .string(value)
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.jobSpec(spec)
            if findings.needs(spec["selector"]) { findings.labelSelector(spec["selector"]) }
            findings.templateMatches(spec)
        }
    }

    func creationFaults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.generatedSelector(of: root)
            findings.indexedHostNames(of: root)
        }
    }

    /// Where the pods of a job that has not begun may still go.
    private static let placement = ["nodeSelector", "affinity", "tolerations", "schedulingGates"]

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let (spec, before) = (root["spec"], Field(old)["spec"])
            let isElastic =
                before["completionMode"].text == "Indexed" && spec["completions"].exists
                && spec["completions"].value == spec["parallelism"].value
            if !isElastic { findings.isUnchanged(spec["completions"], from: before["completions"]) }
            findings.isUnchanged(spec["selector"], from: before["selector"])
            var template = spec["template"].value ?? [:]
            if before["suspend"].isTrue, !Field(old)["status"]["startTime"].exists {
                for field in ["labels", "annotations"] {
                    template["metadata", field] = before["template"]["metadata"][field].value
                }
                for field in Self.placement { template["spec", field] = before["template"]["spec"][field].value }
            }
            if template != before["template"].value { findings.invalid(spec["template"], Findings.isImmutable) }
            for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
                findings.isUnchanged(spec[field], from: before[field])
            }
        }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            for count in ["active", "succeeded", "failed", "ready", "terminating"] {
                findings.isNotNegative(root["status"][count])
            }
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.ofTemplate(in: object) }
}
