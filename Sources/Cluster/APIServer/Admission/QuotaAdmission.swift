// Holds a namespace to its quotas (upstream: apiserver, pkg/admission/plugin/resourcequota; pkg/quota/v1).

import Formats
import Objects

extension KubernetesAPI {
    /// Refuses a fresh object that would use more than a quota of its namespace leaves.
    ///
    /// What is used is counted from the stored objects each time. Two objects that are created at the same moment may
    /// both get the last of an amount.
    func admitQuota(of object: Object, _ resource: Resource) throws {
        let quotas = try stored(.resourceQuotas, namespace: object.namespace)
        if quotas.isEmpty { return }
        let stored = StoredVersions.stored(resource)
        for quota in quotas where QuotaUsage.applies(quota, to: object, stored) {
            let hard = Field(quota)["spec"]["hard"].entries.compactMap { name, field in
                field.quantity.map { (name, $0) }
            }
            let missing = hard.map(\.0).filter { QuotaUsage.mustBeGiven($0, in: object, stored) }
            if !missing.isEmpty {
                throw Problem.forbidden(
                    resource, object.name,
                    "failed quota: \(quota.name): must specify \(missing.joined(separator: ",")) for: "
                        + QuotaUsage.silent(object, missing).joined(separator: ","))
            }
            let wanted = hard.map { ($0.0, $0.1, QuotaUsage.of(object, stored, $0.0)) }.filter { $0.2.nanos > 0 }
            if wanted.isEmpty { continue }
            let others = try self.stored(stored, namespace: object.namespace)
                .filter { QuotaUsage.applies(quota, to: $0, stored) }
            let exceeded = wanted.compactMap { name, limit, amount -> (String, Quantity, Quantity, Quantity)? in
                let used = others.reduce(Quantity(0)) { $0 + QuotaUsage.of($1, stored, name) }
                return used + amount > limit ? (name, amount, used, limit) : nil
            }
            if exceeded.isEmpty { continue }
            func list(_ pick: ((String, Quantity, Quantity, Quantity)) -> Quantity) -> String {
                exceeded.map { "\($0.0)=\(pick($0))" }.joined(separator: ",")
            }
            throw Problem.forbidden(
                resource, object.name,
                "exceeded quota: \(quota.name), requested: \(list { $0.1 }), used: \(list { $0.2 }), limited: "
                    + list { $0.3 })
        }
    }
}

/// What one object counts for in a quota.
enum QuotaUsage {
    private static let zero = Quantity(0)
    /// Kinds of the core group that are counted by their bare plural.
    private static let counted: Set<String> = [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims",
    ]

    static func of(_ object: Object, _ resource: Resource, _ name: String) -> Quantity {
        if name == "count/\(resource.qualifiedName)" { return Quantity(1) }
        guard resource.group.isEmpty else { return zero }
        if resource.plural == "pods", isOver(object) { return zero }
        if name == resource.plural, counted.contains(name) { return Quantity(1) }
        switch resource.plural {
        case "pods": return ofPod(object, name)
        case "services": return ofService(object, name)
        case "persistentvolumeclaims":
            return name == "requests.storage"
                ? Field(object)["spec"]["resources"]["requests"]["storage"].quantity ?? zero : zero
        default: return zero
        }
    }

    private static func isOver(_ pod: Object) -> Bool {
        ["Succeeded", "Failed"].contains(pod["status", "phase"]?.string ?? "")
    }

    /// `cpu` and `requests.cpu` are the same.
    private static func computing(_ name: String) -> (list: String, resource: String)? {
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        if parts.count == 2, parts[0] == "requests" || parts[0] == "limits" { return (parts[0], parts[1]) }
        return ResourceNames.isForContainers(name) ? ("requests", name) : nil
    }

    private static func ofPod(_ pod: Object, _ name: String) -> Quantity {
        guard let (list, resource) = computing(name) else { return zero }
        let spec = Field(pod)["spec"]
        func amount(_ container: Field) -> Quantity { container["resources"][list][resource].quantity ?? zero }
        let inits = spec["initContainers"].elements
        let sidecars = inits.filter { $0["restartPolicy"].text == "Always" }
        let running = (spec["containers"].elements + sidecars).reduce(zero) { $0 + amount($1) }
        return max(running, inits.map(amount).max() ?? zero)
    }

    private static func ofService(_ service: Object, _ name: String) -> Quantity {
        let type = service["spec", "type"]?.string
        let ports = service["spec", "ports"]?.array?.count ?? 0
        switch name {
        case "services.loadbalancers": return Quantity(type == "LoadBalancer" ? 1 : 0)
        case "services.nodeports": return Quantity(type == "NodePort" || type == "LoadBalancer" ? Int64(ports) : 0)
        default: return zero
        }
    }

    /// Whether a quota on this resource wants every container of a pod to say how much of it that takes.
    static func mustBeGiven(_ name: String, in object: Object, _ resource: Resource) -> Bool {
        guard resource == .pods, let (list, part) = computing(name), part == "cpu" || part == "memory" else {
            return false
        }
        return !silent(object, list, part).isEmpty
    }

    static func silent(_ pod: Object, _ names: [String]) -> [String] {
        Set(names.compactMap(computing).flatMap { silent(pod, $0.list, $0.resource) }).sorted()
    }

    private static func silent(_ pod: Object, _ list: String, _ resource: String) -> [String] {
        let spec = Field(pod)["spec"]
        return (spec["containers"].elements + spec["initContainers"].elements)
            .filter { !$0["resources"][list][resource].exists }.map { $0["name"].text }
    }

    /// Whether the object is in every scope of the quota.
    static func applies(_ quota: Object, to object: Object, _ resource: Resource) -> Bool {
        let scopes = quota["spec", "scopes"]?.strings ?? []
        if scopes.isEmpty { return true }
        guard resource == .pods else { return false }
        return scopes.allSatisfy { scope in
            let isBestEffort = PodStrategy.qualityOfService(object.spec) == "BestEffort"
            let isTerminating = object["spec", "activeDeadlineSeconds"] != nil
            return switch scope {
            case "BestEffort": isBestEffort
            case "NotBestEffort": !isBestEffort
            case "Terminating": isTerminating
            case "NotTerminating": !isTerminating
            case "PriorityClass": object["spec", "priorityClassName"] != nil
            default: false
            }
        }
    }
}
