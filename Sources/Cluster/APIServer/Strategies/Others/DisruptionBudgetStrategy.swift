// The rules of PodDisruptionBudgets (upstream: pkg/apis/policy/validation).

import Formats
import Objects

struct DisruptionBudgetStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            let limits = ["minAvailable", "maxUnavailable"].filter { spec[$0].exists }
            if limits.count == 2 {
                findings.invalid(spec, "minAvailable and maxUnavailable cannot be both set")
            }
            for limit in limits {
                findings.countOrPercent(spec[limit])
                findings.notMoreThanAll(spec[limit])
            }
            findings.labelSelector(spec["selector"])
            findings.isOne(
                of: ["AlwaysAllow", "IfHealthyBudget"], spec["unhealthyPodEvictionPolicy"], isRequired: false)
        }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.conditions(root["status"]["conditions"])
            for count in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                findings.isNotNegative(root["status"][count])
            }
        }
    }

}
