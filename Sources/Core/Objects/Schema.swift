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

/// One field of a type, and how a strategic merge treats it. There is one of each, which all who ask are handed.
package final class SchemaField: Sendable {
    package let name: String
    package let type: FieldType
    package let isRequired: Bool
    /// Lists are merged element by element instead of replaced: by `mergeKey`, or as a set of scalars without one.
    package let mergesElements: Bool
    package let mergeKey: String?
    /// Members that the patch does not name in `$retainKeys` are dropped.
    package let retainsKeys: Bool
    /// The whole value is replaced, even where it is an object.
    package let isReplaced: Bool
    package let listType: ListType?
    /// The members of the value merge although its type says that it is replaced whole.
    package let isGranular: Bool
    /// The field's protobuf number, after those of the messages around it that JSON has no name for; empty without one.
    package let protobufPath: [Int]
    /// A zero or empty scalar is a value here. Elsewhere it means that the field was not set, as in Go's structs.
    package let keepsZero: Bool
    /// Protobuf spells the value as one of two fields of a message.
    package let alternative: Alternative?

    /// Reads the flags that `SchemaText` explains.
    fileprivate init(name: String, type: FieldType, flags: ArraySlice<String>) {
        self.name = name
        self.type = type
        var (isRequired, retainsKeys, isReplaced, isGranular, keepsZero) = (false, false, false, false, false)
        var mergeKey: String?
        var listType: ListType?
        var protobufPath: [Int] = []
        var alternative: Alternative?
        for flag in flags {
            let rest = String(flag.dropFirst())
            switch flag.first {
            case "!": isRequired = true
            case "m": mergeKey = rest
            case "#": protobufPath = rest.split(separator: ".").compactMap { Int($0) }
            case "z": keepsZero = true
            case "|": alternative = Alternative(rawValue: rest)
            case "k": retainsKeys = true
            case "r": isReplaced = true
            case "S": listType = .set
            case "G": isGranular = true
            case "A": listType = .atomic
            case "M": listType = .map(keys: rest.split(separator: ",").map(String.init))
            default: assertionFailure("unknown flag \(flag) of \(name)")
            }
        }
        (self.isRequired, self.retainsKeys, self.isReplaced) = (isRequired, retainsKeys, isReplaced)
        (self.isGranular, self.keepsZero) = (isGranular, keepsZero)
        mergesElements = mergeKey != nil
        self.mergeKey = mergeKey?.isEmpty == false ? mergeKey : nil
        self.listType = listType
        self.protobufPath = protobufPath
        self.alternative = alternative
    }

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
package final class SchemaType: Sendable {
    package let name: String
    package let fields: [String: SchemaField]
    /// Field names in the order of the source.
    package let order: [String]
    /// Values are owned and replaced whole by server-side apply.
    package let isAtomic: Bool
    /// Whether values are objects of their own, with metadata.
    let hasMetadata: Bool

    fileprivate init(name: String, fields: [SchemaField], isAtomic: Bool) {
        self.name = name
        self.fields = Dictionary(fields.map { ($0.name, $0) }, uniquingKeysWith: { _, last in last })
        order = fields.map(\.name)
        self.isAtomic = isAtomic
        hasMetadata = self.fields["metadata"]?.type == .type("meta.v1.ObjectMeta")
    }
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
        var current: Heading?
        var fields: [SchemaField] = []
        for line in lines {
            let words = line.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
            guard let first = words.first else { continue }
            if first.hasPrefix("@") {
                reader.close(current, fields)
                current = reader.open(words)
                fields = []
            } else if words.count >= 2, current != nil {
                fields.append(SchemaField(name: first, type: reader.type(words[1][...]), flags: words.dropFirst(2)))
            }
        }
        reader.close(current, fields)
        return reader.table
    }

    /// The line that a type begins with.
    private struct Heading {
        let name: String
        let isAtomic: Bool
    }

    /// `@meta.v1.Time =t`
    private mutating func readAlias(_ line: Substring.UTF8View) {
        let words = Substring(line).dropFirst().split(separator: " ")
        guard words.count == 2, words[1].first == "=", let code = words[1].utf8.last else { return }
        scalars[String(words[0])] = Self.scalar(code)
    }

    private mutating func open(_ words: [String]) -> Heading? {
        let name = String(words[0].dropFirst())
        if scalars[name] != nil { return nil }
        let kind = name.split(separator: ".").last ?? ""
        for word in words.dropFirst() where word.hasPrefix("+") { table.names["\(word.dropFirst())/\(kind)"] = name }
        return Heading(name: name, isAtomic: words.contains("A"))
    }

    private mutating func close(_ heading: Heading?, _ fields: [SchemaField]) {
        guard let heading else { return }
        table.types[heading.name] = SchemaType(name: heading.name, fields: fields, isAtomic: heading.isAtomic)
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
