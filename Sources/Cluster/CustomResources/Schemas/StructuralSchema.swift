// A structural schema: what the values of one place in a custom resource may be, read once and shared.

import Formats
import Objects

/// A node of a schema that has passed `SchemaRules` (upstream: apiextensions-apiserver, pkg/apiserver/schema).
///
/// The schemas below `allOf`, `anyOf`, `oneOf` and `not` are nodes too, of which only the value rules count.
package final class StructuralSchema: Sendable {
    /// What an object's members may be that `properties` does not name.
    package enum Additional: Sendable {
        case unspecified
        case anything
        case schema(StructuralSchema)
    }

    package enum ListType: Sendable, Hashable {
        case atomic, set
        case map(keys: [String])
    }

    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty when the schema does not say.
    package let type: String
    package let isNullable: Bool
    package let defaultValue: JSON?
    package let properties: [String: StructuralSchema]
    /// The names of the properties in the order of their definition.
    package let order: [String]
    package let additional: Additional
    package let items: StructuralSchema?
    package let preservesUnknownFields: Bool
    package let isEmbeddedResource: Bool
    package let isIntOrString: Bool
    package let listType: ListType?
    package let isAtomicMap: Bool
    package let rules: ValueRules

    /// Reads a schema. What `SchemaRules` would have refused is read as far as it makes sense.
    package init(_ tree: JSON) {
        type = tree["type"]?.string ?? ""
        isNullable = tree["nullable"]?.bool ?? false
        defaultValue = tree.given("default")
        let members = tree["properties"]?.object ?? JSONObject()
        order = members.keys
        properties = Dictionary(
            members.map { ($0.key, StructuralSchema($0.value)) }, uniquingKeysWith: { _, last in last })
        additional =
            switch tree.given("additionalProperties") {
            case .bool(let isAllowed): isAllowed ? .anything : .unspecified
            case .some(let schema): .schema(StructuralSchema(schema))
            case nil: .unspecified
            }
        items = tree["items"]?.object.map { StructuralSchema(.object($0)) }
        preservesUnknownFields = tree["x-kubernetes-preserve-unknown-fields"]?.bool ?? false
        isEmbeddedResource = tree["x-kubernetes-embedded-resource"]?.bool ?? false
        isIntOrString = tree["x-kubernetes-int-or-string"]?.bool ?? false
        listType =
            switch tree["x-kubernetes-list-type"]?.string {
            case "set": .set
            case "map": .map(keys: tree["x-kubernetes-list-map-keys"]?.strings ?? [])
            case "atomic": .atomic
            default: nil
            }
        isAtomicMap = tree["x-kubernetes-map-type"]?.string == "atomic"
        rules = ValueRules(tree)
    }

    /// The schema of an object's member; nil when the schema does not know it.
    package func member(_ name: String) -> StructuralSchema? {
        if let schema = properties[name] { return schema }
        if case .schema(let schema) = additional { return schema }
        return nil
    }
}

/// What a value must keep to beside its type.
package struct ValueRules: Sendable {
    package let format: String
    package let maximum: Double?
    package let isMaximumExclusive: Bool
    package let minimum: Double?
    package let isMinimumExclusive: Bool
    package let multipleOf: Double?
    package let maxLength: Int?
    package let minLength: Int?
    package let patternText: String
    /// Nil without a pattern.
    package let pattern: Pattern?
    package let maxItems: Int?
    package let minItems: Int?
    package let maxProperties: Int?
    package let minProperties: Int?
    package let required: [String]
    package let enumeration: [JSON]
    package let allOf: [StructuralSchema]
    package let anyOf: [StructuralSchema]
    package let oneOf: [StructuralSchema]
    package let not: StructuralSchema?

    init(_ tree: JSON) {
        format = tree["format"]?.string ?? ""
        maximum = tree["maximum"]?.number
        isMaximumExclusive = tree["exclusiveMaximum"]?.bool ?? false
        minimum = tree["minimum"]?.number
        isMinimumExclusive = tree["exclusiveMinimum"]?.bool ?? false
        multipleOf = tree["multipleOf"]?.number
        maxLength = tree["maxLength"]?.integer
        minLength = tree["minLength"]?.integer
        patternText = tree["pattern"]?.string ?? ""
        pattern = patternText.isEmpty ? nil : try? Pattern(patternText)
        maxItems = tree["maxItems"]?.integer
        minItems = tree["minItems"]?.integer
        maxProperties = tree["maxProperties"]?.integer
        minProperties = tree["minProperties"]?.integer
        required = tree["required"]?.strings ?? []
        enumeration = tree["enum"]?.array ?? []
        allOf = Self.schemas(tree["allOf"])
        anyOf = Self.schemas(tree["anyOf"])
        oneOf = Self.schemas(tree["oneOf"])
        not = tree["not"]?.object.map { StructuralSchema(.object($0)) }
    }

    private static func schemas(_ list: JSON?) -> [StructuralSchema] {
        (list?.array ?? []).map { StructuralSchema($0) }
    }
}

extension JSON {
    /// A member that is there and not null, which in a definition is the same as not there.
    func given(_ key: String) -> JSON? {
        guard let value = self[key], !value.isNull else { return nil }
        return value
    }

    /// A text that is there and not empty.
    func text(_ key: String) -> String? {
        guard let text = self[key]?.string, !text.isEmpty else { return nil }
        return text
    }

    func flag(_ key: String) -> Bool { self[key]?.bool ?? false }
}

/// How large the schemas of a definition may be.
package enum SchemaLimits {
    /// Schemas within each other. Upstream has no limit but that of its JSON reader; real definitions stay below 50.
    package static let depth = 96
    /// Schemas in one version. The largest well-known definitions have some 15,000.
    package static let nodes = 50_000
    /// Patterns together, in characters.
    package static let patternCharacters = 1_000_000

    /// What makes a schema too large; nil when nothing does.
    static func fault(in schema: JSON, at path: String) -> FieldFault? {
        var count = (nodes: 0, characters: 0, depth: 0)
        measure(schema, depth: 1, &count)
        if count.depth > depth { return .forbidden(path, "schemas may not be nested more than \(depth) levels deep") }
        if count.nodes > nodes { return .tooMany(path, count.nodes, limit: nodes) }
        if count.characters > patternCharacters { return .tooLong(path, limit: patternCharacters) }
        return nil
    }

    private static func measure(_ schema: JSON, depth: Int, _ count: inout (nodes: Int, characters: Int, depth: Int)) {
        count.nodes += 1
        count.depth = max(count.depth, depth)
        count.characters += schema["pattern"]?.string?.utf8.count ?? 0
        if depth > Self.depth || count.nodes > nodes { return }
        for child in SchemaTree.children(of: schema, at: "") { measure(child.schema, depth: depth + 1, &count) }
    }
}
