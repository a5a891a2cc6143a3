// Domain names as the protocol has them: labels of bytes, compared without regard to ASCII case.

/// A domain name as it stands in a message without compression: labels, each behind its length, and a zero. Always
/// absolute.
package struct DomainName: Sendable, CustomStringConvertible {
    /// Limits of RFC 1035, section 2.3.4; the second counts length bytes and the root.
    static let labelLimitBytes = 63
    static let limitBytes = 255
    static let root = DomainName(wire: [0])

    let wire: [UInt8]

    /// The bytes must be a whole name; readers of messages and the initializers here see to that.
    init(wire: [UInt8]) { self.wire = wire }

    /// Reads dotted text, with or without a dot at the end. Nil when a label is empty or too long, or the whole is.
    package init?(_ text: some StringProtocol) {
        var wire: [UInt8] = [0]
        wire.reserveCapacity(text.utf8.count + 2)
        var lengthAt = 0
        for byte in text.utf8 {
            guard byte == UInt8(ascii: ".") else {
                wire.append(byte)
                continue
            }
            let length = wire.count - lengthAt - 1
            // The root alone may be written as a dot.
            if length == 0, wire.count == 1, text.utf8.count == 1 { break }
            guard (1...Self.labelLimitBytes).contains(length) else { return nil }
            wire[lengthAt] = UInt8(length)
            lengthAt = wire.count
            wire.append(0)
        }
        let last = wire.count - lengthAt - 1
        guard last <= Self.labelLimitBytes else { return nil }
        if last > 0 {
            wire[lengthAt] = UInt8(last)
            wire.append(0)
        }
        guard wire.count <= Self.limitBytes else { return nil }
        self.wire = wire
    }

    var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var at = 0
        while wire[at] != 0 {
            let next = at + 1 + Int(wire[at])
            labels.append(wire[(at + 1)..<next])
            at = next
        }
        return labels
    }

    var isRoot: Bool { wire.count == 1 }

    /// The name without its first label; nil for the root.
    var parent: DomainName? { isRoot ? nil : DomainName(wire: Array(wire[(1 + Int(wire[0]))...])) }

    func isWithin(_ zone: DomainName) -> Bool { Self.ends(wire[...], with: zone.wire) }

    /// Whether a whole name ends, at the border of a label, with another.
    static func ends(_ name: ArraySlice<UInt8>, with zone: [UInt8]) -> Bool {
        var at = name.startIndex
        while name.endIndex - at > zone.count, name[at] != 0 { at += 1 + Int(name[at]) }
        guard name.endIndex - at == zone.count else { return false }
        for index in zone.indices where folded(name[at + index]) != folded(zone[index]) { return false }
        return true
    }

    /// The name with these labels before it; nil when that is too long or a label cannot be one.
    func prefixed(_ labels: String...) -> DomainName? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(wire.count + 32)
        for label in labels {
            let text = label.utf8
            guard (1...Self.labelLimitBytes).contains(text.count) else { return nil }
            bytes.append(UInt8(text.count))
            bytes += text
        }
        bytes += wire
        return bytes.count <= Self.limitBytes ? DomainName(wire: bytes) : nil
    }

    /// In lower case, for keys.
    var folded: [UInt8] { wire.map(Self.folded) }

    /// Dotted, with a dot at the end; only for people and for names that this server made itself.
    package var description: String {
        isRoot ? "." : labels.map { String(decoding: $0, as: UTF8.self) + "." }.joined()
    }

    /// A length is at most 63 and so below the letters: whole names can be folded byte by byte.
    static func folded(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}

extension DomainName: Hashable {
    package static func == (left: DomainName, right: DomainName) -> Bool {
        left.wire.count == right.wire.count && zip(left.wire, right.wire).allSatisfy { folded($0) == folded($1) }
    }

    package func hash(into hasher: inout Hasher) {
        for byte in wire { hasher.combine(Self.folded(byte)) }
    }
}
