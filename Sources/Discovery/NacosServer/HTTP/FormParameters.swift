// Parameters of a query string or a form body.

/// Names and values of `a=1&b=2`, percent-decoded; the first of several values counts.
struct FormParameters: Sendable, Hashable {
    /// More parameters than this are left unread.
    static let limit = 256

    private var values: [String: String] = [:]

    init(_ texts: String...) {
        for text in texts {
            for pair in text.utf8.split(separator: UInt8(ascii: "&"), maxSplits: Self.limit) {
                let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                let name = parts.first.map { Self.decoded($0) } ?? ""
                guard !name.isEmpty, values[name] == nil else { continue }
                values[name] = parts.count > 1 ? Self.decoded(parts[1]) : ""
            }
        }
    }

    subscript(_ name: String) -> String? { values[name] }

    /// `true`, `True`, `1`, `false`, …; nil when absent or anything else.
    func flag(_ name: String) -> Bool? {
        switch values[name]?.lowercased() {
        case "true", "1", "yes": true
        case "false", "0", "no": false
        default: nil
        }
    }

    func number(_ name: String) -> Int? { values[name].flatMap { Int($0) } }

    private static func decoded(_ bytes: Substring.UTF8View) -> String {
        var result: [UInt8] = []
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+") {
                result.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(hex),
                let low = rest.dropFirst().first.flatMap(hex)
            {
                result.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
