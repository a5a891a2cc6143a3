// Which resources the API serves, and by which rules.

import Formats
import Objects

/// The subresources that this server knows how to serve.
enum ServedSubresource: String, Sendable, CaseIterable {
    case status, scale, binding, log, finalize, exec, attach, portforward, token, approval,
        eviction, ephemeralcontainers, resize, proxy
}

/// One served resource with its strategy.
struct ServedResource: Sendable {
    /// Where a resource's objects are.
    enum Backing: Sendable {
        case stored
        /// Nothing is kept: `create` answers at once, or `get` and `list` show what is so now.
        case virtual
    }

    var resource: Resource
    var strategy: any Strategy
    var subresources: [ServedSubresource]
    var backing = Backing.stored
    var printer: TablePrinter
    /// Set where a CustomResourceDefinition says what the kind is.
    var custom: CustomKind?
    /// Kubernetes' own type of the objects, for built-in kinds.
    let type: SchemaType?

    init(
        _ resource: Resource, strategy: any Strategy, subresources: [ServedSubresource] = [],
        printer: TablePrinter? = nil
    ) {
        self.resource = resource
        self.strategy = strategy
        self.subresources = subresources
        self.printer = printer ?? .of(resource)
        type = Schema.type(of: resource)
    }

    /// What is wrong with the part of an object that all kinds have.
    func metadataFaults(of object: Object) -> [FieldFault] {
        Findings.of(object) { $1.metadata($0["metadata"], isBuiltIn: type != nil) }
    }
}

/// The table of what is served; a plain look-up.
struct ServedResources: Sendable {
    let all: [ServedResource]
    private let byPath: [String: Int]

    /// Groups that are not served, so that clients hear 404 rather than be misled: their objects would change how the
    /// API itself behaves.
    private static let refusedGroups: Set<String> = [
        "admissionregistration.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io",
    ]

    /// The resources of Kubernetes itself.
    init(_ resources: [Resource]) {
        self.init(
            served: resources.filter { !Self.refusedGroups.contains($0.group) && !$0.plural.contains("/") }.map {
                resource in
                var served = ServedResource(
                    resource, strategy: StrategyTable.strategy(of: resource),
                    subresources: ResourceTable.subresources(of: resource).compactMap {
                        ServedSubresource(rawValue: $0.name)
                    })
                // What cannot be watched is not stored.
                if !resource.verbs.contains("watch") { served.backing = .virtual }
                return served
            })
    }

    /// Any resources, such as those of `builtIn.all` together with some that appear while the server runs.
    init(served: [ServedResource]) {
        all = served
        byPath = Dictionary(
            served.enumerated().map { ("\($0.element.resource.apiVersion)/\($0.element.resource.plural)", $0.offset) },
            uniquingKeysWith: { first, _ in first })
    }

    func find(group: String, version: String, plural: String) -> ServedResource? {
        byPath[(group.isEmpty ? version : "\(group)/\(version)") + "/" + plural].map { all[$0] }
    }

    func find(_ resource: Resource) -> ServedResource? {
        find(group: resource.group, version: resource.version, plural: resource.plural)
    }

    /// The order in which Kubernetes lists its groups, which decides what a short name means; others follow by name.
    private static let groupOrder = [
        "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
        "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
        "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
        "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "flowcontrol.apiserver.k8s.io",
    ]

    /// Groups with their versions, the preferred one first; the core group has the empty name.
    var groups: [(name: String, versions: [String])] {
        var versions: [String: [String]] = [:]
        for served in all where versions[served.resource.group]?.contains(served.resource.version) != true {
            versions[served.resource.group, default: []].append(served.resource.version)
        }
        let rank = Dictionary(uniqueKeysWithValues: Self.groupOrder.enumerated().map { ($0.element, $0.offset) })
        let names = versions.keys.sorted { left, right in
            (rank[left] ?? Int.max, left) < (rank[right] ?? Int.max, right)
        }
        return names.map { name in
            (name, (versions[name] ?? []).sorted { APIVersionOrder.isPreferred($0, to: $1) })
        }
    }
}

/// The priority of versions (upstream: apimachinery, pkg/version/helpers.go): v2 before v1 before v2beta1 before
/// v1alpha1.
enum APIVersionOrder {
    static func isPreferred(_ left: String, to right: String) -> Bool {
        switch (rank(left), rank(right)) {
        case (let left?, let right?): left.lexicographicallyPrecedes(right) { $0 > $1 }
        case (.some, nil): true
        case (nil, .some): false
        case (nil, nil): left < right
        }
    }

    /// Stability, number, number of the pre-release; nil for texts that are no such version.
    private static func rank(_ text: String) -> [Int]? {
        guard let match = text.wholeMatch(of: /v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?/) else { return nil }
        let stability = match.2 == nil ? 2 : match.2 == "beta" ? 1 : 0
        return [stability, Int(match.1) ?? 0, match.3.flatMap { Int($0) } ?? 0]
    }
}
