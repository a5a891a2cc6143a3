// Resources that nothing is stored of: questions that are answered at once, and views of the server itself.

import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    /// Answers a call to a resource that is not stored.
    func virtual(_ call: APICall) async throws -> APIAnswer {
        switch (call.resource.group, call.resource.plural, call.request.method) {
        case ("", "bindings", .post): return try await bindNamed(call)
        case ("", "componentstatuses", .get), ("", "componentstatuses", .head): return try componentStatuses(call)
        default: throw call.methodNotAllowed
        }
    }

    /// `POST bindings`: the older spelling of `pods/<name>/binding`, with the pod's name in the body.
    private func bindNamed(_ call: APICall) async throws -> APIAnswer {
        guard let pods = served.find(.pods) else { throw call.methodNotAllowed }
        var call = call
        call.name = try call.decodedObject(kind: ("v1", "Binding")).object.name
        call.served = pods
        return try await bind(call)
    }

    /// The parts of the control plane, which are parts of this program: where this answers, they all run.
    private func componentStatuses(_ call: APICall) throws -> APIAnswer {
        let deprecation = "v1 ComponentStatus is deprecated in v1.19+"
        let all = ["controller-manager", "scheduler", "etcd-0"].map { name in
            Object([
                "kind": "ComponentStatus", "apiVersion": "v1", "metadata": ["name": .string(name)],
                "conditions": [["type": "Healthy", "status": "True", "message": "ok"]],
            ])
        }
        if let name = call.name {
            guard let object = all.first(where: { $0.name == name }) else {
                throw Problem.notFound(call.resource, name)
            }
            return try call.answer(with: object, warnings: [deprecation], api: self)
        }
        let options = try ListOptions(call.query, selectable: [])
        let found = all.filter { options.matches($0, by: call.strategy) }
        let presentation = try Negotiation.presentation(accept: call.accept, query: call.query)
        let tree: JSON =
            switch presentation.representation {
            case .object:
                [
                    "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": [:],
                    "items": .array(found.map(\.tree)),
                ]
            case .partialMetadata:
                [
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": [:],
                    "items": .array(found.map { PartialMetadata.tree(of: $0) }),
                ]
            case .table(let include):
                call.served.printer.table(of: found, metadata: [:], include: include, now: environment.now())
            }
        return .rendered(tree, presentation, warnings: [deprecation])
    }
}
