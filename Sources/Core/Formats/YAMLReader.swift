// Reads YAML into JSON trees with the rules that kubectl reads manifests by.

/// How much a YAML text may ask of its reader.
package enum YAMLLimits {
    /// Values in one text after aliases have been followed; keeps "billion laughs" small.
    package static let values = 2_000_000
    /// Mappings and sequences within each other.
    package static let depth = 256
}

/// A tree together with what strict validation wants to know about its text.
package struct YAMLDocument: Sendable {
    package var value: JSON
    /// Keys that occurred more than once (the last one won), like `line 5: key "name" already set in map`.
    package var duplicates: [String]

    /// Reads a text with exactly one document; an empty text is `null`.
    package init(parsing text: some Collection<UInt8>) throws(FormatProblem) {
        var reader = try YAMLTreeReader(text)
        let documents = try reader.documents()
        guard documents.count <= 1 else {
            throw FormatProblem("expected one YAML document, found \(documents.count)")
        }
        value = documents.first ?? .null
        duplicates = reader.duplicates
    }
}

extension JSON {
    /// Reads a text with exactly one document; an empty text is `null`. A key that is there twice is refused.
    package init(parsingYAML text: String) throws(FormatProblem) {
        let document = try YAMLDocument(parsing: text.utf8)
        if let duplicate = document.duplicates.first { throw FormatProblem("YAML: \(duplicate)") }
        self = document.value
    }

    /// Reads every document of a text; empty documents are left out.
    package static func documents(parsingYAML text: String) throws(FormatProblem) -> [JSON] {
        var reader = try YAMLTreeReader(text.utf8)
        let documents = try reader.documents()
        if let duplicate = reader.duplicates.first { throw FormatProblem("YAML: \(duplicate)") }
        return documents.filter { !$0.isNull }
    }
}

private struct YAMLTreeReader {
    private let events: YAMLEvents
    /// Anchored values of the document, and how many values each has.
    private var anchors: [String: (value: JSON, count: Int)] = [:]
    private var valuesLeft = YAMLLimits.values
    private var depth = 0
    private(set) var duplicates: [String] = []

    init(_ text: some Collection<UInt8>) throws(FormatProblem) { events = try YAMLEvents(text) }

    mutating func documents() throws(FormatProblem) -> [JSON] {
        var documents: [JSON] = []
        while true {
            switch try events.next() {
            case .streamEnd: return documents
            case .documentStart:
                anchors = [:]
                documents.append(try value(try events.next()))
            default: continue
            }
        }
    }

    private mutating func value(_ event: YAMLEvent) throws(FormatProblem) -> JSON {
        try count(1)
        let before = valuesLeft
        let value: JSON
        let name: String?
        switch event {
        case .alias(let alias):
            guard let anchored = anchors[alias] else { throw problem("the alias \"\(alias)\" has no anchor before it") }
            try count(anchored.count)
            return anchored.value
        case .scalar(let text, let tag, let isPlain, let anchor):
            value = try scalar(text, tag: tag, isPlain: isPlain)
            name = anchor
        case .sequenceStart(let anchor):
            value = try sequence()
            name = anchor
        case .mappingStart(let anchor):
            value = try mapping()
            name = anchor
        default: throw problem("a value is missing")
        }
        if let name { anchors[name] = (value, before - valuesLeft) }
        return value
    }

    private mutating func count(_ values: Int) throws(FormatProblem) {
        valuesLeft -= values
        guard valuesLeft >= 0 else { throw problem("more than \(YAMLLimits.values) values") }
    }

    private mutating func enter() throws(FormatProblem) {
        guard depth < YAMLLimits.depth else { throw problem("nested deeper than \(YAMLLimits.depth)") }
        depth += 1
    }

    private mutating func sequence() throws(FormatProblem) -> JSON {
        try enter()
        defer { depth -= 1 }
        var values: [JSON] = []
        while true {
            let event = try events.next()
            if case .sequenceEnd = event { return .array(values) }
            values.append(try value(event))
        }
    }

