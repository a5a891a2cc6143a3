// The query parameters of a request, percent-decoded.

import Objects

/// Query parameters; of a name that occurs more than once the first value counts, as in Kubernetes.
struct Query: Sendable, Hashable {
    private var values: [String: [String]] = [:]

    /// Reads what stands after the `?`.
    init(parsing text: Substring) {
        for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
            let mark = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let value = Query.decode(Substring(pair[mark...].dropFirst()), plusIsSpace: true)
            values[Query.decode(Substring(pair[..<mark]), plusIsSpace: true), default: []].append(value)
        }
    }

    init() {}

    subscript(_ name: String) -> String? { values[name]?.first }

    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// A parameter without a value counts as true, as upstream reads it.
    func flag(_ name: String) -> Bool {
        guard let value = self[name] else { return false }
        return !(value == "0" || value.lowercased() == "false")
    }

    /// Nil when absent or empty; a text that is no integer is a bad request.
    func integer(_ name: String) throws(Problem) -> Int? {
        guard let text = self[name], !text.isEmpty else { return nil }
        guard let value = Int(text) else {
            throw .badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax (parameter \(name))")
        }
        return value
    }

    /// Decodes `%XX`; an incomplete escape stays as it is.
    static func decode(_ text: Substring, plusIsSpace: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
            return String(text)
        }
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "%"), position + 2 < bytes.count,
                let high = hexValue(bytes[position + 1]), let low = hexValue(bytes[position + 2])
            {
                output.append(high << 4 | low)
                position += 3
                continue
            }
            output.append(byte == UInt8(ascii: "+") && plusIsSpace ? UInt8(ascii: " ") : byte)
            position += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
