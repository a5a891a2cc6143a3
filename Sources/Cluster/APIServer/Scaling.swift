// The `autoscaling/v1` Scale of a workload or of a custom resource
// (upstream: pkg/registry/apps/deployment/storage, pkg/registry/customresource/etcd.go).

import CustomResources
import Formats
import HTTPTypes
import Objects

/// Where the objects of a kind keep what their Scale shows.
struct Scale: Sendable {
    static let kind = (apiVersion: "autoscaling/v1", kind: "Scale")

    /// Set where a definition says where it is.
    private let custom: ScalePaths?

    init(of served: ServedResource) { custom = served.custom?.version.scale }

    var replicasPath: [String] { custom?.specReplicas ?? ["spec", "replicas"] }

    /// Throws 500 for a custom object that lacks what its Scale shows.
    func tree(of object: Object) throws(Problem) -> JSON {
        var metadata: JSON = ["name": .string(object.name), "namespace": .string(object.namespace)]
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            metadata[field] = object.tree["metadata", field]
        }
        let replicas = try replicas(of: object)
        var status: JSON = ["replicas": JSON(replicas.current)]
        status["selector"] = selector(of: object).map { .string($0) }
        return [
            "kind": .string(Self.kind.kind), "apiVersion": .string(Self.kind.apiVersion), "metadata": metadata,
            "spec": ["replicas": JSON(replicas.wanted)], "status": status,
        ]
    }

    private func replicas(of object: Object) throws(Problem) -> (wanted: Int, current: Int) {
        let wanted = object.tree.value(at: replicasPath)?.integer
        let current = object.tree.value(at: custom?.statusReplicas ?? ["status", "replicas"])?.integer
        if custom != nil, wanted == nil {
            throw Problem(
                .internalError,
                "Internal error occurred: the spec replicas field \".\(replicasPath.joined(separator: "."))\" "
                    + "does not exist")
        }
        return (wanted ?? 0, current ?? 0)
    }

    private func selector(of object: Object) -> String? {
        if let custom {
            return custom.labelSelector.isEmpty ? nil : object.tree.value(at: custom.labelSelector)?.string
        }
        guard let selector = object["spec", "selector"] else { return nil }
        // A ReplicationController's selector is a plain map of labels.
        let isPlain = object.kind == "ReplicationController"
        return (isPlain ? LabelSelector(matchLabels: selector.stringMap) : try? LabelSelector(selector))?.text
    }

    /// What is wrong with the replicas that a writer wants.
    func faults(of replicas: JSON) -> [FieldFault] {
        if let count = replicas.integer, count >= 0 { return [] }
        let words = custom == nil ? "must be greater than or equal to 0" : "should be a non-negative integer"
        return [.invalid("spec.replicas", replicas, words)]
    }
}

extension ApplyRequest {
    /// The same request about what a Scale stands for: the object's replicas.
    fileprivate func scaling(_ resource: Resource, _ name: String, at path: [String]) -> ApplyRequest {
        var request = self
        request.configuration = [
            "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind),
            "metadata": ["name": .string(name)],
        ]
        if let replicas = configuration["spec", "replicas"] { request.configuration.set(replicas, at: path) }
        return request
    }
}

extension KubernetesAPI {
    func scale(_ call: APICall) async throws -> APIAnswer {
        let scale = Scale(of: call.served)
        let object =
            [.get, .head].contains(call.request.method)
            ? try existing(call).object : try await rescaled(try WriteRequest(call, kind: Scale.kind), scale, call)
        let presentation = try Negotiation.presentation(accept: call.accept, query: call.query, hasProtobuf: true)
        return .rendered(try scale.tree(of: object), presentation)
    }

    private func rescaled(_ request: WriteRequest, _ scale: Scale, _ call: APICall) async throws -> Object {
        let name = call.name ?? ""
        if case .whole(let wanted, _) = request { try checkNames(wanted, call) }
        if case .apply(let request) = request { _ = try call.checkedObject(request.configuration, kind: Scale.kind) }
        let tracking = try fieldTracking(call, subresource: ServedSubresource.scale.rawValue)
        return try await change(
            call.resource, namespace: call.namespace, name: name, isDryRun: try call.isDryRun()
        ) { old in
            switch request {
            case .whole(let wanted, _): return try rescale(old, to: wanted, scale, call, tracking)
            case .patch(let patch):
                let type = Schema.type(apiVersion: Scale.kind.apiVersion, kind: Scale.kind.kind)
                let wanted = try patch.apply(to: try scale.tree(of: old), of: type)
                return try rescale(old, to: Object(wanted), scale, call, tracking)
            case .apply(let request):
                let scaling = request.scaling(call.resource, name, at: scale.replicasPath)
                let applied = try KubernetesAPI.applied(scaling, to: old, call, tracking)
                var new = old
                if let replicas = applied.tree.value(at: scale.replicasPath) {
                    new.tree.set(replicas, at: scale.replicasPath)
                }
                return try amend(old, to: new, of: call.served, tracking: tracking.deciding(applied.managed))
            }
        }.object
    }

    private func rescale(
        _ old: Object, to wanted: Object, _ scale: Scale, _ call: APICall, _ tracking: FieldTracking
    ) throws -> ChangeOutcome {
        try checkPreconditions(call.resource, old, uid: wanted.uid, resourceVersion: wanted.resourceVersion)
        let replicas = wanted["spec", "replicas"] ?? 0
        let faults = scale.faults(of: replicas)
        if !faults.isEmpty {
            let kind = Resource(group: "autoscaling", version: "v1", kind: "Scale", plural: "scales")
            throw Problem.invalid(kind, old.name, faults)
        }
        var new = old
        new.tree.set(replicas, at: scale.replicasPath)
        return try amend(old, to: new, of: call.served, tracking: tracking)
    }
}
