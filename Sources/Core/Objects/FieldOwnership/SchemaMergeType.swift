// Kubernetes' own types as merging sees them, read from the schema table.

import Formats

/// A type of the schema table, with the merge rules of the field that it was reached through.
package struct SchemaMergeType: MergeType {
    private let type: FieldType
    private let rule: SchemaField?

    /// The type of objects of a kind; nil for kinds that the table does not have.
    package init?(apiVersion: String, kind: String) {
        guard let type = Schema.type(apiVersion: apiVersion, kind: kind) else { return nil }
        self.init(type)
    }

    package init(_ type: SchemaType) { self.init(.type(type.name)) }

    /// The types of every object's `kind` and `metadata`, for types that do not come from the table.
    package static let text = SchemaMergeType(.string)
    package static let objectMetadata = SchemaMergeType(.type("meta.v1.ObjectMeta"))

    init(_ type: FieldType, rule: SchemaField? = nil) {
        self.type = type
        self.rule = rule
    }

    package var scalar: MergeScalar? {
        switch type {
        case .string, .base64: .string
        case .boolean: .boolean
        case .int32, .int64, .number: .numeric
        case .quantity, .time, .microTime, .integerOrString, .anything: .any
        case .anyObject, .array, .map, .type: nil
        }
    }

    package var list: MergeList? {
        switch type {
        case .array(let element): MergeList(relation, of: SchemaMergeType(element))
        case .anything: DeducedType().list
        default: nil
        }
    }

    package var map: MergeMap? {
        switch type {
        case .type(let name):
            guard let known = Schema.type(named: name) else { return DeducedType().map }
            return MergeMap(isAtomic: isAtomic || (known.isAtomic && rule?.isGranular != true), element: nil)
        case .map(let element): return MergeMap(isAtomic: isAtomic, element: SchemaMergeType(element))
        case .anyObject, .anything: return DeducedType().map
        default: return nil
        }
    }

    package func field(_ name: String) -> (any MergeType)? {
        guard case .type(let own) = type, let field = Schema.type(named: own)?.fields[name] else { return nil }
        return SchemaMergeType(field.type, rule: field)
    }

    package var standingFields: [(name: String, value: JSON)] {
        guard case .type(let name) = type else { return [] }
        return StandingFields.of(name)
    }

    private var isAtomic: Bool { rule?.listType == .atomic }

    /// A list's own rule; where it has none, that of strategic merge patches; else it is replaced.
    private var relation: MergeList.Relation {
        guard let rule else { return .atomic }
        switch rule.listType {
        case .atomic: return .atomic
        case .set: return .set
        case .map(let names): return .keyed(names.map(key))
        case nil:
            guard rule.mergesElements else { return .atomic }
            return rule.mergeKey.map { .keyed([key($0)]) } ?? .set
        }
    }

    /// Keys that an element may leave out count as what the API server would fill in.
    private func key(_ name: String) -> MergeList.Key {
        switch name {
        case "protocol": MergeList.Key(name, default: "TCP")
        case "name": MergeList.Key(name, default: isNameOptional ? "" : nil)
        default: MergeList.Key(name)
        }
    }

    private var isNameOptional: Bool {
        guard case .array(let element) = type, let name = Schema.objectType(of: element)?.fields["name"] else {
            return false
        }
        return !name.isRequired
    }
}

/// Members that Go's types hold by value or always write, so that an object has them before anybody sets them.
///
/// The OpenAPI document does not tell values from pointers; these are those of `k8s.io/api/*/types.go` that hold
/// structs, and required lists. Only what a first write is taken to own depends on them.
enum StandingFields {
    static func of(_ type: String) -> [(name: String, value: JSON)] {
        if let known = special[type] { return known }
        guard isWhole(type) else { return [] }
        return whole
    }

    private static func values(_ names: String...) -> [(name: String, value: JSON)] { names.map { ($0, [:]) } }
    private static func lists(_ names: String...) -> [(name: String, value: JSON)] { names.map { ($0, .null) } }

    /// What objects of almost every kind have.
    private static let whole = values("metadata", "spec", "status")

    private static func isWhole(_ type: String) -> Bool {
        Schema.type(named: type)?.hasMetadata ?? false
    }

    private static let special: [String: [(name: String, value: JSON)]] = [
        "apps.v1.DeploymentSpec": values("strategy", "template"),
        "apps.v1.ReplicaSetSpec": values("template"),
        "apps.v1.StatefulSetSpec": values("template", "updateStrategy"),
        "apps.v1.DaemonSetSpec": values("template", "updateStrategy"),
        "batch.v1.JobSpec": values("template"),
        "batch.v1.CronJobSpec": values("jobTemplate"),
        "batch.v1.JobTemplateSpec": values("metadata", "spec"),
        "core.v1.PodTemplateSpec": values("metadata", "spec"),
        "core.v1.PodSpec": lists("containers"),
        "core.v1.Container": values("resources"),
        "core.v1.EphemeralContainer": values("resources"),
        "core.v1.PersistentVolumeClaimSpec": values("resources"),
        "core.v1.ContainerStatus": values("state", "lastState"),
        "core.v1.ServiceStatus": values("loadBalancer"),
        "core.v1.NodeStatus": values("daemonEndpoints", "nodeInfo"),
        "core.v1.NodeDaemonEndpoints": values("kubeletEndpoint"),
        "core.v1.Event": values("metadata", "involvedObject", "source"),
        "events.v1.Event": values("metadata", "regarding", "deprecatedSource"),
        "autoscaling.v2.HorizontalPodAutoscalerSpec": values("scaleTargetRef"),
        "networking.v1.IngressStatus": values("loadBalancer"),
        "networking.v1.NetworkPolicySpec": values("podSelector"),
        "rbac.v1.RoleBinding": values("metadata", "roleRef"),
        "rbac.v1.ClusterRoleBinding": values("metadata", "roleRef"),
        "rbac.v1.Role": values("metadata") + lists("rules"),
        "rbac.v1.ClusterRole": values("metadata") + lists("rules"),
        "discovery.v1.EndpointSlice": values("metadata") + lists("endpoints", "ports"),
        "discovery.v1.Endpoint": values("conditions"),
    ]
}
