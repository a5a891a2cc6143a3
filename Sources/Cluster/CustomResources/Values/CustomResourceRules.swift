// What is wrong with a custom resource, by everything that its schema says.

import Formats
import Objects

/// Upstream: pkg/registry/customresource/strategy.go and validator.go.
package enum CustomResourceRules {
    /// The faults of an object; with an old state only those of what changed.
    package static func faults(in tree: JSON, of version: DefinitionVersion, old: JSON?) -> [FieldFault] {
        let schema = version.schema
        var faults = ValueCheck.faults(in: tree, against: schema, old: old)
        faults += EmbeddedRules.faults(in: tree, of: schema, isRoot: true)
        let repeated = Uniqueness.faults(in: tree, of: schema)
        // Upstream: lists that held something twice before may go on doing so.
        if !repeated.isEmpty, old.map({ Uniqueness.faults(in: $0, of: schema).isEmpty }) ?? true { faults += repeated }
        if let scale = version.scale { faults += scaleFaults(in: tree, scale) }
        return faults
    }

    private static func scaleFaults(in tree: JSON, _ paths: ScalePaths) -> [FieldFault] {
        var faults: [FieldFault] = []
        for path in [paths.specReplicas, paths.statusReplicas] {
            // Values of another type are the schema's to refuse.
            guard let value = tree.value(at: path), let count = value.integer, count < 0 else { continue }
            faults.append(.invalid(path.joined(separator: "."), value, "should be a non-negative integer"))
        }
        return faults
    }
}
