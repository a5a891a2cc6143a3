// Copies into aggregating cluster roles the rules of those that they select, for people and programs that read them
// (upstream: pkg/controller/clusterroleaggregation). Decisions do not wait for it: the authorizer aggregates by itself.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// Writes `rules` of cluster roles with an `aggregationRule`.
struct RoleAggregationController: Sendable {
    let client: KubernetesClient
    let roles: Informer
    let logger: Logger

    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "role-aggregation", logger: logger, reconcile: reconcile)
        roles.onChange { _ in
            for role in roles.list() where role["aggregationRule"] != nil { reconciler.enqueue(role.key) }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let role = roles.get(key), role["aggregationRule"] != nil, !role.isTerminating else { return .done }
        let rules = Self.rules(of: role, among: roles.list())
        if rules == role["rules"]?.array ?? [] { return .done }
        let patch: JSON = [
            "metadata": ["resourceVersion": .string(role.resourceVersion)], "rules": .array(rules),
        ]
        _ = try await client.patch(.clusterRoles, key, .merge, patch)
        return .done
    }

    /// The rules of all selected roles in the order of their names, each once. What a selected role aggregates is in
    /// its own rules already, or soon will be.
    static func rules(of role: Object, among all: [Object]) -> [JSON] {
        let selectors = (role["aggregationRule", "clusterRoleSelectors"]?.array ?? []).compactMap {
            try? LabelSelector($0)
        }
        var rules: [JSON] = []
        for selector in selectors {
            for other in all where other.name != role.name && selector.matches(other.labels) {
                for rule in other["rules"]?.array ?? [] where !rules.contains(rule) { rules.append(rule) }
            }
        }
        return rules
    }
}
