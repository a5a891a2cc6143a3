// Roles and bindings, indexed by whom they are given to, so that a decision looks at nothing else.

import Formats
import Objects

/// The kinds of `rbac.authorization.k8s.io/v1`.
package enum RoleKind: String, Sendable, CaseIterable {
    case role = "roles"
    case clusterRole = "clusterroles"
    case roleBinding = "rolebindings"
    case clusterRoleBinding = "clusterrolebindings"
}

/// A reference from a binding to its role. Equal references name the same role, wherever they stand.
package struct RoleReference: Sendable, Hashable {
    package var isClusterRole: Bool
    /// Empty for cluster roles.
    package var namespace: String
    package var name: String

    package init(isClusterRole: Bool, namespace: String, name: String) {
        self.isClusterRole = isClusterRole
        self.namespace = isClusterRole ? "" : namespace
        self.name = name
    }
}

/// Every role and binding of the cluster. Fed with the objects as they are written; knows nothing else.
///
/// A cluster role with an aggregation rule has the rules of all roles that it selects at this very moment, and none of
/// its own; whether a controller has copied them into it yet does not matter.
struct RoleMachine: Sendable {
    /// Whom a binding names. A service account is the user that it makes requests as.
    struct Subject: Sendable, Hashable {
        var isGroup: Bool
        var name: String
    }

    struct Grant: Sendable, Hashable {
        var binding: String
        var isClusterBinding: Bool
        var namespace: String
        var role: RoleReference
        /// The words that the binding uses of its subject, for reasons: `Group "system:masters"`.
        var subject: String
    }

    private struct Role: Sendable {
        var rules: [PolicyRule]
        var labels: [String: String]
        /// Nil where the role does not aggregate.
        var selectors: [LabelSelector]?
    }

    private var roles: [RoleReference: Role] = [:]
    private var bindings: [ObjectKey: [(Subject, Grant)]] = [:]
    private var clusterBindings: [String: [(Subject, Grant)]] = [:]
    private var clusterGrants: [Subject: [Grant]] = [:]
    private var grants: [String: [Subject: [Grant]]] = [:]
    /// The rules of aggregating roles, good while no cluster role has changed since.
    private var aggregated: [String: [PolicyRule]] = [:]
    private var isAggregated = true

    /// An object was written.
    mutating func stored(_ kind: RoleKind, _ object: Object) {
        let reference = RoleReference(
            isClusterRole: kind == .clusterRole, namespace: object.namespace, name: object.name)
        switch kind {
        case .role: roles[reference] = Self.role(object)
        case .clusterRole:
            roles[reference] = Self.role(object)
            isAggregated = false
        case .roleBinding:
            removed(kind, object.key)
            let given = Self.grants(of: object, isClusterBinding: false)
            bindings[object.key] = given
            for (subject, grant) in given { grants[object.namespace, default: [:]][subject, default: []].append(grant) }
        case .clusterRoleBinding:
            removed(kind, object.key)
            let given = Self.grants(of: object, isClusterBinding: true)
            clusterBindings[object.name] = given
            for (subject, grant) in given { clusterGrants[subject, default: []].append(grant) }
        }
    }

    /// An object is gone.
    mutating func removed(_ kind: RoleKind, _ key: ObjectKey) {
        switch kind {
        case .role: roles[RoleReference(isClusterRole: false, namespace: key.namespace, name: key.name)] = nil
        case .clusterRole:
            roles[RoleReference(isClusterRole: true, namespace: "", name: key.name)] = nil
            isAggregated = false
        case .roleBinding:
            for (subject, grant) in bindings.removeValue(forKey: key) ?? [] {
                grants[key.namespace]?[subject]?.removeAll { $0 == grant }
                if grants[key.namespace]?[subject]?.isEmpty == true { grants[key.namespace]?[subject] = nil }
            }
            if grants[key.namespace]?.isEmpty == true { grants[key.namespace] = nil }
        case .clusterRoleBinding:
            for (subject, grant) in clusterBindings.removeValue(forKey: key.name) ?? [] {
                clusterGrants[subject]?.removeAll { $0 == grant }
                if clusterGrants[subject]?.isEmpty == true { clusterGrants[subject] = nil }
            }
        }
    }

