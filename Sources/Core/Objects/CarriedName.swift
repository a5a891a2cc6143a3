// Names that Kubernetes can carry, for things whose own names it cannot.

/// What is left of a name in a form that DNS allows, and a hash: the same words always give the same.
package enum CarriedName {
    /// Small letters and digits, with a hyphen for each run of anything else; none at either end.
    package static func plain(_ text: String, longest: Int) -> String {
        var plain = ""
        for byte in text.lowercased().utf8 {
            let isKept = (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
            if isKept {
                plain.unicodeScalars.append(Unicode.Scalar(byte))
            } else if !plain.isEmpty, !plain.hasSuffix("-") {
                plain += "-"
            }
        }
        plain = String(plain.prefix(longest))
        while plain.hasSuffix("-") { plain.removeLast() }
        return plain
    }

    /// The last hexadecimal digits of `hash`.
    package static func digits(_ text: String, _ count: Int) -> String {
        let digits = String(hash(text), radix: 16)
        return String((String(repeating: "0", count: 16 - digits.count) + digits).suffix(count))
    }

    /// FNV-1a.
    package static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
