// Which resources the API serves, and by which rules.

import Formats
import Objects

/// The subresources that this server knows how to serve.
enum ServedSubresource: String, Sendable, CaseIterable {
    case status, scale, binding, log, finalize, exec, attach, portforward, token, approval,
        eviction, ephemeralcontainers, resize
}

/// One served resource with its strategy.
struct ServedResource: Sendable {
    var resource: Resource
    var strategy: any Strategy
    var subresources: [ServedSubresource]
    /// Whether some part of this program acts on objects of the kind, or they are only kept.
    var isActedUpon: Bool

    var printer: TablePrinter { .of(resource) }
}

/// The table of what is served; a plain look-up.
struct ServedResources: Sendable {
    let all: [ServedResource]
    private let byPath: [String: Int]

    /// Groups whose objects would change how the API itself behaves, which this server does not do yet; and kinds that
    /// are
    /// questions, not objects. They are not in discovery, so that clients hear 404 rather than be misled.
    private static let refusedGroups: Set<String> = [
        "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
    ]
    private static let refused: Set<String> = [
        "v1/bindings", "v1/componentstatuses", "autoscaling/v1/horizontalpodautoscalers",
    ]
    private static let actedUpon: Set<String> = [
        "v1/namespaces", "v1/nodes", "v1/pods", "v1/services", "v1/endpoints", "v1/configmaps", "v1/secrets",
        "v1/events",
        "v1/serviceaccounts", "apps/v1/deployments", "apps/v1/replicasets", "apps/v1/statefulsets", "apps/v1/daemonsets",
        "apps/v1/controllerrevisions", "v1/replicationcontrollers", "batch/v1/jobs", "batch/v1/cronjobs",
        "discovery.k8s.io/v1/endpointslices", "coordination.k8s.io/v1/leases", "rbac.authorization.k8s.io/v1/roles",
        "rbac.authorization.k8s.io/v1/rolebindings", "rbac.authorization.k8s.io/v1/clusterroles",
        "rbac.authorization.k8s.io/v1/clusterrolebindings", "certificates.k8s.io/v1/certificatesigningrequests",
        "v1/persistentvolumes", "v1/persistentvolumeclaims", "storage.k8s.io/v1/storageclasses",
        "policy/v1/poddisruptionbudgets", "autoscaling/v2/horizontalpodautoscalers",
    ]
    private static let withGeneration: Set<String> = [
        "daemonsets", "statefulsets", "replicationcontrollers", "cronjobs", "jobs", "ingresses", "networkpolicies",
        "poddisruptionbudgets", "horizontalpodautoscalers",
    ]

    init(_ resources: [Resource]) {
        var all: [ServedResource] = []
        var byPath: [String: Int] = [:]
        for resource in resources where !Self.refusedGroups.contains(resource.group) {
            let path = "\(resource.apiVersion)/\(resource.plural)"
            if Self.refused.contains(path) || resource.plural.contains("/") { continue }
            let strategy = Self.strategy(of: resource)
            byPath[path] = all.count
            all.append(
                ServedResource(
                    resource: resource, strategy: strategy, subresources: Self.subresources(resource),
                    isActedUpon: Self.actedUpon.contains(path)))
        }
        self.all = all
        self.byPath = byPath
    }

    func find(group: String, version: String, plural: String) -> ServedResource? {
        byPath[(group.isEmpty ? version : "\(group)/\(version)") + "/" + plural].map { all[$0] }
    }

    func find(_ resource: Resource) -> ServedResource? {
        find(group: resource.group, version: resource.version, plural: resource.plural)
    }

    /// Groups with their versions, in the order of the table; the core group has the empty name.
    var groups: [(name: String, versions: [String])] {
        var groups: [(name: String, versions: [String])] = []
        for served in all {
            if let position = groups.firstIndex(where: { $0.name == served.resource.group }) {
                if !groups[position].versions.contains(served.resource.version) {
                    groups[position].versions.append(served.resource.version)
                }
            } else {
                groups.append((served.resource.group, [served.resource.version]))
            }
        }
        return groups
    }

    private static func strategy(of resource: Resource) -> any Strategy {
        switch (resource.group, resource.plural) {
        case ("", "pods"): return PodStrategy()
        case ("", "services"): return ServiceStrategy()
        case ("", "namespaces"): return NamespaceStrategy()
        case ("", "nodes"): return NodeStrategy()
        case ("", "secrets"): return SecretStrategy()
        case ("", "configmaps"): return ConfigMapStrategy()
        case ("", "events"): return EventStrategy()
        case ("", "serviceaccounts"): return PlainStrategy(returnsDeleted: true)
        case ("apps", "deployments"): return WorkloadStrategy(isDeployment: true)
        case ("apps", "replicasets"): return WorkloadStrategy(isDeployment: false)
        case ("discovery.k8s.io", "endpointslices"): return EndpointSliceStrategy()
        case ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles"):
            return RoleStrategy(isNamespaced: resource.isNamespaced)
        case ("rbac.authorization.k8s.io", _): return RoleBindingStrategy(isNamespaced: resource.isNamespaced)
        case ("certificates.k8s.io", "certificatesigningrequests"): return CertificateRequestStrategy()
        default:
            return PlainStrategy(
                nameRule: resource.group == "rbac.authorization.k8s.io" ? .pathSegment : .subdomain,
                hasStatus: ResourceTable.subresource("status", of: resource) != nil,
                hasGeneration: withGeneration.contains(resource.plural))
        }
    }

    private static func subresources(_ resource: Resource) -> [ServedSubresource] {
        ResourceTable.subresources(of: resource).compactMap { ServedSubresource(rawValue: $0.name) }
    }
}
