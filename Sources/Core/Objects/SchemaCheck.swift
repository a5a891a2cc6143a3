// Compares an object with its type: fields that the type does not have, and values of the wrong kind.

import Formats

/// What a comparison found, in the order of the object's members.
package struct SchemaFindings: Sendable, Hashable {
    /// Paths of members that the type does not have, like `spec.containers[0].imagee`.
    package var unknown: [String] = []
    /// Values of another kind than the type says.
    package var mismatches: [Mismatch] = []
    /// Unknown and duplicate fields in upstream's words; of a field that is both, that it is unknown.
    package var faults: [String] = []

    package struct Mismatch: Sendable, Hashable, CustomStringConvertible {
        package var path: String
        /// What Go's decoder says of it.
        package var description: String
    }
}

extension Schema {
    /// The paths of fields in `tree` that its type does not have; for strict validation and `Warning` headers.
    package static func unknownFields(in tree: JSON, of type: SchemaType) -> [String] {
        findings(in: tree, of: type).unknown
    }

    /// Compares a whole object with its type. Nulls fit everything, as in Go. `duplicates` are the paths of members
    /// that its text had more than once.
    package static func findings(in tree: JSON, of type: SchemaType, duplicates: Set<String> = []) -> SchemaFindings {
        var check = SchemaCheck(duplicates: duplicates)
        check.compare(tree, with: type, at: "", named: "")
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
    let duplicates: Set<String>
    var findings = SchemaFindings()

    /// `path` has the indexes of elements, `name` has not: Go's decoder names fields without them.
    mutating func compare(_ tree: JSON, with type: SchemaType, at path: String, named name: String) {
        guard case .object(let object) = tree else {
            mismatch(path, "json: cannot unmarshal \(Self.value(tree)) into Go value of type \(Self.goName(type.name))")
            return
        }
        for member in object {
            let memberPath = path.isEmpty ? member.key : "\(path).\(member.key)"
            guard let field = type.fields[member.key] else {
                findings.unknown.append(memberPath)
                findings.faults.append("unknown field \"\(memberPath)\"")
                continue
            }
            report(duplicate: memberPath)
            let memberName = name.isEmpty ? member.key : "\(name).\(member.key)"
            compare(
                member.value, with: field.type,
                in: Place(owner: type.name, path: memberPath, name: memberName, alternative: field.alternative))
        }
    }

    private mutating func report(duplicate path: String) {
        if !duplicates.isEmpty, duplicates.contains(path) { findings.faults.append("duplicate field \"\(path)\"") }
    }

    /// Where a value is.
    private struct Place {
        /// The type that the field belongs to.
        var owner: String
        var path: String
        var name: String
        var alternative: SchemaField.Alternative?
    }

    private mutating func compare(_ value: JSON, with type: FieldType, in place: Place) {
        switch (type, value) {
        case (_, .null), (.anything, _), (.anyObject, .object), (.boolean, .bool), (.number, .integer),
            (.number, .number), (.int64, .integer), (.string, .string), (.integerOrString, .string):
            return
        case (.int32, .integer(let number)):
            if Int32(exactly: number) == nil { mismatch(type, value, place) }
        case (.integerOrString, .integer(let number)) where Int32(exactly: number) != nil: return
        case (.integerOrString, _):
            let found = Self.value(value, isInteger: true)
            mismatch(place.path, "json: cannot unmarshal \(found) into Go value of type int32")
        case (.base64, .string(let text)):
            if Base64.decode(text) == nil {
                let offset = Self.offsetOfIllegalBase64(text)
                mismatch(place.path, "illegal base64 data at input byte \(offset)")
            }
        case (.quantity, _): compareQuantity(value, place)
        case (.time, .string(let text)), (.microTime, .string(let text)):
            if Timestamp(rfc3339: text) == nil {
                let layout = type == .time ? "2006-01-02T15:04:05Z07:00" : "2006-01-02T15:04:05.000000Z07:00"
                mismatch(
                    place.path, "parsing time \"\(text)\" as \"\(layout)\": cannot parse \"\(text)\" as \"2006\"")
            }
        case (.type(let name), .object):
            if let type = Schema.type(named: name) { compare(value, with: type, at: place.path, named: place.name) }
        case (.array(let element), .array(let values)):
            for (index, value) in values.enumerated() {
                var inner = place
                inner.path = "\(place.path)[\(index)]"
                compare(value, with: element, in: inner)
            }
        case (.map(let element), .object(let object)):
            for member in object {
                var inner = place
                inner.path = "\(place.path).\(member.key)"
                report(duplicate: inner.path)
                compare(member.value, with: element, in: inner)
            }
        default: mismatch(type, value, place)
        }
    }

    private mutating func compareQuantity(_ value: JSON, _ place: Place) {
        switch value {
        case .integer, .number: return
        case .string(let text) where (try? Quantity(parsing: text)) != nil: return
        default:
            mismatch(
                place.path,
                "quantities must match the regular expression "
                    + "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        }
    }

    private mutating func mismatch(_ type: FieldType, _ value: JSON, _ place: Place) {
        let isInteger = type == .int32 || type == .int64
        let owner = place.owner.split(separator: ".").last ?? ""
        mismatch(
            place.path,
            "json: cannot unmarshal \(Self.value(value, isInteger: isInteger)) into Go struct field "
                + "\(owner).\(place.name) of type \(Self.goName(type))")
    }

    private mutating func mismatch(_ path: String, _ description: String) {
        findings.mismatches.append(.init(path: path, description: description))
    }

    /// What Go's decoder calls a value; numbers that are not the wanted integer by their text.
    private static func value(_ value: JSON, isInteger: Bool = false) -> String {
        switch value {
        case .bool: "bool"
        case .integer, .number: isInteger ? "number \(value.text)" : "number"
        default: value.typeName
        }
    }

    private static func goName(_ type: FieldType) -> String {
        switch type {
        case .string: "string"
        case .base64: "[]uint8"
        case .boolean: "bool"
        case .int32: "int32"
        case .int64: "int64"
        case .number: "float64"
        case .time: "string"
        case .microTime: "string"
        case .quantity: "resource.Quantity"
        case .integerOrString: "intstr.IntOrString"
        case .anyObject: "runtime.RawExtension"
        case .anything: "interface {}"
        case .array(let element): "[]" + goName(element)
        case .map(.quantity): "v1.ResourceList"
        case .map(let element): "map[string]" + goName(element)
        case .type(let name): goName(name)
        }
    }

    /// `core.v1.PodSpec` is `v1.PodSpec` in Go.
    private static func goName(_ name: String) -> String { name.split(separator: ".").suffix(2).joined(separator: ".") }

    private static func offsetOfIllegalBase64(_ text: String) -> Int {
        let bytes = Array(text.utf8)
        let isAlphabet = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2B || byte == 0x2F
        }
        return bytes.firstIndex { !isAlphabet($0) } ?? bytes.count
    }
}
