// Definitions and objects that tests begin with.

import Formats
import Objects
import Testing

@testable import CustomResources

enum Sample {
    /// A kind with a little of everything.
    static let schema: JSON = [
        "type": "object",
        "properties": [
            "spec": [
                "type": "object", "required": ["size"],
                "properties": [
                    "size": ["type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 1],
                    "colour": ["type": "string", "enum": ["red", "green"], "default": "red"],
                    "name": ["type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"],
                    "port": ["x-kubernetes-int-or-string": true, "anyOf": [["type": "integer"], ["type": "string"]]],
                    "when": ["type": "string", "format": "date-time", "nullable": true],
                    "tags": [
                        "type": "array", "x-kubernetes-list-type": "set", "maxItems": 3, "items": ["type": "string"],
                    ],
                    "ports": [
                        "type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"],
                        "items": [
                            "type": "object", "required": ["port"],
                            "properties": [
                                "port": ["type": "integer"], "protocol": ["type": "string", "default": "TCP"],
                            ],
                        ],
                    ],
                    "labels": ["type": "object", "additionalProperties": ["type": "string"], "maxProperties": 2],
                    "free": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                    "template": [
                        "type": "object", "x-kubernetes-embedded-resource": true,
                        "x-kubernetes-preserve-unknown-fields": true,
                    ],
                    "one": [
                        "type": "object", "properties": ["a": ["type": "string"], "b": ["type": "string"]],
                        "oneOf": [["required": ["a"]], ["required": ["b"]]],
                    ],
                ],
            ],
            "status": ["type": "object", "properties": ["ready": ["type": "integer"]]],
        ],
    ]

    static func version(_ name: String, schema: JSON = Self.schema, isStorage: Bool = true) -> JSON {
        ["name": .string(name), "served": true, "storage": .bool(isStorage), "schema": ["openAPIV3Schema": schema]]
    }

    static func definition(_ plural: String = "things", kind: String = "Thing", versions: [JSON]? = nil) -> Object {
        var object = Object(Definition.resource, name: "\(plural).example.com")
        object.spec = [
            "group": "example.com", "scope": "Namespaced",
            "names": [
                "plural": .string(plural), "kind": .string(kind), "shortNames": [.string(String(plural.prefix(2)))],
            ],
            "versions": .array(versions ?? [version("v1")]),
        ]
        DefinitionDefaults.fill(&object)
        DefinitionDefaults.recordStorageVersion(&object)
        return object
    }

    static func faults(_ definition: Object) -> [String] {
        DefinitionRules.faults(in: definition).map { "\($0.path): \($0.message)" }
    }

    static func faults(schema: JSON) -> [String] {
        faults(definition(versions: [version("v1", schema: schema)]))
    }

    static func faults(_ value: JSON, _ schema: JSON) -> [String] {
        ValueCheck.faults(in: value, against: StructuralSchema(schema)).map { "\($0.path): \($0.message)" }
    }
}

// Cases of tables. Trees are written as JSON text, which the compiler reads at once.

struct Case: Sendable, CustomTestStringConvertible {
    let text: String
    let expected: [String]

    init(_ text: String, _ expected: [String]) {
        self.text = text
        self.expected = expected
    }

    var value: JSON { get throws { try JSON(parsing: text) } }
    var testDescription: String { text }
}

struct LogicCase: Sendable, CustomTestStringConvertible {
    let schemaText: String
    let text: String
    let expected: [String]

    init(_ schema: String, _ text: String, _ expected: [String]) {
        schemaText = schema
        self.text = text
        self.expected = expected
    }

    var schema: JSON { get throws { try JSON(parsing: schemaText) } }
    var value: JSON { get throws { try JSON(parsing: text) } }
    var testDescription: String { "\(text) against \(schemaText)" }
}

struct FieldCase: Sendable, CustomTestStringConvertible {
    let path: [String]
    let text: String
    let expected: [String]

    init(_ path: [String], _ text: String, _ expected: [String]) {
        self.path = path
        self.text = text
        self.expected = expected
    }

    var value: JSON { get throws { try JSON(parsing: text) } }
    var testDescription: String { "\(path.joined(separator: ".")) = \(text)" }
}

struct CellCase: Sendable, CustomTestStringConvertible {
    let path: String
    let type: String
    let text: String

    init(_ path: String, _ type: String, _ text: String) {
        self.path = path
        self.type = type
        self.text = text
    }

    var testDescription: String { "\(path) as \(type)" }
}
