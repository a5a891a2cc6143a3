// The types of the Kubernetes API: which fields there are, of what type, and how patches merge them.

import Formats

/// A field's type.
package indirect enum FieldType: Sendable, Hashable {
    case string
    /// A string that holds base64.
    case base64
    case boolean
    case int32
    case int64
    case number
    case quantity
    case time
    case microTime
    case integerOrString
    /// An object whose members the schema does not know.
    case anyObject
    case anything
    case array(FieldType)
    case map(FieldType)
    /// A type of the table, by its short name such as `core.v1.PodSpec`.
    case type(String)
}

/// One field of a type, and how a strategic merge treats it.
package struct SchemaField: Sendable, Hashable {
    package var name: String
    package var type: FieldType
    package var isRequired = false
    /// Lists are merged element by element instead of replaced: by `mergeKey`, or as a set of scalars without one.
    package var mergesElements = false
    package var mergeKey: String?
    /// Members that the patch does not name in `$retainKeys` are dropped.
    package var retainsKeys = false
    /// The whole value is replaced, even where it is an object.
    package var isReplaced = false
    package var listType: ListType?
    /// The members of the value merge although its type says that it is replaced whole.
    package var isGranular = false
    /// The field's protobuf number, after those of the messages around it that JSON has no name for; empty without one.
    package var protobufPath: [Int] = []
    /// A zero or empty scalar is a value here. Elsewhere it means that the field was not set, as in Go's structs.
    package var keepsZero = false
    /// Protobuf spells the value as one of two fields of a message.
    package var alternative: Alternative?

    package enum Alternative: String, Sendable, Hashable {
        /// A schema, or an array of them.
        case array
        /// A schema, or whether anything is allowed.
        case bool
        /// A schema, or names.
        case strings
    }

    package enum ListType: Sendable, Hashable {
        case atomic
        case set
        /// Elements are told apart by these members.
        case map(keys: [String])
    }
}

/// An object type: its fields by name.
package struct SchemaType: Sendable {
    package var name: String
    package var fields: [String: SchemaField] = [:]
    /// Field names in the order of the source.
    package var order: [String] = []
    /// Values are owned and replaced whole by server-side apply.
    package var isAtomic = false
}

/// The table of types, read once at first use from generated text.
package enum Schema {
    /// The type with this short name, like `apps.v1.Deployment`.
    package static func type(named name: String) -> SchemaType? { table.types[name] }

    /// The type of objects of this kind, like `apps/v1`, `Deployment`; nil for kinds that the table does not have.
    package static func type(apiVersion: String, kind: String) -> SchemaType? {
        table.names["\(apiVersion)/\(kind)"].flatMap { table.types[$0] }
    }

    /// The type of a resource's objects.
    package static func type(of resource: Resource) -> SchemaType? {
        type(apiVersion: resource.apiVersion, kind: resource.kind)
    }

    /// The object type that a field's type leads to: its own, its elements' or its values'; nil for scalars.
    package static func objectType(of type: FieldType) -> SchemaType? {
        switch type {
        case .type(let name): table.types[name]
        case .array(let element), .map(let element): objectType(of: element)
        default: nil
        }
    }

    /// Every type, by short name.
    package static var types: [String: SchemaType] { table.types }

    private static let table = SchemaReader.read(SchemaText.types)
}

/// Reads the lines that `SchemaText` explains. A line that does not follow them is a bug of the generator.
private struct SchemaReader {
    struct Table: Sendable {
        var types: [String: SchemaType] = [:]
        /// `apiVersion/kind` to short name.
        var names: [String: String] = [:]
    }

    private var table = Table()
    private var scalars: [String: FieldType] = [:]

    static func read(_ text: String) -> Table {
        var reader = SchemaReader()
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"))
        for line in lines where line.first == UInt8(ascii: "@") { reader.readAlias(line) }
        var current: SchemaType?
        for line in lines {
            let words = line.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
            guard let first = words.first else { continue }
            if first.hasPrefix("@") {
                if let current { reader.table.types[current.name] = current }
                current = reader.open(words)
            } else if words.count >= 2 {
                current?.order.append(first)
                current?.fields[first] = reader.field(words)
            }
        }
        if let current { reader.table.types[current.name] = current }
        return reader.table
    }

    /// `@meta.v1.Time =t`
    private mutating func readAlias(_ line: Substring.UTF8View) {
        let words = Substring(line).dropFirst().split(separator: " ")
        guard words.count == 2, words[1].first == "=", let code = words[1].utf8.last else { return }
        scalars[String(words[0])] = Self.scalar(code)
    }

    private mutating func open(_ words: [String]) -> SchemaType? {
        let name = String(words[0].dropFirst())
        if scalars[name] != nil { return nil }
        let kind = name.split(separator: ".").last ?? ""
        for word in words.dropFirst() where word.hasPrefix("+") { table.names["\(word.dropFirst())/\(kind)"] = name }
        return SchemaType(name: name, isAtomic: words.contains("A"))
    }

    private func field(_ words: [String]) -> SchemaField {
        var field = SchemaField(name: words[0], type: type(words[1][...]))
        for flag in words.dropFirst(2) {
            let rest = String(flag.dropFirst())
            switch flag.first {
            case "!": field.isRequired = true
            case "m":
                field.mergesElements = true
                field.mergeKey = rest.isEmpty ? nil : rest
            case "#": field.protobufPath = rest.split(separator: ".").compactMap { Int($0) }
            case "z": field.keepsZero = true
            case "|": field.alternative = SchemaField.Alternative(rawValue: rest)
            case "k": field.retainsKeys = true
            case "r": field.isReplaced = true
            case "S": field.listType = .set
            case "G": field.isGranular = true
            case "A": field.listType = .atomic
            case "M": field.listType = .map(keys: rest.split(separator: ",").map(String.init))
            default: assertionFailure("unknown flag \(flag) of \(words[0])")
            }
        }
        return field
    }

    private func type(_ text: Substring) -> FieldType {
        if text.first == "[" { return .array(type(text.dropFirst())) }
        if text.first == "{" { return .map(type(text.dropFirst())) }
        if text.utf8.count == 1, let code = text.utf8.first { return Self.scalar(code) }
        return scalars[String(text)] ?? .type(String(text))
    }

    private static func scalar(_ code: UInt8) -> FieldType {
        switch Unicode.Scalar(code) {
        case "s": return .string
        case "y": return .base64
        case "b": return .boolean
        case "i": return .int32
        case "l": return .int64
        case "n": return .number
        case "q": return .quantity
        case "t": return .time
        case "u": return .microTime
        case "x": return .integerOrString
        case "o": return .anyObject
        case "*": return .anything
        default:
            assertionFailure("unknown scalar \(Character(Unicode.Scalar(code)))")
            return .anything
        }
    }
}
