// What makes a schema structural: every field is described once, outside of the logic about its values.

import Formats
import Objects

/// The invariants and the completeness of structural schemas (upstream: pkg/apiserver/schema/validation.go,
/// complete.go).
enum StructuralRules {
    private enum Level { case root, item, field }

    /// The faults, ordered by their text as upstream orders them.
    static func faults(in schema: JSON, at path: String) -> [FieldFault] {
        let faults = invariants(of: schema, at: path, .root) + completeness(of: schema, schema, at: path, path)
        return faults.map { ("\($0.path): \($0.message)", $0) }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    // MARK: Invariants

    private static func invariants(of schema: JSON, at path: String, _ level: Level) -> [FieldFault] {
        var faults: [FieldFault] = []
        if schema["type"] == "array", schema.given("items") == nil {
            faults.append(.required("\(path).items", "must be specified"))
        }
        if level == .root, schema.given("additionalProperties") != nil {
            faults.append(.forbidden("\(path).additionalProperties", "must not be used at the root"))
        }
        for child in SchemaTree.children(of: schema, at: path) {
            switch child.keyword {
            case "items": faults += invariants(of: child.schema, at: child.path, .item)
            case "properties", "additionalProperties": faults += invariants(of: child.schema, at: child.path, .field)
            default: break
            }
        }
        faults += extensionFaults(of: schema, at: path)
        faults += valueFaults(
            of: schema, at: path, skipsAnyOf: isIntOrString(schema["anyOf"]),
            skipsFirstAllOf: isIntOrString(schema["allOf"]?.array?.first?["anyOf"]))
        faults += typeFaults(of: schema, at: path, level)
        return faults + metadataFaults(of: schema, at: path, level)
    }

    /// `anyOf: [{type: integer}, {type: string}]`, the one place below logic where types may stand.
    private static func isIntOrString(_ clauses: JSON?) -> Bool {
        clauses == [["type": "integer"], ["type": "string"]]
    }

    private static func extensionFaults(of schema: JSON, at path: String) -> [FieldFault] {
        guard schema.flag("x-kubernetes-int-or-string") else { return [] }
        return ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"].filter { schema.flag($0) }.map
        {
            .invalid("\(path).\($0)", true, "must be false if x-kubernetes-int-or-string is true")
        }
    }

    private static func typeFaults(of schema: JSON, at path: String, _ level: Level) -> [FieldFault] {
        var faults: [FieldFault] = []
        let type = schema.text("type")
        let isEmbedded = schema.flag("x-kubernetes-embedded-resource")
        if isEmbedded, type != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true"
            faults.append(type.map { .invalid("\(path).type", .string($0), why) } ?? .required("\(path).type", why))
        } else if type == nil, !schema.flag("x-kubernetes-int-or-string"),
            !schema.flag("x-kubernetes-preserve-unknown-fields")
        {
            switch level {
            case .root: faults.append(.required("\(path).type", "must not be empty at the root"))
            case .item: faults.append(.required("\(path).type", "must not be empty for specified array items"))
            case .field: faults.append(.required("\(path).type", "must not be empty for specified object fields"))
            }
        }
        if isEmbedded, schema.given("additionalProperties") != nil {
            faults.append(
                .forbidden(
                    "\(path).additionalProperties", "must not be used if x-kubernetes-embedded-resource is set"))
        }
        if level == .root, let type, type != "object" {
            faults.append(.invalid("\(path).type", .string(type), "must be object at the root"))
        }
        return faults
    }

    private static func metadataFaults(of schema: JSON, at path: String, _ level: Level) -> [FieldFault] {
        var faults: [FieldFault] = []
        let properties = SchemaTree.properties(of: schema)
        let isEmbedded = schema.flag("x-kubernetes-embedded-resource")
        let isResource = level == .root || isEmbedded
        for name in ["kind", "apiVersion"] {
            guard isResource, let property = properties[name], property["type"] != "string" else { continue }
            faults.append(.invalid("\(path).properties[\(name)].type", property["type"] ?? "", "must be string"))
        }
        if let metadata = properties["metadata"] {
            let place = "\(path).properties[metadata]"
            if isResource, metadata["type"] != "object" {
                faults.append(.invalid("\(place).type", metadata["type"] ?? "", "must be object"))
            }
            if level == .root, !isPlainMetadata(metadata) {
                faults.append(
                    .forbidden(
                        place,
                        "must not specify anything other than name and generateName, but metadata is implicitly specified"
                    ))
            }
        }
        if isEmbedded, !schema.flag("x-kubernetes-preserve-unknown-fields"), properties.isEmpty {
            faults.append(
                .required(
                    "\(path).properties",
                    "must not be empty if x-kubernetes-embedded-resource is true without "
                        + "x-kubernetes-preserve-unknown-fields"))
        }
        return faults
    }

