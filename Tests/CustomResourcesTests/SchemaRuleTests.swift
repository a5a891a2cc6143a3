// Which schemas are structural, with upstream's messages.

import Formats
import Objects
import Testing

@testable import CustomResources

@Suite struct SchemaRuleTests {
    private static let root = "spec.validation.openAPIV3Schema"

    /// The faults of a property `x`, without the way to it.
    private func faults(_ property: JSON) -> [String] {
        let path = "\(Self.root).properties[x]"
        return Sample.faults(schema: ["type": "object", "properties": ["x": property]]).map { fault in
            fault.hasPrefix(path) ? String(fault.dropFirst(path.utf8.count)) : fault
        }
    }

    static let saysWhatIsWrongWithAPropertyCases: [Case] = [
        Case(#"{"type": "string"}"#, []),
        Case(#"{"type": "array"}"#, [".items: Required value: must be specified"]),
        Case(
            #"{"type": "array", "items": {}}"#,
            [
                ".items.type: Required value: must not be empty for specified array items"
            ]),
        Case(
            #"{"type": "text"}"#,
            [
                ".type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", "
                    + "\"number\", \"object\", \"string\""
            ]),
        Case(
            #"{"type": "string", "pattern": "[a"}"#,
            [
                ".pattern: Invalid value: \"[a\": must be a valid regular expression, but isn't: error parsing "
                    + "regexp: missing closing ]: `[a`"
            ]),
        Case(
            #"{"type": "object", "anyOf": [{"type": "object"}]}"#,
            [
                ".anyOf[0].type: Forbidden: must be empty to be structural"
            ]),
        Case(
            #"{"type": "object", "not": {"description": "no"}}"#,
            [
                ".not.description: Forbidden: must be empty to be structural"
            ]),
        Case(
            #"{"type": "object", "allOf": [{"nullable": true}]}"#,
            [
                ".allOf[0].nullable: Forbidden: must be false to be structural"
            ]),
        Case(#"{"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}"#, []),
        Case(
            #"{"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]}"#,
            []),
        Case(
            #"{"x-kubernetes-preserve-unknown-fields": false, "type": "object"}"#,
            [
                ".x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"
            ]),
        Case(
            #"{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}"#,
            [
                ".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"
            ]),
        Case(
            #"{"type": "array", "items": {"type": "string"}, "uniqueItems": true}"#,
            [
                ".uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity "
                    + "becomes quadratic"
            ]),
        Case(#"{"type": "string", "$ref": "x"}"#, [".$ref: Forbidden: $ref is not supported"]),
        Case(
            #"{"type": "object", "x-kubernetes-list-type": "set"}"#,
            [
                ".type: Invalid value: \"object\": must be array if x-kubernetes-list-type is specified"
            ]),
        Case(
            #"{"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}"#,
            [
                ".items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with "
                    + "x-kubernetes-list-type=set"
            ]),
        Case(
            #"{"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}"#,
            [
                ".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type "
                    + "is map"
            ]),
        Case(
            #"{"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "#
                + #""properties": {"k": {"type": "string"}}}}"#,
            [
                ".items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, "
                    + "so it must have a default or be a required property"
            ]),
        Case(
            #"{"type": "object", "x-kubernetes-embedded-resource": true}"#,
            [
                ".properties: Required value: must not be empty if x-kubernetes-embedded-resource is true "
                    + "without x-kubernetes-preserve-unknown-fields"
            ]),
        Case(
            #"{"type": "integer", "default": "one"}"#,
            [
                ".default: Invalid value: \"string\":  in body must be of type integer: \"string\""
            ]),
        Case(
            #"{"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}"#,
            [
                ".default: Invalid value: {\"b\":1}: must not have unknown fields"
            ]),
        Case(
            #"{"type": "string", "x-kubernetes-validations": [{"rule": " "}]}"#,
            [
                ".x-kubernetes-validations[0].rule: Required value: rule is not specified"
            ]),
    ]

    @Test(arguments: saysWhatIsWrongWithAPropertyCases)
    func saysWhatIsWrongWithAProperty(_ one: Case) throws {
        #expect(faults(try one.value) == one.expected)
    }

    static let saysWhatIsWrongWithTheRootCases: [Case] = [
        Case(
            #"{"type": "object", "anyOf": [{"properties": {"a": {"minLength": 1}}}]}"#,
            [".properties[a]: Required value: because it is defined in \(root).anyOf[0].properties[a]"]),
        Case(#"{"properties": {}}"#, [".type: Required value: must not be empty at the root"]),
        Case(
            #"{"type": "array", "items": {"type": "string"}}"#,
            [
                ".type: Invalid value: \"array\": must be object at the root"
            ]),
        Case(
            #"{"type": "object", "additionalProperties": {"type": "string"}}"#,
            [
                ".additionalProperties: Forbidden: must not be used at the root"
            ]),
        Case(#"{"type": "object", "nullable": true}"#, [".nullable: Forbidden: nullable cannot be true at the root"]),
        Case(
            #"{"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}"#,
            [
                ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                    + "but metadata is implicitly specified"
            ]),
        Case(
            #"{"type": "object", "properties": {"kind": {"type": "string", "default": "X"}}}"#,
            [
                ".properties[kind].default: Forbidden: must not be set in top-level kind"
            ]),
    ]

    @Test(arguments: saysWhatIsWrongWithTheRootCases)
    func saysWhatIsWrongWithTheRoot(_ one: Case) throws {
        #expect(Sample.faults(schema: try one.value) == one.expected.map { Self.root + $0 })
    }

    @Test func theRootSaysLittleBesideAStatusSubresource() {
        var version = Sample.version("v1", schema: ["type": "object", "anyOf": [["required": ["a"]]]])
        version["subresources"] = ["status": [:]]
        let faults = Sample.faults(Sample.definition(versions: [version]))
        #expect(faults.count == 1)
        #expect(faults[0].contains("only [Description Type Format"))
        #expect(
            faults[0].hasSuffix("fields are allowed at the root of the schema if the status subresource is enabled"))
    }

    @Test func limitsDepth() {
        var schema: JSON = ["type": "string"]
        for _ in 0..<SchemaLimits.depth { schema = ["type": "object", "properties": ["a": schema]] }
        #expect(
            Sample.faults(schema: schema)
                == ["\(Self.root): Forbidden: schemas may not be nested more than 96 levels deep"])
    }

    @Test func writesOpenAPI() throws {
        let version = try #require(Definition(Sample.definition()).versions.first)
        let reference: JSON = ["$ref": "#/m"]
        let three = SchemaDocument.schema(of: version, metadata: reference, isVersion2: false)
        #expect(three["properties", "metadata"] == reference)
        #expect(three["properties", "spec", "properties", "one", "oneOf"] != nil)
        let two = SchemaDocument.schema(of: version, metadata: reference, isVersion2: true)
        #expect(two["properties", "spec", "properties", "one", "oneOf"] == nil)
        #expect(two["properties", "spec", "properties", "port", "type"] == nil)
        #expect(two["properties", "spec", "properties", "size", "type"] == "integer")
        let resource = version.resource(of: Definition(Sample.definition()))
        #expect(SchemaDocument.name(of: resource).hasPrefix("com.example.v1."))
    }
}
