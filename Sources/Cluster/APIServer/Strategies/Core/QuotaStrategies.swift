// The rules of LimitRanges and ResourceQuotas (upstream: pkg/apis/core/{v1,validation}).

import Formats
import Objects

struct LimitRangeStrategy: Strategy {
    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.editEach("limits") { limit in
                guard limit["type"] == "Container" else { return }
                for (list, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
                    for member in limit[source]?.object ?? JSONObject() {
                        limit.fill(list, [:])
                        limit.edit(list) { $0.fill(member.key, member.value) }
                    }
                }
            }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            var types: Set<String> = []
            for limit in root["spec"]["limits"].elements {
                findings.requiredName(limit["type"], .pathSegment)
                if !types.insert(limit["type"].text).inserted { findings.duplicate(limit["type"]) }
                Self.check(limit, &findings)
            }
        }
    }

    /// Which amounts may not be above which others, and what they are called.
    private static let orders: [(lower: String, lowerName: String, upper: String, upperName: String)] = [
        ("min", "min", "max", "max"), ("min", "min", "defaultRequest", "default request"),
        ("defaultRequest", "default request", "max", "max"),
        ("defaultRequest", "default request", "default", "default limit"), ("min", "min", "default", "default"),
        ("default", "default", "max", "max"),
    ]

    private static func check(_ limit: Field, _ findings: inout Findings) {
        let type = limit["type"].text
        if type == "Pod" {
            for list in ["default", "defaultRequest"] {
                findings.forbids(limit[list], "may not be specified when `type` is 'Pod'")
            }
        }
        var names: Set<String> = []
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            for (name, amount) in limit[list].entries {
                names.insert(name)
                findings.resourceAmount(amount, of: name)
            }
        }
        let storage = limit["max"]["storage"].exists || limit["min"]["storage"].exists
        if type == "PersistentVolumeClaim", !storage {
            findings.required(limit, "either minimum or maximum storage value is required, but neither was provided")
        }
        for name in names.sorted() {
            for order in orders {
                guard let less = limit[order.lower][name].quantity, let more = limit[order.upper][name].quantity,
                    less > more
                else { continue }
                let place = Field(path: .entry(limit[order.lower].path, name), nil)
                let why = "\(order.lowerName) value \(less) is greater than \(order.upperName) value \(more)"
                findings.invalid(place, value: .string(less.text), why)
            }
            if let ratio = limit["maxLimitRequestRatio"][name].quantity, ratio < Quantity(1) {
                let place = Field(path: .entry(limit["maxLimitRequestRatio"].path, name), nil)
                findings.invalid(place, value: .string(ratio.text), "ratio \(ratio) is less than 1")
            }
        }
    }
}

struct ResourceQuotaStrategy: Strategy {
    private static let scopes = [
        "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
        "VolumeAttributesClass",
    ]

    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            for (name, amount) in spec["hard"].entries {
                let messages = NameRules.qualifiedNameMessages(name)
                for message in messages { findings.invalid(amount, value: .string(name), message) }
                if messages.isEmpty, !name.contains("/"), !ResourceNames.isForQuota(name) {
                    findings.invalid(amount, value: .string(name), "must be a standard resource for quota")
                }
                findings.resourceAmount(amount, of: name)
            }
            for scope in spec["scopes"].elements where !Self.scopes.contains(scope.text) {
                findings.invalid(spec["scopes"], value: scope.value, "unsupported scope")
            }
            let given = Set(spec["scopes"].elements.map(\.text))
            for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")]
            where given.isSuperset(of: [one, other]) {
                findings.invalid(spec["scopes"], "conflicting scopes")
            }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let (new, before) = (root["spec"]["scopes"], Field(old)["spec"]["scopes"])
            if Set(new.elements.map(\.text)) != Set(before.elements.map(\.text)) {
                findings.invalid(new, Findings.isImmutable)
            }
        }
    }
}
