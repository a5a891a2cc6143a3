// The rules of a custom resource: those of its schema.

import CustomResources
import Formats
import Objects

/// Upstream: apiextensions-apiserver, pkg/registry/customresource/strategy.go and status_strategy.go.
struct CustomResourceStrategy: Strategy {
    let kind: CustomKind

    private var version: DefinitionVersion { kind.version }

    var hasStatus: Bool { version.hasStatus }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }
    /// What an object had before and still has is not held against its writer.
    var looksOnlyAtChanges: Bool { true }
    var selectableFields: [String] { version.selectableFields }
    var mergeType: (any MergeType)? { CustomMergeType(root: version.schema) }

    func setDefaults(_ object: inout Object) {
        object = Object(Defaulting.applied(to: object.tree, by: version.schema))
    }

    func prepareForCreate(_ object: inout Object) {
        if version.hasStatus { object["status"] = nil }
    }

    func faults(in object: Object) -> [FieldFault] {
        CustomResourceRules.faults(in: object.tree, of: version, old: nil)
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        CustomResourceRules.faults(in: object.tree, of: version, old: old.tree)
    }

    func statusFaults(in object: Object, from old: Object) -> [FieldFault] { faults(in: object, from: old) }
}
