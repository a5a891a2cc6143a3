// Which kind is shown by which rows (upstream: pkg/printers/internalversion/printers.go).

import Formats
import Objects

extension TablePrinter {
    /// The printer of a kind; one that upstream has none for shows its name and when it was created.
    static func of(_ resource: Resource) -> TablePrinter {
        let printer =
            resource.group.isEmpty
            ? core[resource.plural]
            : others["\(resource.group)/\(resource.plural)"]
        guard StoredVersions.needConversion(resource) else { return printer ?? .created }
        return of(StoredVersions.stored(resource)).reading { StoredVersions.forStorage($0) }
    }

    private static let core: [String: TablePrinter] = [
        "pods": .pods, "podtemplates": .podTemplates, "replicationcontrollers": .replicationControllers,
        "services": .services, "endpoints": .endpoints, "nodes": .nodes, "namespaces": .namespaces,
        "configmaps": .configMaps, "secrets": .secrets, "serviceaccounts": .plain, "events": .events,
        "persistentvolumes": .persistentVolumes, "persistentvolumeclaims": .persistentVolumeClaims,
        "resourcequotas": .resourceQuotas, "componentstatuses": .componentStatuses,
    ]

    private static let others: [String: TablePrinter] = [
        "apps/deployments": .deployments, "apps/replicasets": .replicaSets, "apps/statefulsets": .statefulSets,
        "apps/daemonsets": .daemonSets, "apps/controllerrevisions": .controllerRevisions,
        "autoscaling/horizontalpodautoscalers": .horizontalPodAutoscalers,
        "batch/jobs": .jobs, "batch/cronjobs": .cronJobs,
        "certificates.k8s.io/certificatesigningrequests": .certificateSigningRequests,
        "coordination.k8s.io/leases": .leases, "discovery.k8s.io/endpointslices": .endpointSlices,
        "networking.k8s.io/ingresses": .ingresses, "networking.k8s.io/ingressclasses": .ingressClasses,
        "networking.k8s.io/networkpolicies": .networkPolicies, "networking.k8s.io/ipaddresses": .ipAddresses,
        "networking.k8s.io/servicecidrs": .serviceCIDRs, "node.k8s.io/runtimeclasses": .runtimeClasses,
        "policy/poddisruptionbudgets": .podDisruptionBudgets,
        "rbac.authorization.k8s.io/rolebindings": .roleBindings,
        "rbac.authorization.k8s.io/clusterrolebindings": .roleBindings,
        "scheduling.k8s.io/priorityclasses": .priorityClasses,
        "storage.k8s.io/storageclasses": .storageClasses, "storage.k8s.io/csidrivers": .csiDrivers,
        "storage.k8s.io/csinodes": .csiNodes, "storage.k8s.io/csistoragecapacities": .csiStorageCapacities,
        "storage.k8s.io/volumeattachments": .volumeAttachments,
        "storage.k8s.io/volumeattributesclasses": .volumeAttributesClasses,
    ]

    /// The same columns for objects that first have to be turned into what the rows are made of.
    private func reading(_ convert: @escaping @Sendable (Object) -> Object) -> TablePrinter {
        var printer = self
        let cells = cells
        printer.cells = { cells(convert($0), $1) }
        return printer
    }
}
