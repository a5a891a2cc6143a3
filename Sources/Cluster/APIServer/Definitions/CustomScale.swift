// The scale of a custom resource, which is where its definition says.

import CustomResources
import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    func customScale(_ call: APICall, _ paths: ScalePaths) async throws -> APIAnswer {
        let name = call.name ?? ""
        let changed: Changed
        switch call.request.method {
        case .get: changed = Changed(object: try existing(call).object)
        case .put:
            let scale = try call.decodedObject(kind: Scale.kind).object
            try checkNames(scale, call)
            changed = try await change(
                call.resource, namespace: call.namespace, name: name, isDryRun: try call.isDryRun()
            ) { old in try rescale(old, to: scale, paths, call) }
        case .patch:
            let patch = try Patch(call)
            changed = try await change(
                call.resource, namespace: call.namespace, name: name, isDryRun: try call.isDryRun()
            ) { old in
                let tree = try patch.apply(
                    to: try CustomScale.tree(of: old, paths),
                    of: Schema.type(apiVersion: Scale.kind.apiVersion, kind: Scale.kind.kind), call.resource, name)
                return try rescale(old, to: Object(tree), paths, call)
            }
        default: throw call.methodNotAllowed
        }
        let presentation = try Negotiation.presentation(accept: call.accept, query: call.query)
        return .rendered(try CustomScale.tree(of: changed.object, paths), presentation)
    }

    private func rescale(_ old: Object, to scale: Object, _ paths: ScalePaths, _ call: APICall) throws -> ChangeOutcome
    {
        try checkPreconditions(call.resource, old, uid: scale.uid, resourceVersion: scale.resourceVersion)
        let replicas = scale["spec", "replicas"] ?? 0
        guard let count = replicas.integer, count >= 0 else {
            let kind = Resource(group: "autoscaling", version: "v1", kind: "Scale", plural: "scales")
            throw Problem.invalid(
                kind, old.name, [.invalid("spec.replicas", replicas, "should be a non-negative integer")])
        }
        var new = old
        new.tree.set(JSON(count), at: paths.specReplicas)
        return try amend(old, to: new, of: call.served)
    }
}

/// The `autoscaling/v1` view of a custom resource (upstream: pkg/registry/customresource/etcd.go).
enum CustomScale {
    static func tree(of object: Object, _ paths: ScalePaths) throws(Problem) -> JSON {
        guard let replicas = object.tree.value(at: paths.specReplicas)?.integer else {
            throw Problem(
                .internalError,
                "Internal error occurred: the spec replicas field \".\(paths.specReplicas.joined(separator: "."))\" "
                    + "does not exist")
        }
        var metadata: JSON = ["name": .string(object.name), "namespace": .string(object.namespace)]
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            metadata[field] = object.tree["metadata", field]
        }
        var status: JSON = ["replicas": JSON(object.tree.value(at: paths.statusReplicas)?.integer ?? 0)]
        if !paths.labelSelector.isEmpty, let selector = object.tree.value(at: paths.labelSelector)?.string {
            status["selector"] = .string(selector)
        }
        return [
            "kind": .string(Scale.kind.kind), "apiVersion": .string(Scale.kind.apiVersion), "metadata": metadata,
            "spec": ["replicas": JSON(replicas)], "status": status,
        ]
    }
}
