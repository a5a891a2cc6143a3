// `pods/<name>/ephemeralcontainers` and `pods/<name>/resize`: parts of a pod's spec that may change later.

import Formats
import HTTPTypes
import Objects

/// A part of a pod's spec with an endpoint of its own; pure.
enum PodPart: Sendable {
    case ephemeralContainers
    case resources

    var subresource: ServedSubresource {
        switch self {
        case .ephemeralContainers: .ephemeralcontainers
        case .resources: .resize
        }
    }

    /// Fields of these pods that writers of the part do not reach
    /// (upstream: GetResetFieldsFilter in pkg/registry/core/pod/strategy.go).
    func unreached(_ pods: [JSON]) -> FieldSet {
        var paths = [ElementPath("metadata")]
        for pod in pods {
            paths += (pod.object?.keys ?? []).filter { !["apiVersion", "kind", "spec"].contains($0) }.map {
                ElementPath($0)
            }
            for field in pod["spec"]?.object?.keys ?? [] {
                switch (self, field) {
                case (.ephemeralContainers, "ephemeralContainers"), (.resources, "resources"): break
                case (.resources, "containers"), (.resources, "initContainers"):
                    paths += Self.unreachedByResize(pod["spec", field]?.array ?? [], in: field)
                default: paths.append(ElementPath("spec", field))
                }
            }
        }
        return FieldSet(paths)
    }

    private static func unreachedByResize(_ containers: [JSON], in list: String) -> [ElementPath] {
        containers.flatMap { container in
            let own = PathElement.key([.init(name: "name", value: container["name"] ?? "")])
            return (container.object?.keys ?? []).filter { !["name", "resources", "resizePolicy"].contains($0) }
                .map { ElementPath([.field("spec"), .field(list), own, .field($0)]) }
        }
    }

    /// The pod with this part, and nothing else, as wanted.
    func merged(_ old: Object, _ wanted: Object) -> Object {
        var new = old
        switch self {
        case .ephemeralContainers: new["spec", "ephemeralContainers"] = wanted["spec", "ephemeralContainers"]
        case .resources:
            for list in ["containers", "initContainers"] {
                guard var containers = old["spec", list]?.array else { continue }
                let changed = wanted["spec", list]?.array ?? []
                for (position, container) in containers.enumerated() {
                    guard let same = changed.first(where: { $0["name"] == container["name"] }) else { continue }
                    for field in ["resources", "resizePolicy"] { containers[position][field] = same[field] }
                }
                new["spec", list] = .array(containers)
            }
            if let whole = wanted["spec", "resources"] { new["spec", "resources"] = whole }
        }
        return new
    }

    /// What must not change through this endpoint (upstream: ValidatePodEphemeralContainersUpdate, ValidatePodResize).
    func faults(_ new: Object, _ old: Object, wanted: Object) -> [FieldFault] {
        switch self {
        case .ephemeralContainers:
            let path = "spec.ephemeralContainers"
            let after = new["spec", "ephemeralContainers"]?.array ?? []
            return (old["spec", "ephemeralContainers"]?.array ?? []).compactMap { container in
                let name = container["name"]?.text ?? "\"\""
                guard let same = after.first(where: { $0["name"] == container["name"] }) else {
                    return .forbidden(path, "existing ephemeral containers \(name) may not be removed\n")
                }
                return same == container
                    ? nil : .forbidden(path, "existing ephemeral containers \(name) may not be changed\n")
            }
        case .resources:
            if ["Succeeded", "Failed"].contains(old.status["phase"]?.string ?? "") {
                return [.forbidden("spec", "Pod running in a terminal phase cannot be resized")]
            }
            let immutable = ["cpu", "memory"]
            let isOther = PodPart.containers(new).contains { container in
                let before = PodPart.containers(old).first { $0["name"] == container["name"] }
                return ["requests", "limits"].contains { kind in
                    let names = Set((container["resources", kind]?.object?.keys ?? []))
                        .union(before?["resources", kind]?.object?.keys ?? [])
                    return names.contains {
                        !immutable.contains($0)
                            && container["resources", kind]?[$0] != before?["resources", kind]?[$0]
                    }
                }
            }
            if Self.qualityOfService(new) != Self.qualityOfService(old) {
                return [.invalid("spec", new.spec, "Pod QOS Class may not change as a result of resizing")]
            }
            var faults: [FieldFault] = isOther ? [.forbidden("spec", "only cpu and memory resources are mutable")] : []
            if PodPart.containers(wanted).count != PodPart.containers(old).count {
                faults.append(.forbidden("spec.containers", "containers may not be added or removed on resize"))
            }
            return faults
        }
    }

    /// What requests and limits of cpu and memory make of the pod (upstream: helper/qos, ComputePodQOS).
    private static func qualityOfService(_ pod: Object) -> String {
        var (isBestEffort, isGuaranteed) = (true, true)
        for container in containers(pod) {
            for name in ["cpu", "memory"] {
                let (limit, request) = (
                    container["resources", "limits", name], container["resources", "requests", name]
                )
                if limit != nil || request != nil { isBestEffort = false }
                if limit == nil || request != nil && request != limit { isGuaranteed = false }
            }
        }
        return isBestEffort ? "BestEffort" : isGuaranteed ? "Guaranteed" : "Burstable"
    }

    private static func containers(_ pod: Object) -> [JSON] {
        (pod["spec", "containers"]?.array ?? []) + (pod["spec", "initContainers"]?.array ?? [])
    }
}

extension KubernetesAPI {
    func podPart(_ part: PodPart, _ call: APICall) async throws -> APIAnswer {
        try await self.part(part.subresource, call, unreached: part.unreached) { old, wanted, tracking in
            var new = part.merged(old, wanted)
            call.strategy.setDefaults(&new)
            let faults = call.strategy.faults(in: new) + part.faults(new, old, wanted: wanted)
            if !faults.isEmpty { throw Problem.invalid(call.resource, old.name, faults) }
            if new.spec != old.spec { new.tree["metadata", "generation"] = JSON(old.generation + 1) }
            tracking.account(for: &new, from: old, sent: nil)
            return settle(old, new, of: call.served)
        }
    }
}
