// The rules of Leases, PriorityClasses and RuntimeClasses.

import Formats
import Objects

/// Upstream: pkg/apis/coordination/validation.
struct LeaseStrategy: Strategy {
    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let seconds = root["spec"]["leaseDurationSeconds"]
            if seconds.exists, seconds.number <= 0 { findings.invalid(seconds, "must be greater than 0") }
            findings.isNotNegative(root["spec"]["leaseTransitions"])
        }
    }
}

/// Upstream: pkg/apis/scheduling.
struct PriorityClassStrategy: Strategy {
    static let largestOfUsers = 1_000_000_000
    static let systemPrefix = "system-"
    /// The classes that always are, and nobody may change.
    static let system: [(name: String, value: Int, description: String)] = [
        (
            "system-cluster-critical", 2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
        ),
        (
            "system-node-critical", 2_000_001_000,
            "Used for system critical pods that must not be moved from their current node."
        ),
    ]

    var hasGeneration: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.fill("preemptionPolicy", "PreemptLowerPriority")
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let value = root["value"]
            if object.name.hasPrefix(Self.systemPrefix) {
                if !Self.system.contains(where: { $0.name == object.name && $0.value == value.number }) {
                    findings.forbidden(
                        root["metadata"]["name"],
                        "priority class names with '\(Self.systemPrefix)' prefix are reserved for system use only. error: "
                            + "\(object.name) is not a known system priority class")
                }
            } else if value.number > Self.largestOfUsers {
                findings.forbidden(value, "maximum allowed value of a user defined priority is \(Self.largestOfUsers)")
            }
            findings.isOne(of: ["PreemptLowerPriority", "Never"], root["preemptionPolicy"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            if root["value"].number != Field(old)["value"].number {
                findings.forbidden(root["value"], "may not be changed in an update.")
            }
            findings.isUnchanged(root["preemptionPolicy"], from: Field(old)["preemptionPolicy"])
        }
    }
}

/// Upstream: pkg/apis/node/validation.
struct RuntimeClassStrategy: Strategy {
    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.name(root["handler"], .label)
            let overhead = root["overhead"]["podFixed"]
            findings.resourceList(overhead, at: overhead)
            findings.labels(root["scheduling"]["nodeSelector"])
            findings.tolerations(root["scheduling"]["tolerations"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.isUnchanged($0["handler"], from: Field(old)["handler"]) }
    }
}
