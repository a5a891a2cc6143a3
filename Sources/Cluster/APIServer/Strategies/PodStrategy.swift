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

    func faults(in object: Object) -> [FieldFault] {
        PodValidation.faults(inSpec: object.spec, at: "spec")
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        if PodStrategy.fixedPart(object.spec, tolerationsOf: old.spec)
            == PodStrategy.fixedPart(old.spec, tolerationsOf: old.spec)
        {
            return []
        }
        return [
            .forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                    + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                    + "(only additions to "
                    + "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                    + "previously negative)")
        ]
    }

    /// A pod that no node runs, or that has ended, goes at once.
    func gracePeriodSeconds(of object: Object, asked: Int?) -> Int? {
        let phase = object["status", "phase"]?.string
        if (object["spec", "nodeName"]?.string ?? "").isEmpty || phase == "Succeeded" || phase == "Failed" { return 0 }
        let period = asked ?? object["spec", "terminationGracePeriodSeconds"]?.integer ?? 30
        return period < 0 ? 1 : period
    }

    /// The spec without what an update may change. Tolerations may grow: those of `old` must still be there.
    private static func fixedPart(_ spec: JSON, tolerationsOf old: JSON) -> JSON {
        var spec = spec
        spec["activeDeadlineSeconds"] = nil
        let tolerations = spec["tolerations"]?.array ?? []
        spec["tolerations"] = .bool((old["tolerations"]?.array ?? []).allSatisfy(tolerations.contains))
        for list in ["containers", "initContainers"] { spec.editEach(list) { $0["image"] = nil } }
        return spec
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
