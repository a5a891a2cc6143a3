// One rule of a role: which verbs on which resources or paths it allows.

import Formats

/// A `PolicyRule` of `rbac.authorization.k8s.io/v1` (upstream: pkg/apis/rbac/v1/evaluation_helpers.go).
package struct PolicyRule: Sendable, Hashable {
    static let all = "*"

    package var verbs: [String]
    package var apiGroups: [String]
    package var resources: [String]
    package var resourceNames: [String]
    package var nonResourceURLs: [String]

    package init(
        verbs: [String], apiGroups: [String] = [], resources: [String] = [], resourceNames: [String] = [],
        nonResourceURLs: [String] = []
    ) {
        self.verbs = verbs
        self.apiGroups = apiGroups
        self.resources = resources
        self.resourceNames = resourceNames
        self.nonResourceURLs = nonResourceURLs
    }

    package init(_ tree: JSON) {
        verbs = tree["verbs"]?.strings ?? []
        apiGroups = tree["apiGroups"]?.strings ?? []
        resources = tree["resources"]?.strings ?? []
        resourceNames = tree["resourceNames"]?.strings ?? []
        nonResourceURLs = tree["nonResourceURLs"]?.strings ?? []
    }

    package var tree: JSON {
        var tree: JSON = [:]
        for (key, list) in [
            ("verbs", verbs), ("apiGroups", apiGroups), ("resources", resources), ("resourceNames", resourceNames),
            ("nonResourceURLs", nonResourceURLs),
        ] where !list.isEmpty { tree[key] = .array(list.map { .string($0) }) }
        return tree
    }

    /// Whether the rule allows a request; `resource` is the target's, as rules spell it.
    func allows(_ request: AccessRequest, resource: String) -> Bool {
        guard verbs.contains(where: { $0 == Self.all || $0 == request.verb }) else { return false }
        guard let target = request.target else {
            return nonResourceURLs.contains { Self.path($0, covers: request.path) }
        }
        return apiGroups.contains { $0 == Self.all || $0 == target.group }
            && resources.contains { Self.matches($0, resource, subresource: target.subresource) }
            && (resourceNames.isEmpty || resourceNames.contains(target.name))
    }

    /// `*`, `pods`, `pods/log` and `*/scale` match what they say; `pods` does not match `pods/log`.
    private static func matches(_ rule: String, _ resource: String, subresource: String) -> Bool {
        if rule == all || rule == resource { return true }
        return !subresource.isEmpty && rule.hasPrefix("*/") && rule.dropFirst(2) == subresource
    }

    /// A pattern's `*` stands at its end and for anything.
    static func path(_ pattern: String, covers path: String) -> Bool {
        if pattern == path || pattern == all { return true }
        guard pattern.hasSuffix("*") else { return false }
        var stem = pattern[...]
        while stem.hasSuffix("*") { stem = stem.dropLast() }
        return path.hasPrefix(stem)
    }
}