    /// The rules of a role, aggregation included; nil when there is no such role.
    func rules(of reference: RoleReference) -> [PolicyRule]? {
        guard let role = roles[reference] else { return nil }
        return role.selectors == nil ? role.rules : aggregated[reference.name] ?? role.rules
    }

    /// Visits what a user is given across the cluster and in a namespace, until `body` returns false.
    func visitGrants(of identity: Identity, in namespace: String, _ body: (Grant) -> Bool) {
        let local = namespace.isEmpty ? nil : grants[namespace]
        var subject = Subject(isGroup: false, name: identity.name)
        for grant in clusterGrants[subject] ?? [] where !body(grant) { return }
        for grant in local?[subject] ?? [] where !body(grant) { return }
        subject.isGroup = true
        for group in identity.groups {
            subject.name = group
            for grant in clusterGrants[subject] ?? [] where !body(grant) { return }
            for grant in local?[subject] ?? [] where !body(grant) { return }
        }
    }

    // MARK: Reading objects

    private static func role(_ object: Object) -> Role {
        let selectors = object["aggregationRule"]?["clusterRoleSelectors"]?.array
        return Role(
            rules: (object["rules"]?.array ?? []).map(PolicyRule.init), labels: object.labels,
            // A selector that cannot be read was refused at writing; here it selects nothing.
            selectors: selectors.map { $0.compactMap { try? LabelSelector($0) } })
    }

    private static func grants(of binding: Object, isClusterBinding: Bool) -> [(Subject, Grant)] {
        let reference = binding["roleRef"] ?? .null
        let role = RoleReference(
            isClusterRole: reference["kind"]?.string == "ClusterRole", namespace: binding.namespace,
            name: reference["name"]?.string ?? "")
        return (binding["subjects"]?.array ?? []).compactMap { tree in
            let name = tree["name"]?.string ?? ""
            let kind = tree["kind"]?.string ?? ""
            var subject = Subject(isGroup: kind == "Group", name: name)
            var words = "\(kind) \"\(name)\""
            switch kind {
            case "User", "Group": break
            case "ServiceAccount":
                // In a RoleBinding the namespace may be left out, which means the binding's own.
                let given = tree["namespace"]?.string ?? ""
                let namespace = given.isEmpty ? binding.namespace : given
                if namespace.isEmpty { return nil }
                subject.name = ServiceAccountName.user(namespace: namespace, name: name)
                words = "\(kind) \"\(name)/\(namespace)\""
            default: return nil
            }
            return (
                subject,
                Grant(
                    binding: binding.name, isClusterBinding: isClusterBinding, namespace: binding.namespace, role: role,
                    subject: words)
            )
        }
    }

    // MARK: Aggregation

    /// Makes the rules of aggregating roles anew if they are stale. To be called before questions: hundreds of roles
    /// are read at start without a question between them.
    mutating func aggregate() {
        if isAggregated { return }
        isAggregated = true
        aggregated = [:]
        for (reference, role) in roles where reference.isClusterRole && role.selectors != nil {
            var seen: Set<String> = []
            var rules: [PolicyRule] = []
            collect(reference, into: &rules, seen: &seen)
            aggregated[reference.name] = rules
        }
    }

    /// Adds the rules of a role and of what it aggregates, each once. Roles that aggregate each other end here too.
    private func collect(_ reference: RoleReference, into rules: inout [PolicyRule], seen: inout Set<String>) {
        guard let role = roles[reference], seen.insert(reference.name).inserted else { return }
        guard let selectors = role.selectors else {
            for rule in role.rules where !rules.contains(rule) { rules.append(rule) }
            return
        }
        let chosen = roles.filter { other in
            other.key.isClusterRole && other.key != reference
                && selectors.contains { $0.matches(other.value.labels) }
        }
        for name in chosen.keys.map(\.name).sorted() {
            collect(RoleReference(isClusterRole: true, namespace: "", name: name), into: &rules, seen: &seen)
        }
    }
}