    private static func isPlainMetadata(_ metadata: JSON) -> Bool {
        (metadata.object ?? JSONObject()).allSatisfy { member in
            switch member.key {
            case "type", "default", "externalDocs", "example": true
            case "properties":
                (member.value.object ?? JSONObject()).allSatisfy { ["name", "generateName"].contains($0.key) }
            default: [.null, false, "", [], [:]].contains(member.value)
            }
        }
    }

    // MARK: Logic

    private static func valueFaults(
        of schema: JSON, at path: String, skipsAnyOf: Bool = false, skipsFirstAllOf: Bool = false
    ) -> [FieldFault] {
        var faults: [FieldFault] = []
        for keyword in ["anyOf", "allOf", "oneOf"] where !(keyword == "anyOf" && skipsAnyOf) {
            for (position, clause) in (schema[keyword]?.array ?? []).enumerated() {
                let skips = keyword == "allOf" && position == 0 && skipsFirstAllOf
                faults += clauseFaults(of: clause, at: "\(path).\(keyword)[\(position)]", skipsAnyOf: skips)
            }
        }
        if let not = schema.given("not") { faults += clauseFaults(of: not, at: "\(path).not") }
        if let pattern = schema.text("pattern") {
            do throws(PatternProblem) {
                _ = try Pattern(pattern)
            } catch {
                faults.append(
                    .invalid(
                        "\(path).pattern", .string(pattern), "must be a valid regular expression, but isn't: \(error)"))
            }
        }
        return faults
    }

    /// Each keyword that may not stand below logic, with what it must be instead.
    private static let forbidden: [(keyword: String, why: String)] = [
        ("type", "must be empty to be structural"), ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"), ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"), ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ]

    private static func clauseFaults(of clause: JSON, at path: String, skipsAnyOf: Bool = false) -> [FieldFault] {
        var faults = valueFaults(of: clause, at: path, skipsAnyOf: skipsAnyOf)
        if let items = clause["items"], items.object != nil { faults += clauseFaults(of: items, at: "\(path).items") }
        for property in SchemaTree.properties(of: clause) {
            faults += clauseFaults(of: property.value, at: "\(path).properties[\(property.key)]")
        }
        for (keyword, why) in forbidden {
            guard let value = clause.given(keyword),
                ![false, "", []].contains(value) || keyword == "additionalProperties"
            else { continue }
            faults.append(.forbidden("\(path).\(keyword)", why))
        }
        if SchemaTree.properties(of: clause).contains("metadata") {
            faults.append(
                .forbidden("\(path).properties[metadata]", "must not be specified in a nested context"))
        }
        return faults
    }

    // MARK: Completeness

    /// Every field that logic speaks of is described outside of it.
    private static func completeness(
        of logic: JSON, _ schema: JSON?, at path: String, _ logicPath: String
    ) -> [FieldFault] {
        SchemaTree.children(of: logic, at: logicPath).filter {
            SchemaTree.quantifiers.contains($0.keyword) || $0.keyword == "not"
        }
        .flatMap { clauseCompleteness(of: $0.schema, schema, at: path, $0.path) }
    }

    private static func clauseCompleteness(
        of clause: JSON, _ schema: JSON?, at path: String, _ clausePath: String
    ) -> [FieldFault] {
        guard let schema else { return [.required(path, "because it is defined in \(clausePath)")] }
        var faults = completeness(of: clause, schema, at: path, clausePath)
        if let items = clause["items"], items.object != nil {
            faults += clauseCompleteness(of: items, schema.given("items"), at: "\(path).items", "\(clausePath).items")
        }
        for property in SchemaTree.properties(of: clause) {
            let place = "properties[\(property.key)]"
            faults += clauseCompleteness(
                of: property.value, schema["properties"]?[property.key], at: "\(path).\(place)",
                "\(clausePath).\(place)")
        }
        return faults
    }
}
