// Nobody hands out what he has not got (upstream: pkg/registry/rbac/…/policybased).

import Access
import Formats
import Objects

extension KubernetesAPI {
    /// Refuses roles and bindings that grant more than their writer has, and approvals by who may not approve. To be
    /// called with every object on its way into the store.
    func authorizeContent(_ new: Object, replacing old: Object?, of resource: Resource) throws(Problem) {
        guard let caller = Caller.current, !caller.isMaster, let kind = RoleKind(rawValue: resource.plural),
            resource.group == kind.resource.group
        else { return }
        // Owners and finalizers may change without anybody having the rights, or garbage could not be collected.
        if let old, Self.onlyGarbageFields(new, old) { return }
        switch kind {
        case .role, .clusterRole: try authorizeRole(new, replacing: old, kind, caller)
        case .roleBinding, .clusterRoleBinding: try authorizeBinding(new, kind, caller)
        }
    }

    private static func onlyGarbageFields(_ new: Object, _ old: Object) -> Bool {
        var (new, old) = (new, old)
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            new.tree["metadata", field] = nil
            old.tree["metadata", field] = nil
        }
        return new == old
    }

    private func authorizeRole(_ new: Object, replacing old: Object?, _ kind: RoleKind, _ caller: Identity)
        throws(Problem)
    {
        let may = AccessRequest(
            verb: "escalate",
            target: .init(
                group: kind.resource.group, plural: kind.rawValue, namespace: new.namespace, name: new.name))
        if access.authorizer.decide(caller, may).isAllowed { return }
        let rules = (new["rules"]?.array ?? []).map(PolicyRule.init)
        if let why = access.authorizer.escalation(of: caller, in: new.namespace, to: rules) {
            throw .forbidden(kind.resource, new.name, why)
        }
        // An aggregating role gathers whatever anybody labels, now and later.
        guard new["aggregationRule"] != nil || old?["aggregationRule"] != nil else { return }
        let everything = [
            PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]),
            PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]),
        ]
        if access.authorizer.escalation(of: caller, in: "", to: everything) != nil {
            throw .forbidden(
                kind.resource, new.name, "must have cluster-admin privileges to use the aggregationRule")
        }
    }

    private func authorizeBinding(_ new: Object, _ kind: RoleKind, _ caller: Identity) throws(Problem) {
        let reference = new["roleRef"] ?? .null
        let name = reference["name"]?.string ?? ""
        let isClusterRole = reference["kind"]?.string == "ClusterRole"
        let role: RoleKind = isClusterRole ? .clusterRole : .role
        let may = AccessRequest(
            verb: "bind",
            target: .init(group: role.resource.group, plural: role.rawValue, namespace: new.namespace, name: name))
        if access.authorizer.decide(caller, may).isAllowed { return }
        let wanted = RoleReference(isClusterRole: isClusterRole, namespace: new.namespace, name: name)
        guard let rules = access.authorizer.rules(of: wanted) else { throw .notFound(role.resource, name) }
        if let why = access.authorizer.escalation(of: caller, in: new.namespace, to: rules) {
            throw .forbidden(kind.resource, new.name, why)
        }
    }
}
