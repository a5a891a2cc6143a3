// Defaults must be values that the schema itself accepts.

import Formats
import Objects

/// Checks each default of a structural schema (upstream: pkg/apiserver/schema/defaulting/validation.go).
enum DefaultRules {
    static func faults(in schema: JSON, at path: String) -> [FieldFault] {
        faults(in: schema, at: path, isResource: true, isInsideMetadata: false)
    }

    private static func faults(
        in tree: JSON, at path: String, isResource: Bool, isInsideMetadata: Bool
    ) -> [FieldFault] {
        let isResource = isResource || tree.flag("x-kubernetes-embedded-resource")
        let isInsideMetadata = isInsideMetadata && !isResource
        var faults: [FieldFault] = []
        if let value = tree.given("default") {
            faults += check(value, StructuralSchema(tree), at: "\(path).default", isInsideMetadata: isInsideMetadata)
        }
        if let items = tree["items"], items.object != nil {
            faults += self.faults(in: items, at: "\(path).items", isResource: false, isInsideMetadata: isInsideMetadata)
        }
        for property in SchemaTree.properties(of: tree) {
            let isMetadata = isResource && ["metadata", "apiVersion", "kind"].contains(property.key)
            faults += self.faults(
                in: property.value, at: "\(path).properties[\(property.key)]", isResource: false,
                isInsideMetadata: isInsideMetadata || isMetadata)
        }
        return faults
    }

    private static func check(
        _ value: JSON, _ schema: StructuralSchema, at path: String, isInsideMetadata: Bool
    ) -> [FieldFault] {
        if !isInsideMetadata {
            var pruning = Pruning()
            if pruning.pruned(value, by: schema) != value {
                return [.invalid(path, value, "must not have unknown fields")]
            }
            let embedded = EmbeddedRules.faults(in: value, of: schema, at: path)
            if !embedded.isEmpty { return embedded }
        }
        return ValueCheck.faults(in: value, against: schema, at: path)
    }
}
