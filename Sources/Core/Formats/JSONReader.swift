// Unsafe: one buffer pointer per read, not stored beyond the closure that lends it, each index checked against its
// count. Reads JSON (RFC 8259) from bytes into a tree, in one pass and with limits.

/// How much a JSON text may ask of its reader.
package struct JSONLimits: Sendable {
    /// Arrays and objects within each other.
    package var depth: Int
    package init(depth: Int = 256) { self.depth = depth }
}

/// A tree together with what strict validation wants to know about its text.
package struct JSONDocument: Sendable {
    package var value: JSON
    /// Paths of members that occurred more than once (the last one won), like `spec.ports[0].name`, in their order.
    package var duplicates: [String]

    package init(value: JSON, duplicates: [String] = []) {
        self.value = value
        self.duplicates = duplicates
    }
}

extension JSON {
    /// Reads one JSON value that fills the whole input, white space aside.
    ///
    /// Invalid UTF-8 in strings becomes U+FFFD, as in Go. Throws `FormatProblem` with the byte offset.
    package init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = JSONLimits()) throws(FormatProblem) {
        self = try JSONDocument(parsing: bytes, limits: limits).value
    }

    /// Reads one JSON value from text.
    package init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(FormatProblem) {
        self = try JSONDocument(parsing: Array(text.utf8), limits: limits).value
    }
}

extension JSONDocument {
    /// Duplicates that are reported; a text with more is as wrong as one with these.
    package static let duplicatesLimit = 100

    package init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = JSONLimits()) throws(FormatProblem) {
        func read(_ buffer: UnsafeBufferPointer<UInt8>) -> Result<JSONDocument, FormatProblem> {
            var reader = JSONReader(bytes: buffer, depthLeft: limits.depth)
            do throws(FormatProblem) {
                let value = try reader.document()
                return .success(JSONDocument(value: value, duplicates: reader.duplicates))
            } catch {
                return .failure(error)
            }
        }
        let result = bytes.withContiguousStorageIfAvailable(read) ?? Array(bytes).withUnsafeBufferPointer(read)
        self = try result.get()
    }
}

private struct JSONReader {
    let bytes: UnsafeBufferPointer<UInt8>
    var depthLeft: Int
    var position = 0
    var duplicates: [String] = []
    /// The way to the current value, for the names of duplicates.
    var path: [Step] = []

    enum Step {
        case member(String)
        case element(Int)
    }

    init(bytes: UnsafeBufferPointer<UInt8>, depthLeft: Int) {
        self.bytes = bytes
        self.depthLeft = depthLeft
    }

