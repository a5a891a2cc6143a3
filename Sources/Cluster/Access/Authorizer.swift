// Decides who may do what, from roles and bindings (upstream: plugin/pkg/auth/authorizer/rbac/rbac.go).

import Objects
import Synchronization

/// Decides by the newest roles and bindings that it was told of. A decision touches only what is given to the user and
/// costs microseconds.
package final class Authorizer: Sendable {
    package struct Decision: Sendable, Hashable {
        package var isAllowed: Bool
        /// Why, in upstream's words; of a refusal only where a binding names a role that is not there.
        package var reason: String

        package init(isAllowed: Bool, reason: String = "") {
            self.isAllowed = isAllowed
            self.reason = reason
        }
    }

    private let roles = Mutex(RoleMachine())

    package init() {}

    /// A role or binding was written. Decisions from now on follow it.
    package func stored(_ kind: RoleKind, _ object: Object) { roles.withLock { $0.stored(kind, object) } }

    package func removed(_ kind: RoleKind, _ key: ObjectKey) { roles.withLock { $0.removed(kind, key) } }

    /// Members of `system:masters` may everything, whatever roles say, so that nobody can lock himself out.
    package func decide(_ identity: Identity, _ request: AccessRequest) -> Decision {
        if identity.isMaster { return Decision(isAllowed: true) }
        let resource = request.target?.resource ?? ""
        return roles.withLock { roles in
            roles.aggregate()
            var decision = Decision(isAllowed: false)
            var missing: [String] = []
            roles.visitGrants(of: identity, in: request.target?.namespace ?? "") { grant in
                guard let rules = roles.rules(of: grant.role) else {
                    missing.append(Self.missing(grant.role))
                    return true
                }
                guard rules.contains(where: { $0.allows(request, resource: resource) }) else { return true }
                decision = Decision(isAllowed: true, reason: Self.reason(grant))
                return false
            }
            if !decision.isAllowed, !missing.isEmpty {
                decision.reason = "RBAC: " + (missing.count == 1 ? missing[0] : "[\(missing.joined(separator: ", "))]")
            }
            return decision
        }
    }

    /// Throws `Forbidden`, in the words of Kubernetes.
    package func check(_ identity: Identity, _ request: AccessRequest) throws(Problem) {
        let decision = decide(identity, request)
        if !decision.isAllowed { throw request.refusal(of: identity, reason: decision.reason) }
    }

    /// Every rule that is given to a user in a namespace, and the roles that bindings name in vain.
    package func rules(for identity: Identity, in namespace: String) -> (rules: [PolicyRule], missing: [String]) {
        roles.withLock { roles in
            roles.aggregate()
            var all: [PolicyRule] = []
            var missing: [String] = []
            roles.visitGrants(of: identity, in: namespace) { grant in
                if let rules = roles.rules(of: grant.role) {
                    all += rules
                } else {
                    missing.append(Self.missing(grant.role))
                }
                return true
            }
            return (all, missing)
        }
    }

    /// The rules of a role; nil when there is none.
    package func rules(of role: RoleReference) -> [PolicyRule]? {
        roles.withLock { roles in
            roles.aggregate()
            return roles.rules(of: role)
        }
    }

    /// Why a user may not hand out these rules in a namespace; nil when he has them all himself.
    package func escalation(of identity: Identity, in namespace: String, to wanted: [PolicyRule]) -> String? {
        let owned = rules(for: identity, in: namespace)
        let missing = RuleCoverage.missing(of: wanted, in: owned.rules)
        if missing.isEmpty { return nil }
        var text =
            "user \"\(identity.name)\" (groups=\(RuleCoverage.quoted(identity.groups))) is attempting to grant RBAC "
            + "permissions not currently held:\n" + RuleCoverage.description(of: missing)
        if !owned.missing.isEmpty { text += "; resolution errors: [\(owned.missing.joined(separator: " "))]" }
        return text
    }

    private static func missing(_ role: RoleReference) -> String {
        "\(role.isClusterRole ? "clusterrole" : "role").rbac.authorization.k8s.io \"\(role.name)\" not found"
    }

    private static func reason(_ grant: RoleMachine.Grant) -> String {
        let binding =
            grant.isClusterBinding
            ? "ClusterRoleBinding \"\(grant.binding)\"" : "RoleBinding \"\(grant.binding)/\(grant.namespace)\""
        let role = grant.role.isClusterRole ? "ClusterRole" : "Role"
        return "RBAC: allowed by \(binding) of \(role) \"\(grant.role.name)\" to \(grant.subject)"
    }
}