    private mutating func mapping() throws(FormatProblem) -> JSON {
        try enter()
        defer { depth -= 1 }
        var object = JSONObject()
        var merged: [JSONObject] = []
        while true {
            let event = try events.next()
            if case .mappingEnd = event { break }
            if case .scalar("<<", "", true, _) = event {
                merged += try mergeSources(try value(try events.next()))
                continue
            }
            let name = try name(event)
            if object.contains(name) { duplicates.append("line \(events.line): key \"\(name)\" already set in map") }
            object[name] = try value(try events.next())
        }
        // Members of the mapping itself win over merged ones, earlier merged ones over later.
        for source in merged {
            for member in source where !object.contains(member.key) { object[member.key] = member.value }
        }
        return .object(object)
    }

    private func mergeSources(_ value: JSON) throws(FormatProblem) -> [JSONObject] {
        switch value {
        case .object(let object): return [object]
        case .array(let values):
            let objects = values.compactMap(\.object)
            if objects.count == values.count { return objects }
        default: break
        }
        throw problem("'<<' needs a mapping or a sequence of mappings")
    }

    /// A key as JSON can carry it: a scalar's text as it stands, so that `on: x` is a member named `on`.
    private mutating func name(_ event: YAMLEvent) throws(FormatProblem) -> String {
        switch event {
        case .scalar(let text, _, _, let anchor):
            if let anchor { anchors[anchor] = (.string(text), 1) }
            return text
        case .alias(let alias):
            if let text = anchors[alias]?.value.string { return text }
        default: break
        }
        throw problem("a mapping key must be a scalar")
    }

    private func scalar(_ text: String, tag: String, isPlain: Bool) throws(FormatProblem) -> JSON {
        switch tag {
        case "": return isPlain ? YAMLScalar.resolve(text) : .string(text)
        case "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:binary", "tag:yaml.org,2002:timestamp":
            return .string(text)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            let value = YAMLScalar.resolve(text)
            if value.string != nil { throw problem("\"\(text)\" does not fit its tag") }
            return value
        default: throw problem("the tag \"\(tag)\" has no meaning in JSON")
        }
    }

    private func problem(_ message: String) -> FormatProblem {
        FormatProblem("yaml: line \(events.line): \(message)")
    }
}

/// What a plain scalar means: YAML 1.1 as `sigs.k8s.io/yaml` reads it, without single-letter booleans and base 60.
enum YAMLScalar {
    static func resolve(_ text: String) -> JSON {
        guard let first = text.utf8.first else { return .null }
        switch text {
        case "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": return true
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": return false
        default: break
        }
        guard (0x30...0x39).contains(first) || "+-.".utf8.contains(first) else { return .string(text) }
        let plain = text.contains("_") ? text.filter { $0 != "_" } : text
        if let integer = integer(plain) { return .integer(integer) }
        if isFloat(plain), let number = Double(plain), number.isFinite { return .number(number) }
        return .string(text)
    }

    private static func integer(_ text: String) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let digits = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        guard let first = digits.utf8.first, (0x30...0x39).contains(first) else { return nil }
        let (radix, body): (Int, Substring) =
            switch digits.prefix(2).lowercased() {
            case "0x": (16, digits.dropFirst(2))
            case "0o": (8, digits.dropFirst(2))
            case "0b": (2, digits.dropFirst(2))
            default: digits.utf8.count > 1 && first == 0x30 ? (8, digits.dropFirst()) : (10, digits)
            }
        guard let start = body.utf8.first, start != 0x2B, start != 0x2D else { return nil }
        return Int64((isNegative ? "-" : "") + body, radix: radix)
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    private static func isFloat(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        func digits() -> Int {
            let count = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        func take(_ characters: String) -> Bool {
            guard let first = rest.first, characters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("+-")
        let whole = digits()
        let fraction = take(".") ? digits() : 0
        guard whole + fraction > 0 else { return false }
        if take("eE") {
            _ = take("+-")
            guard digits() > 0 else { return false }
        }
        return rest.isEmpty
    }
}
