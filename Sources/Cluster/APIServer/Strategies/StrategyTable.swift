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
        case ("events.k8s.io", "events"): EventStrategy(isModern: true)
        case ("", "serviceaccounts"): ServiceAccountStrategy()
        case ("", "limitranges"): LimitRangeStrategy()
        case ("", "resourcequotas"): ResourceQuotaStrategy()
        case ("", "persistentvolumes"): PersistentVolumeStrategy()
        case ("storage.k8s.io", "storageclasses"): StorageClassStrategy()
        case ("storage.k8s.io", "csidrivers"): CSIDriverStrategy()
        case ("", "podtemplates"): PodTemplateStrategy()
        case ("", "replicationcontrollers"): ReplicaSetStrategy(isController: true)
        case ("", "persistentvolumeclaims"): ClaimStrategy()
        case ("apps", "deployments"): DeploymentStrategy()
        case ("apps", "replicasets"): ReplicaSetStrategy()
        case ("apps", "statefulsets"): StatefulSetStrategy()
        case ("apps", "daemonsets"): DaemonSetStrategy()
        case ("apps", "controllerrevisions"): ControllerRevisionStrategy()
        case ("", "endpoints"): EndpointsStrategy()
        case ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy()
        case ("discovery.k8s.io", "endpointslices"): EndpointSliceStrategy()
        case ("batch", "jobs"): JobStrategy()
        case ("batch", "cronjobs"): CronJobStrategy()
        case ("autoscaling", "horizontalpodautoscalers"): AutoscalerStrategy()
        case ("policy", "poddisruptionbudgets"): DisruptionBudgetStrategy()
        case ("coordination.k8s.io", "leases"): LeaseStrategy()
        case ("scheduling.k8s.io", "priorityclasses"): PriorityClassStrategy()
        case ("node.k8s.io", "runtimeclasses"): RuntimeClassStrategy()
        case ("networking.k8s.io", "ingresses"): IngressStrategy()
        case ("networking.k8s.io", "ingressclasses"): IngressClassStrategy()
        case ("networking.k8s.io", "networkpolicies"): NetworkPolicyStrategy()
        case ("rbac.authorization.k8s.io", "roles"): RoleStrategy(isNamespaced: true)
        case ("rbac.authorization.k8s.io", "clusterroles"): RoleStrategy(isNamespaced: false)
        case ("rbac.authorization.k8s.io", "rolebindings"): RoleBindingStrategy(isNamespaced: true)
        case ("rbac.authorization.k8s.io", "clusterrolebindings"): RoleBindingStrategy(isNamespaced: false)
        case ("certificates.k8s.io", "certificatesigningrequests"): CertificateRequestStrategy()
        default: nil
        }
    }

    private static func plain(_ resource: Resource) -> PlainStrategy {
        PlainStrategy(
            hasStatus: ResourceTable.subresource("status", of: resource) != nil,
            hasGeneration: withGeneration.contains(resource.plural))
    }

    private static let withGeneration: Set<String> = [
        "volumeattachments", "servicecidrs", "ipaddresses",
    ]
}