    mutating func document() throws(FormatProblem) -> JSON {
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw problem("unexpected text after the JSON value") }
        return value
    }

    func problem(_ message: String) -> FormatProblem { FormatProblem(message, offset: position) }

    @inline(__always)
    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value() throws(FormatProblem) -> JSON {
        skipSpace()
        guard position < bytes.count else { throw problem("unexpected end of JSON input") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: throw problem("invalid character in JSON")
        }
    }

    mutating func literal(_ word: StaticString, _ value: JSON) throws(FormatProblem) -> JSON {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count else { throw problem("unexpected end of JSON input") }
        for offset in 0..<length where bytes[position + offset] != word.utf8Start[offset] {
            throw problem("invalid literal in JSON")
        }
        position += length
        return value
    }

    mutating func enter() throws(FormatProblem) {
        guard depthLeft > 0 else { throw problem("JSON is nested too deeply") }
        depthLeft -= 1
        position += 1
    }

    mutating func array() throws(FormatProblem) -> JSON {
        try enter()
        defer { depthLeft += 1 }
        var elements: [JSON] = []
        skipSpace()
        if consume(UInt8(ascii: "]")) { return .array(elements) }
        path.append(.element(0))
        defer { path.removeLast() }
        while true {
            elements.append(try value())
            skipSpace()
            if consume(UInt8(ascii: ",")) {
                path[path.count - 1] = .element(elements.count)
                continue
            }
            guard consume(UInt8(ascii: "]")) else { throw problem("expected ',' or ']' in a JSON array") }
            return .array(elements)
        }
    }

    mutating func object() throws(FormatProblem) -> JSON {
        try enter()
        defer { depthLeft += 1 }
        var members: [JSONObject.Member] = []
        var seen: Set<String>?
        var repeated = false
        skipSpace()
        if consume(UInt8(ascii: "}")) { return .object(JSONObject()) }
        members.reserveCapacity(4)
        while true {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                throw problem("expected a string as the key of a JSON object")
            }
            let key = try string()
            skipSpace()
            guard consume(UInt8(ascii: ":")) else { throw problem("expected ':' after a key of a JSON object") }
            if isRepeated(key, in: members, seen: &seen) {
                repeated = true
                if duplicates.count < JSONDocument.duplicatesLimit { duplicates.append(place(of: key)) }
            }
            path.append(.member(key))
            let value = try value()
            path.removeLast()
            members.append(.init(key: key, value: value))
            skipSpace()
            if consume(UInt8(ascii: ",")) { continue }
            guard consume(UInt8(ascii: "}")) else { throw problem("expected ',' or '}' in a JSON object") }
            let object = repeated ? JSONObject(members.map { ($0.key, $0.value) }) : JSONObject(unique: members)
            return .object(object)
        }
    }

    private func place(of key: String) -> String {
        var text = ""
        for step in path + [.member(key)] {
            switch step {
            case .member(let name): text += text.isEmpty ? name : "." + name
            case .element(let index): text += "[\(index)]"
            }
        }
        return text
    }

    private func isRepeated(_ key: String, in members: [JSONObject.Member], seen: inout Set<String>?) -> Bool {
        if seen == nil, members.count >= JSONObject.indexThreshold { seen = Set(members.map(\.key)) }
        if seen != nil { return seen?.insert(key).inserted == false }
        return members.contains { $0.key == key }
    }

    @inline(__always)
    mutating func consume(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func number() throws(FormatProblem) -> JSON {
        let start = position
        let negative = consume(UInt8(ascii: "-"))
        guard position < bytes.count, isDigit(bytes[position]) else {
            throw problem("expected a digit in a JSON number")
        }
        if bytes[position] == UInt8(ascii: "0"), position + 1 < bytes.count, isDigit(bytes[position + 1]) {
            throw problem("a JSON number may not start with 0")
        }
        var magnitude: UInt64 = 0
        var fits = true
        while position < bytes.count, isDigit(bytes[position]) {
            let (scaled, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(UInt64(bytes[position] - UInt8(ascii: "0")))
            if overflow || carry { fits = false }
            magnitude = sum
            position += 1
        }
        var integral = true
        if consume(UInt8(ascii: ".")) {
            integral = false
            try digits()
        }
        if consume(UInt8(ascii: "e")) || consume(UInt8(ascii: "E")) {
            integral = false
            if !consume(UInt8(ascii: "+")) { _ = consume(UInt8(ascii: "-")) }
            try digits()
        }
        if integral, fits {
            if negative, magnitude <= UInt64(Int64.max) + 1 {
                return .integer(Int64(truncatingIfNeeded: 0 &- magnitude))
            }
            if !negative, magnitude <= UInt64(Int64.max) { return .integer(Int64(magnitude)) }
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw problem("JSON number \(text.prefix(40)) is out of range")
        }
        return .number(value)
    }

    mutating func digits() throws(FormatProblem) {
        let start = position
        while position < bytes.count, isDigit(bytes[position]) { position += 1 }
        guard position > start else { throw problem("expected a digit in a JSON number") }
    }

    @inline(__always)
    func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    mutating func string() throws(FormatProblem) -> String {
        let start = position + 1
        position = PlainText.end(in: bytes, from: start)
        guard position < bytes.count else { throw problem("unexpected end of a JSON string") }
        switch bytes[position] {
        case UInt8(ascii: "\""):
            let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
            position += 1
            return text
        case UInt8(ascii: "\\"): return try escapedString(from: start)
        default: throw problem("a JSON string may not hold control characters")
        }
    }

    private mutating func escapedString(from start: Int) throws(FormatProblem) -> String {
        var text = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &text)
            case 0..<0x20: throw problem("a JSON string may not hold control characters")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw problem("unexpected end of a JSON string")
    }

    private mutating func escape(into text: inout [UInt8]) throws(FormatProblem) {
        guard position < bytes.count else { throw problem("unexpected end of a JSON string") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: Character(try unicodeEscape()).utf8)
        default: throw problem("invalid escape in a JSON string")
        }
    }

    /// A `\u` escape, with its second half where it is a surrogate; a lone surrogate becomes U+FFFD.
    private mutating func unicodeEscape() throws(FormatProblem) -> Unicode.Scalar {
        let replacement: Unicode.Scalar = "\u{FFFD}"
        let unit = try hexUnit()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        let isHigh = unit < 0xDC00
        guard isHigh, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return replacement }
        let mark = position
        position += 2
        let low = try hexUnit()
        guard (0xDC00...0xDFFF).contains(low) else {
            position = mark
            return replacement
        }
        return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) ?? replacement
    }

    private mutating func hexUnit() throws(FormatProblem) -> UInt32 {
        guard position + 4 <= bytes.count else { throw problem("unexpected end of a \\u escape") }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw problem("invalid \\u escape in a JSON string")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }
}
