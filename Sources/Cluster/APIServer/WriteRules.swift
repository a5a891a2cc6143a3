// What writing means for kinds that differ from the rule: updates that create, and updates that must name a revision.

import Access
import Objects

/// After `AllowCreateOnUpdate`, `AllowUnconditionalUpdate` and `DefaultGarbageCollectionPolicy` of upstream's
/// strategies.
enum WriteRules {
    private static let createdByUpdate: Set<String> = [
        "endpoints", "events", "services", "leases.coordination.k8s.io", "events.events.k8s.io",
        "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    ]
    private static let neverUnconditional: Set<String> = [
        "leases.coordination.k8s.io", "customresourcedefinitions.apiextensions.k8s.io", "csinodes.storage.k8s.io",
        "csidrivers.storage.k8s.io", "volumeattachments.storage.k8s.io", "apiservices.apiregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    ]
    private static let orphaning: Set<String> = ["replicationcontrollers", "jobs.batch"]

    /// Whether a PUT to a name that is not there makes the object.
    static func isCreatedByUpdate(_ resource: Resource) -> Bool { createdByUpdate.contains(resource.qualifiedName) }

    /// Whether an update must say which revision it is of; true of every custom resource.
    static func needsRevision(_ resource: Resource) -> Bool {
        neverUnconditional.contains(resource.qualifiedName)
            || ResourceTable.resource(
                group: resource.group, version: resource.version, plural: resource.plural) == nil
    }

    /// Whether a delete without a policy leaves dependants behind, as old versions of the kind did.
    static func orphansByDefault(_ resource: Resource) -> Bool { orphaning.contains(resource.qualifiedName) }
}

extension KubernetesAPI {
    /// An update or apply that would make its object needs leave to create as well.
    func authorizeCreation(_ call: APICall) throws(Problem) {
        guard let caller = Caller.current else { return }
        let target = AccessRequest.Target(
            group: call.resource.group, plural: call.resource.plural, subresource: "", namespace: call.namespace,
            name: call.name ?? "")
        let path = call.request.path ?? "/"
        let plain = path.split(separator: "?", maxSplits: 1).first.map(String.init) ?? "/"
        try access.authorizer.check(caller, AccessRequest(verb: "create", path: plain, target: target))
    }

    /// Objects to be created have no revision yet; who sends one mistakes the call.
    func checkRevisionAbsent(_ object: Object) throws(Problem) {
        guard !["", "0"].contains(object.resourceVersion) else { return }
        throw Problem(.unknown, "resourceVersion should not be set on objects to be created")
    }

    /// 422 where an update leaves out the revision that its kind wants.
    func checkRevisionGiven(_ object: Object, _ call: APICall) throws(Problem) {
        guard WriteRules.needsRevision(call.resource), ["", "0"].contains(object.resourceVersion) else { return }
        throw .invalid(
            call.resource, object.name,
            [.invalid("metadata.resourceVersion", .integer(0), "must be specified for an update")])
    }
}
