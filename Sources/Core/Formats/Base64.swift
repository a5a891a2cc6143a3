// Base64 with padding (RFC 4648, section 4), as Secrets and certificates carry it.

package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    /// The value of each byte in the alphabet; 255 for the others.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var group: UInt32 = 0
        var count = 0
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] { output.append(alphabet[Int(group >> UInt32(shift) & 63)]) }
                group = 0
                count = 0
            }
        }
        if count == 1 {
            output += [alphabet[Int(group >> 2)], alphabet[Int(group << 4 & 63)], padding, padding]
        } else if count == 2 {
            output += [
                alphabet[Int(group >> 10)], alphabet[Int(group >> 4 & 63)], alphabet[Int(group << 2 & 63)], padding,
            ]
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of base64 text; nil when it is not base64. Line breaks are skipped, as Go does.
    package static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var count = 0
        var padded = 0
        for byte in text.utf8 where byte != 0x0A && byte != 0x0D {
            if byte == padding {
                padded += 1
                continue
            }
            let value = values[Int(byte)]
            guard value != 255, padded == 0 else { return nil }
            group = group << 6 | UInt32(value)
            count += 1
            if count == 4 {
                output += [UInt8(group >> 16), UInt8(group >> 8 & 255), UInt8(group & 255)]
                group = 0
                count = 0
            }
        }
        switch (count, padded) {
        case (0, 0): return output
        case (2, 2): return output + [UInt8(group >> 4 & 255)]
        case (3, 1): return output + [UInt8(group >> 10 & 255), UInt8(group >> 2 & 255)]
        default: return nil
        }
    }
}
