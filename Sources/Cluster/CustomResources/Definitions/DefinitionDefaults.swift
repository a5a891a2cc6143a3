// What a definition is given that its writer left out, and what its writer should know.

import Formats
import Objects

/// Upstream: pkg/apis/apiextensions/v1/defaults.go and pkg/registry/customresourcedefinition/strategy.go.
package enum DefinitionDefaults {
    package static func fill(_ object: inout Object) {
        let kind = object["spec", "names", "kind"]?.string ?? ""
        if object["spec", "names", "singular"]?.string?.isEmpty ?? true {
            object["spec", "names", "singular"] = .string(kind.lowercased())
        }
        if object["spec", "names", "listKind"]?.string?.isEmpty ?? true, !kind.isEmpty {
            object["spec", "names", "listKind"] = .string(kind + "List")
        }
        if object.spec.given("conversion") == nil { object["spec", "conversion"] = ["strategy": "None"] }
        // Only false is accepted, which is what there is without it.
        if object["spec", "preserveUnknownFields"] == false { object["spec", "preserveUnknownFields"] = nil }
    }

    /// The version that objects are kept in is one that was stored.
    package static func recordStorageVersion(_ object: inout Object) {
        var stored = object["status", "storedVersions"]?.strings ?? []
        for version in object["spec", "versions"]?.array ?? [] where version.flag("storage") {
            let name = version["name"]?.string ?? ""
            if !stored.contains(name) { stored.append(name) }
        }
        object["status", "storedVersions"] = .array(stored.map { .string($0) })
    }

    /// What is accepted and does less than its writer may think.
    package static func warnings(for object: Object) -> [String] {
        var warnings: [String] = []
        for version in object["spec", "versions"]?.array ?? [] {
            let name = version["name"]?.string ?? ""
            let schema = version["schema"]?["openAPIV3Schema"] ?? .null
            if SchemaTree.contains(schema, { $0["x-kubernetes-validations"]?.array?.isEmpty == false }) {
                warnings.append(
                    "version \(name) has x-kubernetes-validations: this server does not evaluate CEL rules, so that objects "
                        + "which break them are accepted")
            }
            for format in unknownFormats(in: schema).sorted() { warnings.append("unrecognized format \"\(format)\"") }
            for column in version["additionalPrinterColumns"]?.array ?? [] {
                guard let path = column.text("jsonPath"), ObjectPath(path) == nil else { continue }
                warnings.append(
                    "version \(name): the jsonPath \(path) is not understood by this server; tables end before its column"
                )
            }
        }
        var seen: Set<String> = []
        return warnings.filter { seen.insert($0).inserted }
    }

    private static func unknownFormats(in schema: JSON) -> Set<String> {
        var found: Set<String> = []
        if let format = schema.text("format"), !StringFormat.isKnown(format),
            // `int-or-string` and `quantity` stand in generated schemas beside the extension that says the same.
            !schema.flag("x-kubernetes-int-or-string")
        {
            found.insert(format)
        }
        for child in SchemaTree.children(of: schema, at: "") { found.formUnion(unknownFormats(in: child.schema)) }
        return found
    }
}
