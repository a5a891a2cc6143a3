// Reads the small part of XML that Eureka clients send, strictly and with limits.

import Formats

/// How much an XML text may ask of its reader.
struct XMLLimits: Sendable {
    /// Elements within each other.
    var depth = 16
    var elements = 10_000
    /// Attributes of one element.
    var attributes = 16
}

/// A document as a JSON tree, in the manner in which XStream carries XML over to JSON: an element is its text, or an
/// object of its attributes (`@name`), its children, and its text (`$`); children of one name are an array.
///
/// Knows elements, attributes, comments, CDATA, the five entities and character references. A document type, processing
/// instructions, any other entity, and text beside elements are refused: Eureka has no use for them.
struct XMLDocument: Sendable, Equatable {
    /// The name of the outermost element.
    var name: String
    var content: JSON

    init(parsing bytes: [UInt8], limits: XMLLimits = XMLLimits()) throws(FormatProblem) {
        var reader = XMLReader(bytes: bytes, limits: limits)
        self = try reader.document()
    }

    fileprivate init(name: String, content: JSON) {
        self.name = name
        self.content = content
    }
}

private struct XMLReader {
    let bytes: [UInt8]
    let limits: XMLLimits
    var position = 0
    var elements = 0

    init(bytes: [UInt8], limits: XMLLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func document() throws(FormatProblem) -> XMLDocument {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        if starts(with: "<?xml") { try skip(past: "?>") }
        try skipBetween()
        guard peek() == UInt8(ascii: "<") else { throw problem("an element is missing") }
        let (name, content) = try element(depth: 1)
        try skipBetween()
        guard position == bytes.count else { throw problem("something follows the outermost element") }
        return XMLDocument(name: name, content: content)
    }

    // MARK: Elements

    private mutating func element(depth: Int) throws(FormatProblem) -> (name: String, content: JSON) {
        guard depth <= limits.depth else { throw problem("more than \(limits.depth) elements within each other") }
        elements += 1
        guard elements <= limits.elements else { throw problem("more than \(limits.elements) elements") }
        position += 1
        let rawName = try name()
        var members = JSONObject()
        let isClosed = try attributes(&members)
        var text: [UInt8] = []
        if !isClosed { try children(of: rawName, depth, &members, &text) }
        return (XMLName.decoded(rawName), try content(members, text))
    }

    /// Reads up to the closing tag.
    private mutating func children(
        of name: String, _ depth: Int, _ members: inout JSONObject, _ text: inout [UInt8]
    ) throws(FormatProblem) {
        while true {
            guard let byte = peek() else { throw problem("<\(name)> is not closed") }
            if byte != UInt8(ascii: "<") {
                try characters(&text)
            } else if starts(with: "</") {
                position += 2
                guard try self.name() == name else { throw problem("<\(name)> is closed by another name") }
                skipSpace()
                return try take(">")
            } else if starts(with: "<![CDATA[") {
                position += 9
                let start = position
                try skip(past: "]]>")
                text.append(contentsOf: bytes[start..<(position - 3)])
            } else if starts(with: "<!--") {
                try comment()
            } else {
                let child = try element(depth: depth + 1)
                add(child.content, as: child.name, to: &members)
            }
        }
    }

    private func add(_ content: JSON, as name: String, to members: inout JSONObject) {
        guard let present = members[name] else {
            members[name] = content
            return
        }
        // Released while it grows, so that a thousand of a name are no thousand copies.
        members[name] = .null
        if case .array(var others) = present {
            others.append(content)
            members[name] = .array(others)
        } else {
            members[name] = .array([present, content])
        }
    }

    private func content(_ members: JSONObject, _ text: [UInt8]) throws(FormatProblem) -> JSON {
        guard let value = String(validating: text, as: UTF8.self) else { throw problem("invalid UTF-8") }
        if members.isEmpty { return .string(value) }
        let isBlank = text.allSatisfy(Self.isSpace)
        if members.contains(where: { !$0.key.hasPrefix("@") }) {
            guard isBlank else { throw problem("text beside elements") }
            return .object(members)
        }
        var members = members
        if !isBlank { members["$"] = .string(value) }
        return .object(members)
    }

    /// Reads the rest of an opening tag; returns whether it closes itself.
    private mutating func attributes(_ members: inout JSONObject) throws(FormatProblem) -> Bool {
        while true {
            let hadSpace = skipSpace()
            if starts(with: "/>") {
                position += 2
                return true
            }
            if peek() == UInt8(ascii: ">") {
                position += 1
                return false
            }
            guard hadSpace else { throw problem("a space or > is missing in a tag") }
            let key = "@" + (try name())
            guard members[key] == nil else { throw problem("an attribute occurs twice") }
            guard members.count < limits.attributes else { throw problem("more than \(limits.attributes) attributes") }
            skipSpace()
            try take("=")
            skipSpace()
            members[key] = .string(try quoted())
        }
    }

    private mutating func quoted() throws(FormatProblem) -> String {
        guard let quote = peek(), quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
            throw problem("a quoted value is missing")
        }
        position += 1
        var value: [UInt8] = []
        while let byte = peek(), byte != quote {
            switch byte {
            case UInt8(ascii: "<"): throw problem("< in an attribute")
            case UInt8(ascii: "&"): try reference(&value)
            default:
                try check(byte)
                value.append(byte)
                position += 1
            }
        }
        guard peek() == quote else { throw problem("a quoted value is not closed") }
        position += 1
        guard let text = String(validating: value, as: UTF8.self) else { throw problem("invalid UTF-8") }
        return text
    }

