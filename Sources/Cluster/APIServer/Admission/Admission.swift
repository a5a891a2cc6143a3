// What a fresh object gets from, or is refused because of, other objects (upstream: the admission plugins on by
// default).

import Formats
import Objects

extension KubernetesAPI {
    /// Completes a fresh object and checks it against its surroundings, before validation.
    func admit(_ object: inout Object, of resource: Resource) async throws {
        switch (resource.group, resource.plural) {
        case ("", "pods"):
            try admitPriority(of: &object)
            try admitLimits(of: &object, resource)
        case ("", "persistentvolumeclaims"):
            try admitStorageClass(of: &object)
            try admitLimits(of: &object, resource)
        case ("networking.k8s.io", "ingresses"): try admitIngressClass(of: &object)
        case ("apiextensions.k8s.io", "customresourcedefinitions"): try admitDefinition()
        default: break
        }
        if resource.isNamespaced { try admitQuota(of: object, resource) }
    }

    /// Every stored object of a kind, in one namespace where one is given.
    func stored(_ resource: Resource, namespace: String? = nil) throws -> [Object] {
        let page = try records.store.page(prefix: ObjectRecords.prefix(resource, namespace: namespace))
        return try page.records.map { try ObjectRecords.object(of: $0) }
    }

    /// A claim that names no class gets the default one, the newest where there are several.
    private func admitStorageClass(of claim: inout Object) throws {
        let old = "volume.beta.kubernetes.io/storage-class"
        if claim["spec", "storageClassName"] != nil || claim.annotations[old] != nil { return }
        let names = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        let defaults = try stored(.storageClasses).filter { each in names.contains { each.annotations[$0] == "true" } }
        let newest = defaults.max { ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name) }
        if let newest { claim["spec", "storageClassName"] = .string(newest.name) }
    }

    private func admitIngressClass(of ingress: inout Object) throws {
        if ingress["spec", "ingressClassName"] != nil || ingress.annotations["kubernetes.io/ingress.class"] != nil {
            return
        }
        let defaults = try stored(.ingressClasses).filter {
            $0.annotations["ingressclass.kubernetes.io/is-default-class"] == "true"
        }
        let newest = defaults.max { ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name) }
        if let newest { ingress["spec", "ingressClassName"] = .string(newest.name) }
    }
}

extension Resource {
    static let storageClasses = Resource(
        group: "storage.k8s.io", version: "v1", kind: "StorageClass", plural: "storageclasses", isNamespaced: false)
    static let ingressClasses = Resource(
        group: "networking.k8s.io", version: "v1", kind: "IngressClass", plural: "ingressclasses", isNamespaced: false)
    static let priorityClasses = Resource(
        group: "scheduling.k8s.io", version: "v1", kind: "PriorityClass", plural: "priorityclasses",
        isNamespaced: false)
    static let limitRanges = Resource(group: "", version: "v1", kind: "LimitRange", plural: "limitranges")
    static let resourceQuotas = Resource(group: "", version: "v1", kind: "ResourceQuota", plural: "resourcequotas")
}
