// Which rules go with which kind.

import Objects

enum StrategyTable {
    static func strategy(of resource: Resource) -> any Strategy {
        if StoredVersions.needConversion(resource), resource.plural == "horizontalpodautoscalers" {
            return ConvertedStrategy(base: strategy(of: StoredVersions.stored(resource)), resource: resource)
        }
        return special(resource.group, resource.plural) ?? plain(resource)
    }

    private static func special(_ group: String, _ plural: String) -> (any Strategy)? {
        switch (group, plural) {
        case ("", "pods"): PodStrategy()
        case ("", "services"): ServiceStrategy()
        case ("", "namespaces"): NamespaceStrategy()
        case ("", "nodes"): NodeStrategy()
        case ("", "secrets"): SecretStrategy()
        case ("", "configmaps"): ConfigMapStrategy()
        case ("", "events"): EventStrategy()
        case ("", "serviceaccounts"): PlainStrategy(returnsDeleted: true)
        case ("apps", "deployments"): WorkloadStrategy(isDeployment: true)
        case ("apps", "replicasets"): WorkloadStrategy(isDeployment: false)
        case ("discovery.k8s.io", "endpointslices"): EndpointSliceStrategy()
        default: nil
        }
    }

    private static func plain(_ resource: Resource) -> PlainStrategy {
        PlainStrategy(
            nameRule: resource.group == "rbac.authorization.k8s.io" ? .pathSegment : .subdomain,
            hasStatus: ResourceTable.subresource("status", of: resource) != nil,
            hasGeneration: withGeneration.contains(resource.plural))
    }

    private static let withGeneration: Set<String> = [
        "daemonsets", "statefulsets", "replicationcontrollers", "cronjobs", "jobs", "ingresses", "networkpolicies",
        "poddisruptionbudgets",
    ]
}
