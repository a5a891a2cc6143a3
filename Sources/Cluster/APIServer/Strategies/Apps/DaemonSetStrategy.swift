// The rules of DaemonSets and ControllerRevisions (upstream: pkg/apis/apps/{v1,validation}).

import Formats
import Objects

struct DaemonSetStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("updateStrategy", [:])
            spec.edit("updateStrategy") { strategy in
                strategy.fill("type", "RollingUpdate")
                guard strategy["type"] == "RollingUpdate" else { return }
                strategy.fill("rollingUpdate", [:])
                strategy.edit("rollingUpdate") { rolling in
                    rolling.fill("maxUnavailable", 1)
                    rolling.fill("maxSurge", 0)
                }
            }
            spec.fill("revisionHistoryLimit", 10)
            spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.templateMatches(spec)
            findings.workloadSelector(spec, kind: "daemonset")
            findings.podTemplate(spec["template"])
            findings.runsForever(spec["template"], kind: "DaemonSet")
            findings.isNotNegative(spec["minReadySeconds"])
            Self.updateStrategy(spec["updateStrategy"], &findings)
            findings.isNotNegative(spec["revisionHistoryLimit"])
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { PodWarnings.ofTemplate(in: object) }

    private static func updateStrategy(_ strategy: Field, _ findings: inout Findings) {
        let rolling = strategy["rollingUpdate"]
        switch strategy["type"].text {
        case "OnDelete": return
        case "RollingUpdate":
            guard rolling.exists else { return findings.required(rolling) }
            let (unavailable, surge) = (rolling["maxUnavailable"], rolling["maxSurge"])
            findings.countOrPercent(unavailable)
            findings.countOrPercent(surge)
            switch (Findings.isNothing(unavailable.value), Findings.isNothing(surge.value)) {
            case (false, false): findings.invalid(surge, "may not be set when maxUnavailable is non-zero")
            case (true, true): findings.required(unavailable, "cannot be 0 when maxSurge is 0")
            default: break
            }
            findings.notMoreThanAll(unavailable)
            findings.notMoreThanAll(surge)
        default: findings.notSupported(strategy, ["RollingUpdate", "OnDelete"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.isUnchanged($0["spec"]["selector"], from: Field(old)["spec"]["selector"]) }
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let counts = [
                "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
                "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
                "collisionCount",
            ]
            for count in counts { findings.isNotNegative(root["status"][count]) }
        }
    }
}

struct ControllerRevisionStrategy: Strategy {
    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            if root["data"].value == nil { findings.required(root["data"], "data is mandatory") }
            findings.isNotNegative(root["revision"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        object["data"] == old["data"] ? [] : [.invalid("data", object["data"], Findings.isImmutable)]
    }
}
