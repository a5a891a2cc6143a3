// Whether some rules grant all that others grant, for nobody may hand out what he has not got.

/// What is missing when one set of rules is measured by another
/// (upstream: component-helpers/auth/rbac/validation/policy_comparator.go and
/// registry/rbac/validation/policy_compact.go).
enum RuleCoverage {
    /// The parts of `wanted` that no rule of `owned` grants, each of one verb on one thing.
    static func missing(of wanted: [PolicyRule], in owned: [PolicyRule]) -> [PolicyRule] {
        wanted.flatMap(parts).filter { part in !owned.contains { covers($0, part) } }
    }

    /// What is missing, one line for each thing, sorted, as it stands in the refusal.
    static func description(of missing: [PolicyRule]) -> String {
        Set(compact(missing).map(text)).sorted().joined(separator: "\n")
    }

    /// A list as Go prints it with `%q`: `["get" "list"]`.
    static func quoted(_ list: [String]) -> String { "[" + list.map { "\"\($0)\"" }.joined(separator: " ") + "]" }

    private static func parts(of rule: PolicyRule) -> [PolicyRule] {
        var parts: [PolicyRule] = []
        let names = rule.resourceNames.isEmpty ? [[]] : rule.resourceNames.map { [$0] }
        for group in rule.apiGroups {
            for resource in rule.resources {
                for verb in rule.verbs {
                    parts += names.map {
                        PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: $0)
                    }
                }
            }
        }
        for url in rule.nonResourceURLs { parts += rule.verbs.map { PolicyRule(verbs: [$0], nonResourceURLs: [url]) } }
        return parts
    }

    private static func covers(_ owned: PolicyRule, _ part: PolicyRule) -> Bool {
        guard has(owned.verbs, part.verbs), has(owned.apiGroups, part.apiGroups) else { return false }
        guard
            part.nonResourceURLs.allSatisfy({ url in
                owned.nonResourceURLs.contains { PolicyRule.path($0, covers: url) }
            })
        else { return false }
        guard part.resources.allSatisfy({ resource in owned.resources.contains { covers($0, resource) } }) else {
            return false
        }
        if part.resourceNames.isEmpty { return owned.resourceNames.isEmpty }
        return owned.resourceNames.isEmpty || part.resourceNames.allSatisfy(owned.resourceNames.contains)
    }

    private static func has(_ owned: [String], _ wanted: [String]) -> Bool {
        owned.contains(PolicyRule.all) || wanted.allSatisfy(owned.contains)
    }

    private static func covers(_ owned: String, _ resource: String) -> Bool {
        if owned == PolicyRule.all || owned == resource { return true }
        guard let slash = resource.firstIndex(of: "/") else { return false }
        return owned == "*" + resource[slash...]
    }

    private struct Thing: Hashable {
        var group: String
        var resource: String
        var name: String?
    }

    /// Joins the verbs of the same thing.
    private static func compact(_ rules: [PolicyRule]) -> [PolicyRule] {
        var compact: [PolicyRule] = []
        var places: [Thing: Int] = [:]
        for rule in rules {
            guard rule.nonResourceURLs.isEmpty, let group = rule.apiGroups.first, let resource = rule.resources.first
            else {
                compact.append(rule)
                continue
            }
            let thing = Thing(group: group, resource: resource, name: rule.resourceNames.first)
            if let place = places[thing] {
                compact[place].verbs += rule.verbs
            } else {
                places[thing] = compact.count
                compact.append(rule)
            }
        }
        return compact
    }

    private static func text(_ rule: PolicyRule) -> String {
        let parts = [
            ("APIGroups", rule.apiGroups), ("Resources", rule.resources), ("NonResourceURLs", rule.nonResourceURLs),
            ("ResourceNames", rule.resourceNames), ("Verbs", rule.verbs),
        ]
        return "{" + parts.filter { !$0.1.isEmpty }.map { "\($0.0):\(quoted($0.1))" }.joined(separator: ", ") + "}"
    }
}