    // MARK: Text

    private mutating func characters(_ text: inout [UInt8]) throws(FormatProblem) {
        while let byte = peek(), byte != UInt8(ascii: "<") {
            if byte == UInt8(ascii: "&") {
                try reference(&text)
            } else {
                try check(byte)
                text.append(byte)
                position += 1
            }
        }
    }

    private static let entities: [String: UInt8] = [
        "amp": UInt8(ascii: "&"), "lt": UInt8(ascii: "<"), "gt": UInt8(ascii: ">"), "quot": UInt8(ascii: "\""),
        "apos": UInt8(ascii: "'"),
    ]
    /// The longest that is known: `#x10FFFF`.
    private static let longestReference = 8

    private mutating func reference(_ text: inout [UInt8]) throws(FormatProblem) {
        let start = position + 1
        let end = bytes[start...].prefix(Self.longestReference + 1).firstIndex(of: UInt8(ascii: ";"))
        guard let end else { throw problem("& without an entity") }
        let name = String(decoding: bytes[start..<end], as: UTF8.self)
        if let byte = Self.entities[name] {
            text.append(byte)
        } else {
            guard let scalar = Self.character(name) else { throw problem("the entity &\(name); is not known") }
            text.append(contentsOf: String(Character(scalar)).utf8)
        }
        position = end + 1
    }

    private static func character(_ name: String) -> Unicode.Scalar? {
        let number: UInt32?
        if name.hasPrefix("#x") {
            number = UInt32(name.dropFirst(2), radix: 16)
        } else if name.hasPrefix("#") {
            number = UInt32(name.dropFirst(1))
        } else {
            number = nil
        }
        guard let number, number >= 0x20 || [0x09, 0x0A, 0x0D].contains(number) else { return nil }
        return Unicode.Scalar(number)
    }

    private func check(_ byte: UInt8) throws(FormatProblem) {
        guard byte >= 0x20 || Self.isSpace(byte) else { throw problem("a control character") }
    }

    // MARK: Small parts

    private mutating func name() throws(FormatProblem) -> String {
        let start = position
        guard let first = peek(), XMLName.isStart(first) else { throw problem("a name is missing") }
        while let byte = peek(), XMLName.isPart(byte) { position += 1 }
        guard let name = String(validating: bytes[start..<position], as: UTF8.self) else {
            throw problem("invalid UTF-8")
        }
        return name
    }

    private mutating func skipBetween() throws(FormatProblem) {
        skipSpace()
        while starts(with: "<!--") {
            try comment()
            skipSpace()
        }
    }

    private mutating func comment() throws(FormatProblem) {
        position += 4
        try skip(past: "-->")
    }

    @discardableResult
    private mutating func skipSpace() -> Bool {
        let start = position
        while let byte = peek(), Self.isSpace(byte) { position += 1 }
        return position > start
    }

    private mutating func skip(past end: String) throws(FormatProblem) {
        while position < bytes.count {
            if starts(with: end) {
                position += end.utf8.count
                return
            }
            position += 1
        }
        throw problem("\(end) is missing")
    }

    private mutating func take(_ text: String) throws(FormatProblem) {
        guard starts(with: text) else { throw problem("\(text) is missing") }
        position += text.utf8.count
    }

    private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

    private func problem(_ message: String) -> FormatProblem { FormatProblem(message, offset: position) }
}
