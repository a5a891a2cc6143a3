// Reads Kubernetes' protobuf messages into trees, by the schema's table.

import Formats

/// Pure; fields that the table does not have are left out, as generated Go code leaves them out.
struct ProtobufObjectReader {
    /// Lists and maps arrive element by element; they are put into the object when the message has ended.
    private struct Building {
        var object = JSONObject()
        var lists: [String: [JSON]] = [:]
        var maps: [String: JSONObject] = [:]

        mutating func append(_ value: JSON, to name: String) {
            if lists[name] == nil { object[name] = .null }
            lists[name, default: []].append(value)
        }

        mutating func set(_ key: String, to value: JSON, in name: String) {
            if maps[name] == nil { object[name] = .null }
            maps[name, default: JSONObject()][key] = value
        }

        func finished() -> JSONObject {
            var object = object
            for (name, list) in lists { object[name] = .array(list) }
            for (name, map) in maps { object[name] = .object(map) }
            return object
        }
    }

    func object(_ message: ProtobufReader, as type: SchemaType, depthLeft: Int) throws(FormatProblem) -> JSONObject {
        var building = Building()
        try read(message, by: ProtobufShape.of(type), into: &building, depthLeft: depthLeft)
        return building.finished()
    }

    private func read(
        _ message: ProtobufReader, by shape: ProtobufShape, into building: inout Building, depthLeft: Int
    ) throws(FormatProblem) {
        guard depthLeft > 0 else { throw message.problem("protobuf messages are nested too deeply") }
        var reader = message
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            switch shape.slots[number] {
            case nil: try reader.skip(number, wireType)
            case .inlined(let inner):
                guard wireType == .lengthDelimited else { throw unexpected(wireType, number, reader) }
                try read(try reader.content(), by: inner, into: &building, depthLeft: depthLeft - 1)
            case .field(let field):
                try read(field, number, wireType, from: &reader, into: &building, depthLeft: depthLeft - 1)
            }
        }
    }

    private func read(
        _ field: SchemaField, _ number: Int, _ wireType: ProtobufWireType, from reader: inout ProtobufReader,
        into building: inout Building, depthLeft: Int
    ) throws(FormatProblem) {
        switch field.type {
        case .array(let element):
            if wireType == .lengthDelimited, let expected = Self.wireType(of: element), expected != .lengthDelimited {
                // Packed: values without tags.
                var packed = try reader.content()
                while !packed.isAtEnd { building.append(try scalar(element, from: &packed), to: field.name) }
                return
            }
            try expect(wireType, of: element, number, reader)
            let value = try value(element, field.alternative, from: &reader, depthLeft: depthLeft)
            building.append(value, to: field.name)
        case .map(let element):
            guard wireType == .lengthDelimited else { throw unexpected(wireType, number, reader) }
            let entry = try entry(try reader.content(), element, field.alternative, depthLeft: depthLeft)
            building.set(entry.key, to: entry.value, in: field.name)
        default:
            try expect(wireType, of: field.type, number, reader)
            let value = try value(field.type, field.alternative, from: &reader, depthLeft: depthLeft)
            guard field.keepsZero || field.isRequired || !Self.isZero(value) else { return }
            building.object[field.name] = value
        }
    }

    private func entry(
        _ content: ProtobufReader, _ type: FieldType, _ alternative: SchemaField.Alternative?, depthLeft: Int
    ) throws(FormatProblem) -> (key: String, value: JSON) {
        var reader = content
        var key = ""
        var value: JSON?
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            switch number {
            case 1:
                guard wireType == .lengthDelimited else { throw unexpected(wireType, number, reader) }
                key = String(decoding: try reader.content().rest, as: UTF8.self)
            case 2:
                // A list as a map's value is a message of its own, with the elements in its first field.
                if case .array(let element) = type {
                    guard wireType == .lengthDelimited else { throw unexpected(wireType, number, reader) }
                    value = .array(try items(try reader.content(), element, depthLeft: depthLeft))
                } else {
                    try expect(wireType, of: type, number, reader)
                    value = try self.value(type, alternative, from: &reader, depthLeft: depthLeft)
                }
            default: try reader.skip(number, wireType)
            }
        }
        return (key, value ?? Self.zero(of: type))
    }

    private func items(_ content: ProtobufReader, _ type: FieldType, depthLeft: Int) throws(FormatProblem) -> [JSON] {
        var reader = content
        var items: [JSON] = []
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            guard number == 1 else {
                try reader.skip(number, wireType)
                continue
            }
            try expect(wireType, of: type, number, reader)
            items.append(try value(type, nil, from: &reader, depthLeft: depthLeft))
        }
        return items
    }

    // MARK: Values

    private func value(
        _ type: FieldType, _ alternative: SchemaField.Alternative?, from reader: inout ProtobufReader, depthLeft: Int
    ) throws(FormatProblem) -> JSON {
        if let alternative { return try choice(alternative, try reader.content(), depthLeft: depthLeft) }
        switch type {
        case .type(let name):
            let content = try reader.content()
            guard let type = Schema.type(named: name) else { return [:] }
            return .object(try object(content, as: type, depthLeft: depthLeft))
        case .anyObject, .anything:
            guard let raw = try field(1, of: try reader.content()), !raw.isEmpty else {
                return type == .anyObject ? [:] : .null
            }
            return try JSON(parsing: raw)
        case .quantity:
            let text = String(decoding: try field(1, of: try reader.content()) ?? [], as: UTF8.self)
            _ = try Quantity(parsing: text)
            return .string(text)
        case .time, .microTime: return try moment(try reader.content(), isMicro: type == .microTime)
        case .integerOrString: return try integerOrString(try reader.content())
        default: return try scalar(type, from: &reader)
        }
    }

    private func scalar(_ type: FieldType, from reader: inout ProtobufReader) throws(FormatProblem) -> JSON {
        switch type {
        case .boolean: return .bool(try reader.varint() != 0)
        case .int32: return .integer(Int64(Int32(truncatingIfNeeded: try reader.varint())))
        case .int64: return .integer(Int64(truncatingIfNeeded: try reader.varint()))
        case .number:
            let number = Double(bitPattern: try reader.fixed64())
            guard number.isFinite else { throw reader.problem("a number that JSON cannot carry") }
            return .number(number)
        case .base64: return .string(Base64.encode(Array(try reader.content().rest)))
        default: return .string(String(decoding: try reader.content().rest, as: UTF8.self))
        }
    }

    /// The last bytes of one field of a small message.
    private func field(_ wanted: Int, of content: ProtobufReader) throws(FormatProblem) -> ArraySlice<UInt8>? {
        var reader = content
        var found: ArraySlice<UInt8>?
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            if number == wanted, wireType == .lengthDelimited {
                found = try reader.content().rest
            } else {
                try reader.skip(number, wireType)
            }
        }
        return found
    }

    /// Numbers of a small message.
    private func integers(of content: ProtobufReader) throws(FormatProblem) -> [Int: Int64] {
        var reader = content
        var integers: [Int: Int64] = [:]
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            if wireType == .varint {
                integers[number] = Int64(truncatingIfNeeded: try reader.varint())
            } else {
                try reader.skip(number, wireType)
            }
        }
        return integers
    }

    /// Seconds and nanoseconds since 1970. An empty message is no time; plain times have no fraction, as upstream.
    private func moment(_ content: ProtobufReader, isMicro: Bool) throws(FormatProblem) -> JSON {
        let parts = try integers(of: content)
        let seconds = parts[1] ?? 0
        let nanoseconds = parts[2] ?? 0
        if seconds == 0, nanoseconds == 0 { return .null }
        guard (-62_135_596_800..<253_402_300_800).contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else {
            throw content.problem("a time outside of the years 1 to 9999")
        }
        let moment = Timestamp(secondsSinceEpoch: seconds, nanoseconds: Int32(nanoseconds))
        return .string(isMicro ? moment.rfc3339Micro : moment.rfc3339)
    }

    private func integerOrString(_ content: ProtobufReader) throws(FormatProblem) -> JSON {
        let parts = try integers(of: content)
        if parts[1] == 1 { return .string(String(decoding: try field(3, of: content) ?? [], as: UTF8.self)) }
        guard (parts[1] ?? 0) == 0 else { throw content.problem("neither an integer nor a string") }
        return .integer(Int64(Int32(truncatingIfNeeded: parts[2] ?? 0)))
    }

    private func choice(
        _ alternative: SchemaField.Alternative, _ content: ProtobufReader, depthLeft: Int
    ) throws(FormatProblem) -> JSON {
        guard let type = Schema.type(named: "apiextensions.v1.JSONSchemaProps") else { return [:] }
        var reader = content
        var schema: JSON?
        var list: [JSON] = []
        var allows = false
        while !reader.isAtEnd {
            let (number, wireType) = try reader.tag()
            switch (alternative, number, wireType) {
            case (.bool, 1, .varint): allows = try reader.varint() != 0
            case (.array, 1, .lengthDelimited), (.strings, 1, .lengthDelimited), (.bool, 2, .lengthDelimited):
                schema = .object(try object(try reader.content(), as: type, depthLeft: depthLeft - 1))
            case (.array, 2, .lengthDelimited):
                list.append(.object(try object(try reader.content(), as: type, depthLeft: depthLeft - 1)))
            case (.strings, 2, .lengthDelimited):
                list.append(.string(String(decoding: try reader.content().rest, as: UTF8.self)))
            default: try reader.skip(number, wireType)
            }
        }
        if !list.isEmpty { return .array(list) }
        return schema ?? (alternative == .bool ? .bool(allows) : .null)
    }

    // MARK: Kinds of values

    /// Nil for types that are values only within lists or maps of their own.
    private static func wireType(of type: FieldType) -> ProtobufWireType? {
        switch type {
        case .boolean, .int32, .int64: .varint
        case .number: .fixed64
        case .array, .map: nil
        default: .lengthDelimited
        }
    }

    private func expect(
        _ wireType: ProtobufWireType, of type: FieldType, _ number: Int, _ reader: ProtobufReader
    ) throws(FormatProblem) {
        if Self.wireType(of: type) != wireType { throw unexpected(wireType, number, reader) }
    }

    private func unexpected(_ wireType: ProtobufWireType, _ number: Int, _ reader: ProtobufReader) -> FormatProblem {
        reader.problem("proto: wrong wireType = \(wireType.rawValue) for field \(number)")
    }

    private static func isZero(_ value: JSON) -> Bool {
        switch value {
        case .null, .bool(false), .integer(0), .number(0): true
        case .string(let text): text.isEmpty
        default: false
        }
    }

    private static func zero(of type: FieldType) -> JSON {
        switch type {
        case .boolean: false
        case .int32, .int64, .number, .integerOrString: 0
        case .string, .base64: ""
        case .quantity: "0"
        case .array: []
        case .type, .map, .anyObject: [:]
        case .time, .microTime, .anything: .null
        }
    }
}
