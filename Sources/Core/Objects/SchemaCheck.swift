// Compares an object with its type: fields that the type does not have, and values of the wrong kind.

import Formats

/// What a comparison found; both lists are in the order of the object's members.
package struct SchemaFindings: Sendable, Hashable {
    /// Paths of members that the type does not have, like `spec.containers[0].imagee`.
    package var unknown: [String] = []
    /// Values of another kind than the type says.
    package var mismatches: [Mismatch] = []

    package struct Mismatch: Sendable, Hashable, CustomStringConvertible {
        package var path: String
        package var expected: String
        package var found: String

        package var description: String { "\(path): expected \(expected), found \(found)" }
    }
}

extension Schema {
    /// The paths of fields in `tree` that its type does not have; for strict validation and `Warning` headers.
    package static func unknownFields(in tree: JSON, of type: SchemaType) -> [String] {
        findings(in: tree, of: type).unknown
    }

    /// Compares a whole object with its type. Nulls fit everything, as in Go.
    package static func findings(in tree: JSON, of type: SchemaType) -> SchemaFindings {
        var check = SchemaCheck()
        check.compare(tree, with: type, at: "")
        return check.findings
    }

    /// The object without the members that its type does not have, as a typed server would store it.
    package static func pruned(_ tree: JSON, of type: SchemaType) -> JSON {
        guard case .object(let object) = tree else { return tree }
        var kept = JSONObject()
        for member in object {
            guard let field = type.fields[member.key] else { continue }
            kept[member.key] = pruned(member.value, as: field.type)
        }
        return .object(kept)
    }

    private static func pruned(_ value: JSON, as type: FieldType) -> JSON {
        guard objectType(of: type) != nil else { return value }
        switch (type, value) {
        case (.type(let name), .object):
            return Schema.type(named: name).map { pruned(value, of: $0) } ?? value
        case (.array(let element), .array(let values)):
            return .array(values.map { pruned($0, as: element) })
        case (.map(let element), .object(let object)):
            return .object(JSONObject(object.map { ($0.key, pruned($0.value, as: element)) }))
        default:
            return value
        }
    }
}

private struct SchemaCheck {
    var findings = SchemaFindings()

    mutating func compare(_ tree: JSON, with type: SchemaType, at path: String) {
        guard case .object(let object) = tree else {
            mismatch(path, "object", tree)
            return
        }
        for member in object {
            let memberPath = path.isEmpty ? member.key : "\(path).\(member.key)"
            if let field = type.fields[member.key] {
                compare(member.value, with: field.type, at: memberPath)
            } else {
                findings.unknown.append(memberPath)
            }
        }
    }

    private mutating func compare(_ value: JSON, with type: FieldType, at path: String) {
        switch (type, value) {
        case (_, .null), (.anything, _), (.anyObject, .object), (.boolean, .bool), (.number, .integer),
            (.number, .number),
            (.int64, .integer), (.string, .string), (.base64, .string), (.quantity, .string), (.quantity, .integer),
            (.quantity, .number), (.time, .string), (.microTime, .string), (.integerOrString, .string):
            return
        case (.int32, .integer(let number)), (.integerOrString, .integer(let number)):
            if Int32(exactly: number) == nil { mismatch(path, "32-bit integer", value) }
        case (.type(let name), _):
            if let type = Schema.type(named: name) { compare(value, with: type, at: path) }
        case (.array(let element), .array(let values)):
            for (index, value) in values.enumerated() { compare(value, with: element, at: "\(path)[\(index)]") }
        case (.map(let element), .object(let object)):
            for member in object { compare(member.value, with: element, at: "\(path).\(member.key)") }
        default:
            mismatch(path, Self.name(of: type), value)
        }
    }

    private mutating func mismatch(_ path: String, _ expected: String, _ found: JSON) {
        findings.mismatches.append(.init(path: path, expected: expected, found: found.typeName))
    }

    private static func name(of type: FieldType) -> String {
        switch type {
        case .string, .base64, .time, .microTime: "string"
        case .boolean: "boolean"
        case .int32, .int64: "integer"
        case .number: "number"
        case .quantity: "quantity"
        case .integerOrString: "integer or string"
        case .anyObject, .map, .type: "object"
        case .anything: "anything"
        case .array: "array"
        }
    }
}
