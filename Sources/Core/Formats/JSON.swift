// The JSON tree that every Kubernetes object, patch and registry message of this program is held in.

/// A JSON value.
///
/// Promises: objects keep the order in which members were first set; equality of objects ignores that order; an integer
/// that fits 64 bits stays an integer through reading and writing, any other number becomes a `Double`.
package enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

extension JSON {
    package var isNull: Bool { if case .null = self { true } else { false } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The value as an integer; a number with no fraction counts.
    package var integer: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The value as a floating-point number; integers count.
    package var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The strings of an array; elements that are not strings are left out. Nil when this is no array.
    package var strings: [String]? { array?.compactMap(\.string) }

    /// The string members of an object, for labels, annotations and metadata. Empty when this is no object.
    package var stringMap: [String: String] {
        guard let object else { return [:] }
        var map = [String: String](minimumCapacity: object.count)
        for member in object {
            if case .string(let value) = member.value { map[member.key] = value }
        }
        return map
    }

    /// An object with these string members, in the order of their keys, so that equal maps give equal bytes.
    package init(stringMap: [String: String]) {
        self = .object(JSONObject(stringMap.keys.sorted().map { ($0, .string(stringMap[$0] ?? "")) }))
    }

    /// The JSON type's name, for error messages.
    package var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// The member of an object; nil when there is none or this is no object. Setting nil removes the member; setting on
    /// `null` makes an object; setting on any other non-object is a bug of the caller and changes nothing.
    package subscript(_ key: String) -> JSON? {
        get { if case .object(let object) = self { object[key] } else { nil } }
        set {
            switch self {
            case .object(var object):
                self = .null  // Releases the payload, so that it is changed in place.
                object[key] = newValue
                self = .object(object)
            case .null:
                guard let newValue else { return }
                self = .object(JSONObject([(key, newValue)]))
            default:
                assertionFailure("a member was set on a JSON \(typeName)")
            }
        }
    }

    /// The value at a path of object members. Setting makes the objects on the way.
    package subscript(_ first: String, _ second: String, _ rest: String...) -> JSON? {
        get {
            var value = self[first]?[second]
            for key in rest { value = value?[key] }
            return value
        }
        set { set(newValue, at: [first, second] + rest) }
    }

    /// The same for the most common length of a path.
    package subscript(_ first: String, _ second: String) -> JSON? {
        get { self[first]?[second] }
        set { change(first, isRemoval: newValue == nil) { $0[second] = newValue } }
    }

    /// Sets the value at a path, making the objects on the way; nil removes the last member.
    package mutating func set(_ value: JSON?, at path: some Collection<String>) {
        guard let key = path.first else { return }
        let rest = path.dropFirst()
        if rest.isEmpty {
            self[key] = value
            return
        }
        change(key, isRemoval: value == nil) { $0.set(value, at: rest) }
    }

    /// Changes a member in its place; where there is none, it is null before, unless there is only something to remove.
    package mutating func change(_ key: String, isRemoval: Bool = false, _ change: (inout JSON) -> Void) {
        if !isRemoval, object == nil { self[key] = .null }
        guard case .object(var object) = self else { return }
        self = .null  // Releases the payload, so that it is changed in place.
        object.change(key, isRemoval: isRemoval, change)
        self = .object(object)
    }

    /// The value at a path of object members.
    package func value(at path: some Collection<String>) -> JSON? {
        var value: JSON? = self
        for key in path { value = value?[key] }
        return value
    }
}

extension JSON: Equatable, Hashable {
    package static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.integer(let left), .number(let right)): Double(left) == right
        case (.number(let left), .integer(let right)): left == Double(right)
        case (.string(let left), .string(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(Double(value))
        case .number(let value): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .array(let values): hasher.combine(values)
        case .object(let object): hasher.combine(object)
        }
    }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
    ExpressibleByFloatLiteral
{
    package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(floatLiteral value: Double) { self = .number(value) }
    package init(nilLiteral: ()) { self = .null }

    /// An integer of this platform's width.
    package init(_ value: Int) { self = .integer(Int64(value)) }
}
