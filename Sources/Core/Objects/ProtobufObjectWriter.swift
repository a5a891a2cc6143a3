// Writes trees as Kubernetes' protobuf messages, by the schema's table.

import Formats

/// Pure; nulls and members that the table does not have are left out. Values of the wrong kind throw.
struct ProtobufObjectWriter {
    func message(_ tree: JSON, as type: SchemaType) throws(FormatProblem) -> [UInt8] {
        guard case .object(let object) = tree else { throw mismatch(tree, type.name) }
        return try message(
            object.lazy.compactMap { member in
                guard !member.value.isNull, let field = type.fields[member.key] else { return nil }
                return Member(path: field.protobufPath[...], field: field, value: member.value)
            })
    }

    /// A field on its way to its number; what is left of the path names messages that JSON has no name for.
    private struct Member {
        var path: ArraySlice<Int>
        var field: SchemaField
        var value: JSON
    }

    private func message(_ members: some Sequence<Member>) throws(FormatProblem) -> [UInt8] {
        var writer = ProtobufWriter()
        var inlined: [Int: [Member]] = [:]
        for var member in members {
            guard let number = member.path.popFirst() else { continue }
            if member.path.isEmpty {
                try write(number, member.field, member.value, to: &writer)
            } else {
                inlined[number, default: []].append(member)
            }
        }
        for number in inlined.keys.sorted() { writer.write(number, content: try message(inlined[number] ?? [])) }
        return writer.bytes
    }

    private func write(
        _ number: Int, _ field: SchemaField, _ value: JSON, to writer: inout ProtobufWriter
    ) throws(FormatProblem) {
        switch (field.type, value) {
        case (.array(let element), .array(let values)):
            for value in values { try write(number, element, field.alternative, value, to: &writer) }
        case (.map(let element), .object(let object)):
            for member in object {
                var entry = ProtobufWriter()
                entry.write(1, content: member.key.utf8)
                if case .array(let element) = element {
                    var items = ProtobufWriter()
                    for value in member.value.array ?? [] { try write(1, element, nil, value, to: &items) }
                    entry.write(2, content: items.bytes)
                } else if !member.value.isNull {
                    try write(2, element, field.alternative, member.value, to: &entry)
                }
                writer.write(number, content: entry.bytes)
            }
        case (.array, _), (.map, _): throw mismatch(value, field.name)
        default: try write(number, field.type, field.alternative, value, to: &writer)
        }
    }

    private func write(
        _ number: Int, _ type: FieldType, _ alternative: SchemaField.Alternative?, _ value: JSON,
        to writer: inout ProtobufWriter
    ) throws(FormatProblem) {
        if let alternative {
            writer.write(number, content: try choice(alternative, value))
            return
        }
        switch (type, value) {
        case (.boolean, .bool(let flag)): writer.write(number, varint: flag ? 1 : 0)
        case (.int32, _), (.int64, _):
            guard let integer = value.integer else { throw mismatch(value, "an integer") }
            writer.write(number, varint: UInt64(bitPattern: Int64(integer)))
        case (.number, _):
            guard let double = value.number else { throw mismatch(value, "a number") }
            writer.write(number, fixed64: double.bitPattern)
        case (.base64, .string(let text)):
            guard let bytes = Base64.decode(text) else { throw FormatProblem("\"\(text.prefix(40))\" is not base64") }
            writer.write(number, content: bytes)
        case (.string, .string(let text)): writer.write(number, content: text.utf8)
        case (.type(let name), _):
            guard let type = Schema.type(named: name) else { return }
            writer.write(number, content: try message(value, as: type))
        case (.anyObject, _), (.anything, _): writer.write(number, content: raw(value))
        case (.quantity, _): writer.write(number, content: quantity(value))
        case (.time, .string(let text)), (.microTime, .string(let text)):
            writer.write(number, content: try moment(text, isMicro: type == .microTime))
        case (.integerOrString, _): writer.write(number, content: try integerOrString(value))
        default: throw mismatch(value, "\(type)")
        }
    }

    private func raw(_ value: JSON) -> [UInt8] {
        var message = ProtobufWriter()
        message.write(1, content: value.bytes)
        return message.bytes
    }

    private func quantity(_ value: JSON) -> [UInt8] {
        var message = ProtobufWriter()
        message.write(1, content: (value.string ?? value.text).utf8)
        return message.bytes
    }

    private func moment(_ text: String, isMicro: Bool) throws(FormatProblem) -> [UInt8] {
        guard let moment = Timestamp(rfc3339: text) else { throw FormatProblem("\"\(text)\" is not a time") }
        var message = ProtobufWriter()
        message.write(1, varint: UInt64(bitPattern: moment.secondsSinceEpoch))
        message.write(2, varint: isMicro ? UInt64(moment.nanoseconds / 1000 * 1000) : 0)
        return message.bytes
    }

    private func integerOrString(_ value: JSON) throws(FormatProblem) -> [UInt8] {
        var message = ProtobufWriter()
        if let text = value.string {
            message.write(1, varint: 1)
            message.write(2, varint: 0)
            message.write(3, content: text.utf8)
        } else if let integer = value.integer {
            message.write(1, varint: 0)
            message.write(2, varint: UInt64(bitPattern: Int64(integer)))
            message.write(3, content: [])
        } else {
            throw mismatch(value, "an integer or string")
        }
        return message.bytes
    }

    private func choice(_ alternative: SchemaField.Alternative, _ value: JSON) throws(FormatProblem) -> [UInt8] {
        guard let type = Schema.type(named: "apiextensions.v1.JSONSchemaProps") else { return [] }
        var writer = ProtobufWriter()
        switch (alternative, value) {
        case (.bool, .bool(let allows)): writer.write(1, varint: allows ? 1 : 0)
        case (.bool, _):
            writer.write(1, varint: 1)
            writer.write(2, content: try message(value, as: type))
        case (.array, .array(let schemas)):
            for schema in schemas { writer.write(2, content: try message(schema, as: type)) }
        case (.strings, .array(let names)):
            for name in names { writer.write(2, content: (name.string ?? "").utf8) }
        default: writer.write(1, content: try message(value, as: type))
        }
        return writer.bytes
    }

    private func mismatch(_ value: JSON, _ expected: String) -> FormatProblem {
        FormatProblem("\(value.typeName) where protobuf has \(expected)")
    }
}
