// Reads YAML into JSON trees with the rules that kubectl reads manifests by.

import Yams

/// How much a YAML text may ask of its reader.
package enum YAMLLimits {
    /// Values in one text after aliases have been followed; keeps "billion laughs" small.
    package static let values = 2_000_000
    /// Mappings and sequences within each other.
    package static let depth = 256
}

extension JSON {
    /// Reads a text with exactly one document; an empty text is `null`.
    package init(parsingYAML text: String) throws(FormatProblem) {
        let documents = try Self.yamlDocuments(text)
        guard documents.count <= 1 else {
            throw FormatProblem("expected one YAML document, found \(documents.count)")
        }
        self = documents.first ?? .null
    }

    /// Reads every document of a text; empty documents are left out.
    package static func documents(parsingYAML text: String) throws(FormatProblem) -> [JSON] {
        try yamlDocuments(text).filter { !$0.isNull }
    }

    private static func yamlDocuments(_ text: String) throws(FormatProblem) -> [JSON] {
        var reader = YAMLTreeReader()
        var documents: [JSON] = []
        do {
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            while let node = try parser.nextRoot() { documents.append(try reader.json(node)) }
        } catch let problem as FormatProblem {
            throw problem
        } catch {
            throw FormatProblem("not YAML: \(error)")
        }
        return documents
    }
}

private struct YAMLTreeReader {
    private var valuesLeft = YAMLLimits.values
    private var depth = 0

    mutating func json(_ node: Node) throws(FormatProblem) -> JSON {
        valuesLeft -= 1
        guard valuesLeft >= 0 else { throw problem("more than \(YAMLLimits.values) values", node) }
        guard depth < YAMLLimits.depth else { throw problem("nested deeper than \(YAMLLimits.depth)", node) }
        depth += 1
        defer { depth -= 1 }
        switch node {
        case .scalar(let scalar): return try json(scalar, node)
        case .sequence(let sequence):
            var values: [JSON] = []
            values.reserveCapacity(sequence.count)
            for element in sequence { values.append(try json(element)) }
            return .array(values)
        case .mapping(let mapping): return .object(try json(mapping))
        case .alias: throw problem("an alias without an anchor", node)
        }
    }

    private mutating func json(_ mapping: Node.Mapping) throws(FormatProblem) -> JSONObject {
        var object = JSONObject()
        var merged: [JSONObject] = []
        for (key, value) in mapping {
            if case .scalar(let scalar) = key, scalar.style == .plain, scalar.string == "<<" {
                merged += try mergeSources(try json(value), value)
                continue
            }
            let name = try name(of: key)
            guard !object.contains(name) else { throw problem("the key \"\(name)\" is there twice", key) }
            object[name] = try json(value)
        }
        // Members of the mapping itself win over merged ones, earlier merged ones over later.
        for source in merged {
            for member in source where !object.contains(member.key) { object[member.key] = member.value }
        }
        return object
    }

    private func mergeSources(_ value: JSON, _ node: Node) throws(FormatProblem) -> [JSONObject] {
        switch value {
        case .object(let object): return [object]
        case .array(let values):
            let objects = values.compactMap(\.object)
            if objects.count == values.count { return objects }
        default: break
        }
        throw problem("'<<' needs a mapping or a sequence of mappings", node)
    }

    /// A key as JSON can carry it: a scalar's text as it stands, so that `on: x` is a member named `on`.
    private func name(of key: Node) throws(FormatProblem) -> String {
        guard case .scalar(let scalar) = key else { throw problem("a mapping key must be a scalar", key) }
        return scalar.string
    }

    private func json(_ scalar: Node.Scalar, _ node: Node) throws(FormatProblem) -> JSON {
        let text = scalar.string
        let tag = scalar.tag.description
        switch tag {
        case "", "!": return scalar.style == .plain && tag.isEmpty ? YAMLScalar.resolve(text) : .string(text)
        case "tag:yaml.org,2002:str", "tag:yaml.org,2002:binary", "tag:yaml.org,2002:timestamp": return .string(text)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            let value = YAMLScalar.resolve(text)
            if value.string != nil { throw problem("\"\(text)\" does not fit its tag", node) }
            return value
        default: throw problem("the tag \"\(tag)\" has no meaning in JSON", node)
        }
    }

    private func problem(_ message: String, _ node: Node) -> FormatProblem {
        FormatProblem("YAML\(node.mark.map { " at line \($0.line), column \($0.column)" } ?? ""): \(message)")
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
