// Names of ConfigMaps for things whose own names DNS cannot carry.

package enum ConfigMapName {
    /// What is left of the readable part is cut to this.
    static let longestRest = 180

    /// `<prefix>-<what is left of the rest>-<hash of the whole>`: the same words always give the same name.
    package static func make(prefix: String, rest: String, whole: String) -> String {
        var text = ""
        for byte in rest.lowercased().utf8 {
            let isPlain = (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
            if isPlain {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else if !text.isEmpty, !text.hasSuffix("-") {
                text += "-"
            }
        }
        text = String(text.prefix(longestRest))
        while text.hasSuffix("-") { text.removeLast() }
        let digits = String(hash(whole), radix: 16)
        let padded = String(repeating: "0", count: 16 - digits.count) + digits
        return prefix + (text.isEmpty ? "" : "-" + text) + "-" + padded.suffix(12)
    }

    /// FNV-1a.
    static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
