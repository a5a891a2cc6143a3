// Percent-encoded text, read leniently: what is no escape stays as it is.

package enum PercentText {
    /// More parameters than this are left unread.
    package static let parameterLimit = 256

    /// Names and values of `a=1&b=2`, decoded, in their order.
    package static func parameters(_ query: Substring) -> [(name: String, value: String)] {
        let bytes = Array(query.utf8)
        var found: [(name: String, value: String)] = []
        var start = 0
        while start < bytes.count, found.count < parameterLimit {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "&")) ?? bytes.count
            if end > start {
                let pair = bytes[start..<end]
                let equals = pair.firstIndex(of: UInt8(ascii: "="))
                found.append(
                    (
                        decoded(pair[..<(equals ?? end)], plusIsSpace: true),
                        equals.map { decoded(pair[($0 + 1)...], plusIsSpace: true) } ?? ""
                    ))
            }
            start = end + 1
        }
        return found
    }

    package static func decoded(_ text: Substring, plusIsSpace: Bool) -> String {
        if isPlain(text.utf8, plusIsSpace: plusIsSpace) { return String(text) }
        return decoded(Array(text.utf8)[...], plusIsSpace: plusIsSpace)
    }

    private static func isPlain(_ text: some Collection<UInt8>, plusIsSpace: Bool) -> Bool {
        text.allSatisfy { $0 != UInt8(ascii: "%") && !(plusIsSpace && $0 == UInt8(ascii: "+")) }
    }

    private static func decoded(_ text: ArraySlice<UInt8>, plusIsSpace: Bool) -> String {
        if isPlain(text, plusIsSpace: plusIsSpace) { return String(decoding: text, as: UTF8.self) }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var at = text.startIndex
        while at < text.endIndex {
            let byte = text[at]
            if byte == UInt8(ascii: "%"), at + 2 < text.endIndex, let high = digit(text[at + 1]),
                let low = digit(text[at + 2])
            {
                result.append(high << 4 | low)
                at += 3
            } else {
                result.append(byte == UInt8(ascii: "+") && plusIsSpace ? UInt8(ascii: " ") : byte)
                at += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
