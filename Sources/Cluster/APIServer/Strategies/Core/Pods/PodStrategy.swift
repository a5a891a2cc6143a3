// The rules of pods (upstream: pkg/registry/core/pod/strategy.go).

import Formats
import Objects

struct PodStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var returnsDeleted: Bool { true }
    var selectableFields: [String] {
        [
            "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
            "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName", "spec.host",
        ]
    }

    func fieldValue(_ path: String, of object: Object) -> String? {
        switch path {
        case "spec.host": object["spec", "nodeName"]?.string
        case "spec.hostNetwork": object["spec", "hostNetwork"]?.bool == true ? "true" : "false"
        case "status.podIPs": object["status", "podIPs"]?.array?.first?["ip"]?.string
        default: object.tree.value(at: path.split(separator: ".").map(String.init))?.string
        }
    }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec", PodDefaults.fillPodSpec)
    }

    func prepareForCreate(_ object: inout Object) {
        object.status = ["phase": "Pending", "qosClass": .string(PodStrategy.qualityOfService(object.spec))]
    }

    /// What admission filled in when the pod was created stays where a writer leaves it out.
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        for field in ["priority", "preemptionPolicy"] where object["spec", field] == nil {
            object["spec", field] = old["spec", field]
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.podAnnotations(root)
            findings.podSpec(root["spec"], isPod: true, podName: object.name)
        }
    }

    func creationFaults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.forbids(spec["ephemeralContainers"], "cannot be set on create")
            if !spec["schedulingGates"].isEmpty {
                findings.forbids(spec["nodeName"], "cannot be set until all schedulingGates have been cleared")
            }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let before = Field(old)
            findings.podAnnotationUpdate(root["metadata"]["annotations"], from: before["metadata"]["annotations"])
            findings.podUpdate(root["spec"], from: before["spec"])
        }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.podStatus($0, from: Field(old)) }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.of(object.tree) }

    /// A pod that no node runs, or that has ended, goes at once.
    func gracePeriodSeconds(of object: Object, asked: Int?) -> Int? {
        let phase = object["status", "phase"]?.string
        if (object["spec", "nodeName"]?.string ?? "").isEmpty || phase == "Succeeded" || phase == "Failed" { return 0 }
        let period = asked ?? object["spec", "terminationGracePeriodSeconds"]?.integer ?? 30
        return period < 0 ? 1 : period
    }

    /// Guaranteed when every container limits both processor and memory to what it requests, BestEffort when none asks.
    static func qualityOfService(_ spec: JSON) -> String {
        let containers = (spec["containers"]?.array ?? []) + (spec["initContainers"]?.array ?? [])
        let isAsking = containers.contains {
            $0["resources"]?["limits"]?.object?.isEmpty == false
                || $0["resources"]?["requests"]?.object?.isEmpty == false
        }
        if !isAsking { return "BestEffort" }
        let isGuaranteed = containers.allSatisfy { container in
            ["cpu", "memory"].allSatisfy { name in
                guard let limit = container["resources"]?["limits"]?[name] else { return false }
                return (container["resources"]?["requests"]?[name] ?? limit) == limit
            }
        }
        return isGuaranteed ? "Guaranteed" : "Burstable"
    }
}
