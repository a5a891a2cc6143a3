// What an update may change of a pod (upstream: pkg/apis/core/validation, ValidatePodUpdate).

import Formats
import Objects

extension Findings {
    private static let updatable =
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
        + "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
        + "was previously negative)"

    mutating func podUpdate(_ spec: Field, from old: Field) {
        for list in ["containers", "initContainers"] where spec[list].count != old[list].count {
            return forbidden(spec[list], "pod updates may not add or remove containers")
        }
        guard deadlineUpdate(spec["activeDeadlineSeconds"], from: old["activeDeadlineSeconds"]) else { return }
        tolerationsUpdate(spec["tolerations"], from: old["tolerations"])
        let oldGates = Set(old["schedulingGates"].elements.map { $0["name"].text })
        for gate in spec["schedulingGates"].elements where !oldGates.contains(gate["name"].text) {
            let why = "only deletion is allowed, but found new scheduling gate '\(gate["name"].text)'"
            forbidden(gate["name"], why)
        }
        if spec.value == old.value { return }
        var rest = spec.value ?? [:]
        for list in ["containers", "initContainers"] { Self.keepImages(of: old[list], in: &rest, list) }
        for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] { rest[field] = old.value?[field] }
        if old["terminationGracePeriodSeconds"].number < 0, rest["terminationGracePeriodSeconds"] == 1 {
            rest["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"].value
        }
        if !oldGates.isEmpty { gatedUpdate(spec, from: old, &rest) }
        if rest != old.value {
            forbidden(spec, "pod updates may not change fields other than \(Self.updatable)")
        }
    }

    private static func keepImages(of old: Field, in spec: inout JSON, _ list: String) {
        guard var containers = spec[list]?.array else { return }
        for (position, container) in old.elements.enumerated() where containers.indices.contains(position) {
            containers[position]["image"] = container["image"].value
        }
        spec[list] = .array(containers)
    }

    /// From none to some, and from some to fewer. False when nothing else need be looked at.
    private mutating func deadlineUpdate(_ field: Field, from old: Field) -> Bool {
        guard field.exists else {
            if old.exists { invalid(field, "must not update from a positive integer to nil value") }
            return true
        }
        if !(0...Self.largestDeadlineSeconds).contains(field.number) {
            invalid(field, Self.rangeFault(0...Self.largestDeadlineSeconds))
            return false
        }
        if old.exists, old.number < field.number {
            invalid(field, "must be less than or equal to previous value")
            return false
        }
        return true
    }

    private mutating func tolerationsUpdate(_ field: Field, from old: Field) {
        func timeless(_ toleration: Field) -> JSON {
            var tree = toleration.value ?? [:]
            tree["tolerationSeconds"] = nil
            return tree
        }
        let kept = field.elements.map(timeless)
        if !old.elements.allSatisfy({ kept.contains(timeless($0)) }) {
            forbidden(field, "existing toleration can not be modified except its tolerationSeconds")
        }
    }

    /// A pod that is not to be scheduled yet may still become more choosy about its node.
    private mutating func gatedUpdate(_ spec: Field, from old: Field, _ rest: inout JSON) {
        let given = spec["nodeSelector"].labels
        if !old["nodeSelector"].labels.allSatisfy({ given[$0.key] == $0.value }) {
            invalid(spec["nodeSelector"], "only additions to spec.nodeSelector are allowed (no mutations or deletions)")
        }
        rest["nodeSelector"] = old["nodeSelector"].value
        rest["affinity", "nodeAffinity"] = old["affinity"]["nodeAffinity"].value
        if rest["affinity"]?.object?.isEmpty == true, !old["affinity"].exists { rest["affinity"] = nil }
    }

    mutating func podAnnotations(_ pod: Field) {
        let annotations = pod["metadata"]["annotations"]
        for (key, place) in annotations.entries {
            switch key {
            case "kubernetes.io/config.mirror":
                if pod["spec"]["nodeName"].isEmpty {
                    invalid(place, "must set spec.nodeName if mirror pod annotation is set")
                }
            case "controller.kubernetes.io/pod-deletion-cost":
                // Upstream takes no leading plus sign and no leading zeros.
                if Int32(place.text).map({ String($0) != place.text }) ?? true {
                    invalid(place, "must be a 32bit integer")
                }
            default: continue
            }
        }
    }

    /// Annotations that mean something to the node may not come or go.
    mutating func podAnnotationUpdate(_ field: Field, from old: Field) {
        let mirror = "kubernetes.io/config.mirror"
        if field[mirror].value == old[mirror].value { return }
        let place = Field(path: .entry(field.path, mirror), nil)
        forbidden(
            place,
            old[mirror].exists ? "may not remove or update mirror pod annotation" : "may not add mirror pod annotation")
    }

    mutating func podStatus(_ object: Field, from old: Field) {
        let status = object["status"]
        let system = ["PodScheduled", "Ready", "Initialized"]
        for condition in status["conditions"].elements where !system.contains(condition["type"].text) {
            text(
                Field(path: .member(condition.path, "Type"), condition["type"].value),
                NameRules.qualifiedNameMessages(condition["type"].text))
        }
        if status["nominatedNodeName"].value != old["status"]["nominatedNodeName"].value {
            optionalName(status["nominatedNodeName"], .subdomain)
        }
        isUnchanged(status["qosClass"], from: old["status"]["qosClass"])
        let policy = old["spec"]["restartPolicy"].text
        for (list, policy) in [("containerStatuses", policy), ("ephemeralContainerStatuses", "Never")] {
            noResurrection(status[list], from: old["status"][list], policy)
        }
        for list in ["podIPs", "hostIPs"] {
            for entry in status[list].elements {
                address(Field(path: entry.path, entry["ip"].value))
            }
        }
    }

    private mutating func noResurrection(_ field: Field, from old: Field, _ restartPolicy: String) {
        if restartPolicy == "Always" { return }
        for (position, before) in old.elements.enumerated() where before["state"]["terminated"].exists {
            if restartPolicy == "OnFailure", before["state"]["terminated"]["exitCode"].number != 0 { continue }
            let now = field.elements.first { $0["name"].text == before["name"].text }
            if let now, !now["state"]["terminated"].exists {
                let place = Field(path: .member(.element(field.path, position), "state"), nil)
                forbidden(place, "may not be transitioned to non-terminated state")
            }
        }
    }
}
