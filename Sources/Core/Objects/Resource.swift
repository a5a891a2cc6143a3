// What the API serves: a resource's names, scope and verbs. The full table is generated; see ResourceTable.

/// A served resource in one version, as discovery describes it. Two are equal when group, version and plural are.
package struct Resource: Sendable {
    /// Empty for the core group.
    package var group: String
    package var version: String
    package var kind: String
    package var plural: String
    package var singular: String
    package var isNamespaced: Bool
    package var shortNames: [String] = []
    package var categories: [String] = []
    package var verbs: [String] = []
    /// Nil where objects are stored as clients see them.
    package var view: (any ResourceView)?

    package init(
        group: String, version: String, kind: String, plural: String, singular: String? = nil,
        isNamespaced: Bool = true,
        shortNames: [String] = [], categories: [String] = [], verbs: [String] = []
    ) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.singular = singular ?? kind.lowercased()
        self.isNamespaced = isNamespaced
        self.shortNames = shortNames
        self.categories = categories
        self.verbs = verbs
    }

    /// `v1`, `apps/v1`: the value of `apiVersion`.
    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// `pods`, `deployments.apps`: the name in messages.
    package var qualifiedName: String { group.isEmpty ? plural : "\(plural).\(group)" }

    /// The path below the server's root: `/apis/apps/v1/namespaces/shop/deployments/web/status`.
    package func path(namespace: String = "", name: String? = nil, subresource: String? = nil) -> String {
        var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        if isNamespaced, !namespace.isEmpty { path += "/namespaces/\(namespace)" }
        path += "/\(plural)"
        if let name { path += "/\(name)" }
        if let subresource { path += "/\(subresource)" }
        return path
    }
}

extension Resource: Hashable {
    package static func == (left: Resource, right: Resource) -> Bool {
        left.plural == right.plural && left.group == right.group && left.version == right.version
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(group)
        hasher.combine(version)
        hasher.combine(plural)
    }
}

/// The resources that this program itself works with.
extension Resource {
    package static let namespaces = Resource(
        group: "", version: "v1", kind: "Namespace", plural: "namespaces", isNamespaced: false)
    package static let nodes = Resource(group: "", version: "v1", kind: "Node", plural: "nodes", isNamespaced: false)
    package static let pods = Resource(group: "", version: "v1", kind: "Pod", plural: "pods")
    package static let services = Resource(group: "", version: "v1", kind: "Service", plural: "services")
    package static let endpoints = Resource(group: "", version: "v1", kind: "Endpoints", plural: "endpoints")
    package static let configMaps = Resource(group: "", version: "v1", kind: "ConfigMap", plural: "configmaps")
    package static let secrets = Resource(group: "", version: "v1", kind: "Secret", plural: "secrets")
    package static let events = Resource(group: "", version: "v1", kind: "Event", plural: "events")
    package static let serviceAccounts = Resource(
        group: "", version: "v1", kind: "ServiceAccount", plural: "serviceaccounts")
    package static let deployments = Resource(group: "apps", version: "v1", kind: "Deployment", plural: "deployments")
    package static let replicaSets = Resource(group: "apps", version: "v1", kind: "ReplicaSet", plural: "replicasets")
    package static let endpointSlices = Resource(
        group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice", plural: "endpointslices")
    package static let leases = Resource(group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases")
}
