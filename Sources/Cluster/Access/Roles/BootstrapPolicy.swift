// Makes the objects of the bootstrap policy, and decides what an existing one lacks of it.

import Formats
import Objects

/// The roles and bindings that every cluster begins with.
package enum BootstrapPolicy {
    static let label = "kubernetes.io/bootstrapping"
    static let autoupdate = "rbac.authorization.kubernetes.io/autoupdate"
    static let aggregation = "rbac.authorization.k8s.io/aggregate-to-"
    static let apiGroup = "rbac.authorization.k8s.io"

    package struct Entry: Sendable {
        package var kind: RoleKind
        package var object: Object
    }

    /// Every object, roles before the bindings that name them. Sorted lists, as upstream writes them.
    package static var entries: [Entry] {
        var roles: [Entry] = []
        var bindings: [Entry] = []
        let texts = [
            (BootstrapPolicyText.clusterRoles, ""), (BootstrapPolicyText.controllerRoles, ""),
            (BootstrapPolicyText.namespacedRoles, "kube-system"),
        ]
        for (text, namespace) in texts {
            for section in sections(of: text) {
                let parsed = Section(section, namespace: namespace)
                roles.append(parsed.role)
                if let binding = parsed.binding { bindings.append(binding) }
            }
        }
        bindings.append(authenticationReaders)
        return roles + bindings
    }

    /// What becomes of an existing object that differs from the wanted one: labels, annotations, rules and subjects
    /// that it lacks are added, nothing is taken away (upstream: component-helpers/auth/rbac/reconciliation). Nil when
    /// it lacks nothing or its `autoupdate` annotation forbids.
    package static func reconciled(_ stored: Object, with wanted: Object) -> Object? {
        if stored.annotations[autoupdate] == "false" { return nil }
        var new = stored
        new.labels = stored.labels.merging(wanted.labels) { own, _ in own }
        new.annotations = stored.annotations.merging(wanted.annotations) { own, _ in own }
        // Equal rules are the common case at every start, and comparing what rules cover is work.
        if let rules = wanted["rules"]?.array, wanted["aggregationRule"] == nil, stored["rules"] != wanted["rules"] {
            let owned = (stored["rules"]?.array ?? []).map(PolicyRule.init)
            let lacking = rules.filter { !RuleCoverage.missing(of: [PolicyRule($0)], in: owned).isEmpty }
            if !lacking.isEmpty { new["rules"] = .array((stored["rules"]?.array ?? []) + lacking) }
        }
        if let selectors = wanted["aggregationRule", "clusterRoleSelectors"]?.array {
            let owned = stored["aggregationRule", "clusterRoleSelectors"]?.array ?? []
            let lacking = selectors.filter { !owned.contains($0) }
            if !lacking.isEmpty { new["aggregationRule"] = ["clusterRoleSelectors": .array(owned + lacking)] }
        }
        if let subjects = wanted["subjects"]?.array {
            let owned = stored["subjects"]?.array ?? []
            let lacking = subjects.filter { !owned.contains($0) }
            if !lacking.isEmpty { new["subjects"] = .array(owned + lacking) }
        }
        return new == stored ? nil : new
    }

    /// The one binding whose name is not its role's.
    private static var authenticationReaders: Entry {
        let subjects = ["u:system:kube-controller-manager", "u:system:kube-scheduler"].map(Section.subject)
        return Section.binding(
            "system::extension-apiserver-authentication-reader", to: "extension-apiserver-authentication-reader",
            namespace: "kube-system", subjects: subjects)
    }

    private static func sections(of text: String) -> [[Substring]] {
        var sections: [[Substring]] = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("role ") || line.hasPrefix("controller ") {
                sections.append([line])
            } else {
                sections[sections.count - 1].append(line)
            }
        }
        return sections
    }

    /// A heading and its rules.
    private struct Section {
        var role: Entry
        var binding: Entry?

        init(_ lines: [Substring], namespace: String) {
            let words = lines[0].split(separator: " ").map(String.init)
            var name = words[1]
            var namespace = namespace
            var subjects = words.filter { $0.hasPrefix("@") }.map { String($0.dropFirst()) }
            // A lone `@` is a binding to nobody, which upstream keeps of `system:node`.
            let isBound = !subjects.isEmpty || words[0] == "controller"
            subjects.removeAll(where: \.isEmpty)
            if words[0] == "controller" {
                subjects = ["s:\(name)"]
                name = "system:controller:\(name)"
            }
            if let slash = name.firstIndex(of: "/") {
                namespace = String(name[..<slash])
                name = String(name[name.index(after: slash)...])
            }
            var object = Section.object(namespace.isEmpty ? .clusterRole : .role, namespace, name)
            for word in words where word.hasPrefix("+") {
                object.labels[BootstrapPolicy.aggregation + word.dropFirst()] = "true"
            }
            if let aggregated = words.first(where: { $0.hasPrefix("<") }) {
                let key = BootstrapPolicy.aggregation + aggregated.dropFirst()
                object["aggregationRule"] = [
                    "clusterRoleSelectors": [["matchLabels": .object(JSONObject([(key, .string("true"))]))]]
                ]
            } else {
                object["rules"] = .array(lines.dropFirst().map { Section.rule($0).tree })
            }
            role = Entry(kind: namespace.isEmpty ? .clusterRole : .role, object: object)
            if isBound {
                binding = Section.binding(name, to: name, namespace: namespace, subjects: subjects.map(Section.subject))
            }
        }

        static func object(_ kind: RoleKind, _ namespace: String, _ name: String) -> Object {
            var object = Object(kind.resource, namespace: namespace, name: name)
            object.labels = [BootstrapPolicy.label: "rbac-defaults"]
            object.annotations = [BootstrapPolicy.autoupdate: "true"]
            return object
        }

        static func binding(_ name: String, to role: String, namespace: String, subjects: [JSON]) -> Entry {
            let isCluster = namespace.isEmpty
            var object = object(isCluster ? .clusterRoleBinding : .roleBinding, namespace, name)
            object["roleRef"] = [
                "apiGroup": .string(BootstrapPolicy.apiGroup), "kind": isCluster ? "ClusterRole" : "Role",
                "name": .string(role),
            ]
            if !subjects.isEmpty { object["subjects"] = .array(subjects) }
            return Entry(kind: isCluster ? .clusterRoleBinding : .roleBinding, object: object)
        }

        static func subject(_ word: String) -> JSON {
            let name = JSON.string(String(word.dropFirst(2)))
            if word.hasPrefix("s:") { return ["kind": "ServiceAccount", "name": name, "namespace": "kube-system"] }
            return [
                "apiGroup": .string(BootstrapPolicy.apiGroup), "kind": word.hasPrefix("u:") ? "User" : "Group",
                "name": name,
            ]
        }

        static func rule(_ line: Substring) -> PolicyRule {
            if line == "events" { return rule("create,update,patch core,events.k8s.io events") }
            let words = line.split(separator: " ")
            func list(_ position: Int) -> [String] {
                position < words.count ? words[position].split(separator: ",").map(String.init).sorted() : []
            }
            let verbs = list(0).flatMap { shorthands[$0] ?? [$0] }.sorted()
            if words[1] == "url" { return PolicyRule(verbs: verbs, nonResourceURLs: list(2)) }
            let groups = list(1).map { $0 == "core" ? "" : $0 }.sorted()
            return PolicyRule(verbs: verbs, apiGroups: groups, resources: list(2), resourceNames: list(3))
        }

        private static let shorthands = [
            "read": ["get", "list", "watch"], "write": ["create", "delete", "deletecollection", "patch", "update"],
        ]
    }
}

extension RoleKind {
    /// The resource whose objects are of this kind.
    package var resource: Resource {
        let kind =
            switch self {
            case .role: "Role"
            case .clusterRole: "ClusterRole"
            case .roleBinding: "RoleBinding"
            case .clusterRoleBinding: "ClusterRoleBinding"
            }
        return Resource(
            group: BootstrapPolicy.apiGroup, version: "v1", kind: kind, plural: rawValue,
            isNamespaced: self == .role || self == .roleBinding)
    }
}
