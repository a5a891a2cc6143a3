// The rules of Namespaces, Nodes and ServiceAccounts (upstream: pkg/apis/core/validation).

import Formats
import Objects

struct NamespaceStrategy: Strategy {
    /// The finalizer in `spec.finalizers` that the namespace controller takes away when the namespace is empty.
    static let finalizer = "kubernetes"
    /// Namespaces that may not be deleted.
    static let immortal: Set<String> = ["default", "kube-system", "kube-public"]

    var nameRule: NameRules.Rule { .label }
    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }
    var selectableFields: [String] { ["status.phase"] }

    func setDefaults(_ object: inout Object) {
        object.tree["metadata", "labels", "kubernetes.io/metadata.name"] = .string(object.name)
    }

    func prepareForCreate(_ object: inout Object) {
        object.spec = ["finalizers": [.string(NamespaceStrategy.finalizer)]]
        object.status = ["phase": "Active"]
    }

    /// Spec finalizers change only through `namespaces/finalize`.
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        object["spec"] = old["spec"]
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let phase = root["status"]["phase"]
            if object.isTerminating {
                if phase.text != "Terminating" {
                    findings.invalid(phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
                }
            } else if phase.text != "Active" {
                findings.invalid(phase, "may only be 'Active' if `deletionTimestamp` is empty")
            }
        }
    }
}

struct NodeStrategy: Strategy {
    var hasStatus: Bool { true }
    var selectableFields: [String] { ["spec.unschedulable"] }

    func fieldValue(_ path: String, of object: Object) -> String? {
        object["spec", "unschedulable"]?.bool == true ? "true" : "false"
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let taints = root["spec"]["taints"]
            var seen: Set<String> = []
            for taint in taints.elements {
                findings.labelName(taint["key"])
                if !taint["value"].isEmpty {
                    findings.text(taint["value"], NameRules.labelValueMessages(taint["value"].text))
                }
                findings.isOne(of: Findings.taintEffects, taint["effect"])
                if !seen.insert("\(taint["effect"].text)/\(taint["key"].text)").inserted {
                    findings.duplicate(taint)
                }
            }
            for range in root["spec"]["podCIDRs"].elements { findings.network(range) }
            var addresses: Set<String> = []
            for address in root["status"]["addresses"].elements {
                if !addresses.insert("\(address["type"].text)/\(address["address"].text)").inserted {
                    findings.duplicate(address)
                }
            }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let (spec, before) = (root["spec"], Field(old)["spec"])
            for (field, name) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")]
            where !before[field].isEmpty && spec[field].value != before[field].value {
                findings.forbidden(spec[field], "node updates may not change \(name) except from \"\" to valid")
            }
        }
    }
}

struct ServiceAccountStrategy: Strategy {
    var returnsDeleted: Bool { true }
}
