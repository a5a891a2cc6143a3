// The rules of CustomResourceDefinitions themselves.

import CustomResources
import Formats
import Objects

/// Upstream: apiextensions-apiserver, pkg/registry/customresourcedefinition/strategy.go.
struct DefinitionStrategy: Strategy {
    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var returnsDeleted: Bool { true }

    func setDefaults(_ object: inout Object) { DefinitionDefaults.fill(&object) }

    func prepareForCreate(_ object: inout Object) {
        object.status = ["acceptedNames": ["kind": "", "plural": ""], "conditions": [], "storedVersions": []]
        DefinitionDefaults.recordStorageVersion(&object)
    }

    func prepareForUpdate(_ object: inout Object, from old: Object) {
        DefinitionDefaults.recordStorageVersion(&object)
    }

    func faults(in object: Object) -> [FieldFault] { DefinitionRules.faults(in: object) }

    func faults(in object: Object, from old: Object) -> [FieldFault] { DefinitionRules.faults(in: object, from: old) }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] {
        DefinitionRules.faults(in: object).filter { $0.path.hasPrefix("status") }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { DefinitionDefaults.warnings(for: object) }
}

extension KubernetesAPI {
    static let definitionFinalizer = "customresourcecleanup.apiextensions.k8s.io"

    /// The first delete marks the definition; it goes when its instances are gone (upstream:
    /// pkg/registry/customresourcedefinition/etcd.go).
    static func definitionDeletion(of old: Object, _ new: Object, _ now: Timestamp) -> ChangeOutcome {
        if old.isTerminating { return new == old ? .unchanged : .replaced(new) }
        var new = new
        new.tree["metadata", "deletionTimestamp"] = .string(now.rfc3339)
        new.tree["metadata", "deletionGracePeriodSeconds"] = 0
        if !new.finalizers.contains(definitionFinalizer) { new.finalizers.append(definitionFinalizer) }
        NamingMachine.set(
            "Terminating", true, "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource "
                + "deletion will begin soon", in: &new, at: now.rfc3339)
        return .replaced(new)
    }
}
