// The rules of roles and bindings (upstream: pkg/apis/rbac/validation and v1/defaults.go).

import Formats
import Objects

struct RoleStrategy: Strategy {
    let isNamespaced: Bool

    var nameRule: NameRules.Rule { .pathSegment }

    func faults(in object: Object) -> [FieldFault] {
        var faults: [FieldFault] = []
        for (position, rule) in (object["rules"]?.array ?? []).enumerated() {
            faults += ruleFaults(rule, at: "rules[\(position)]")
        }
        guard !isNamespaced, let aggregation = object["aggregationRule"] else { return faults }
        let path = "aggregationRule.clusterRoleSelectors"
        let selectors = aggregation["clusterRoleSelectors"]?.array ?? []
        if selectors.isEmpty {
            faults.append(.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
        }
        for (position, selector) in selectors.enumerated() {
            do {
                _ = try LabelSelector(selector)
            } catch {
                faults.append(.invalid("\(path)[\(position)]", selector, "\(error)"))
            }
        }
        return faults
    }

    private func ruleFaults(_ rule: JSON, at path: String) -> [FieldFault] {
        func isEmpty(_ field: String) -> Bool { (rule[field]?.array ?? []).isEmpty }
        var faults: [FieldFault] = []
        if isEmpty("verbs") { faults.append(.required("\(path).verbs", "verbs must contain at least one value")) }
        if !isEmpty("nonResourceURLs") {
            let urls = rule["nonResourceURLs"]
            if isNamespaced {
                faults.append(
                    .invalid("\(path).nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs"))
            }
            if !isEmpty("apiGroups") || !isEmpty("resources") || !isEmpty("resourceNames") {
                faults.append(
                    .invalid(
                        "\(path).nonResourceURLs", urls,
                        "rules cannot apply to both regular resources and non-resource URLs"))
            }
            return faults
        }
        if isEmpty("apiGroups") {
            faults.append(.required("\(path).apiGroups", "resource rules must supply at least one api group"))
        }
        if isEmpty("resources") {
            faults.append(.required("\(path).resources", "resource rules must supply at least one resource"))
        }
        return faults
    }
}

struct RoleBindingStrategy: Strategy {
    static let apiGroup = "rbac.authorization.k8s.io"

    let isNamespaced: Bool

    var nameRule: NameRules.Rule { .pathSegment }

    func setDefaults(_ object: inout Object) {
        if (object["roleRef", "apiGroup"]?.string ?? "").isEmpty, object["roleRef"] != nil {
            object["roleRef", "apiGroup"] = .string(Self.apiGroup)
        }
        object.tree.editEach("subjects") { subject in
            let isAccount = subject["kind"]?.string == "ServiceAccount"
            if !isAccount, (subject["apiGroup"]?.string ?? "").isEmpty { subject["apiGroup"] = .string(Self.apiGroup) }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        var faults: [FieldFault] = []
        let reference = object["roleRef"] ?? .null
        let kinds = isNamespaced ? ["ClusterRole", "Role"] : ["ClusterRole"]
        if reference["apiGroup"]?.string != Self.apiGroup {
            faults.append(.notSupported("roleRef.apiGroup", reference["apiGroup"] ?? "", [Self.apiGroup]))
        }
        if !kinds.contains(reference["kind"]?.string ?? "") {
            faults.append(.notSupported("roleRef.kind", reference["kind"] ?? "", kinds))
        }
        let name = reference["name"]?.string ?? ""
        if name.isEmpty {
            faults.append(.required("roleRef.name"))
        } else if let fault = NameRules.fault(name, .pathSegment) {
            faults.append(.invalid("roleRef.name", .string(name), fault))
        }
        for (position, subject) in (object["subjects"]?.array ?? []).enumerated() {
            faults += subjectFaults(subject, at: "subjects[\(position)]")
        }
        return faults
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        object["roleRef"] == old["roleRef"] ? [] : [.invalid("roleRef", object["roleRef"], "cannot change roleRef")]
    }

    private func subjectFaults(_ subject: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let name = subject["name"]?.string ?? ""
        let group = subject["apiGroup"]?.string ?? ""
        if name.isEmpty { faults.append(.required("\(path).name")) }
        switch subject["kind"]?.string ?? "" {
        case "ServiceAccount":
            if !name.isEmpty, let fault = NameRules.fault(name, .subdomain) {
                faults.append(.invalid("\(path).name", .string(name), fault))
            }
            if !group.isEmpty { faults.append(.notSupported("\(path).apiGroup", .string(group), [""])) }
            if !isNamespaced, (subject["namespace"]?.string ?? "").isEmpty {
                faults.append(.required("\(path).namespace"))
            }
        case "User", "Group":
            if group != Self.apiGroup {
                faults.append(.notSupported("\(path).apiGroup", .string(group), [Self.apiGroup]))
            }
        default:
            faults.append(
                .notSupported("\(path).kind", subject["kind"] ?? "", ["Group", "ServiceAccount", "User"]))
        }
        return faults
    }
}
