// Domain names as the protocol has them: labels of bytes, compared without regard to ASCII case.

/// A domain name. Always absolute; the root has no labels.
package struct DomainName: Sendable, CustomStringConvertible {
    /// Limits of RFC 1035, section 2.3.4; the second counts length bytes and the root.
    static let labelLimitBytes = 63
    static let limitBytes = 255

    let labels: [[UInt8]]

    init(labels: some Sequence<[UInt8]>) { self.labels = Array(labels) }

    /// Reads dotted text, with or without a dot at the end. Nil when a label is empty or too long.
    package init?(_ text: some StringProtocol) {
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        if bytes.isEmpty {
            self.init(labels: [])
            return
        }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { Array($0) }
        guard labels.allSatisfy({ (1...Self.labelLimitBytes).contains($0.count) }) else { return nil }
        self.init(labels: labels)
        guard lengthBytes <= Self.limitBytes else { return nil }
    }

    /// How many bytes it takes on the wire without compression.
    var lengthBytes: Int { labels.reduce(1) { $0 + 1 + $1.count } }

    /// The name without its first label; nil for the root.
    var parent: DomainName? { labels.isEmpty ? nil : DomainName(labels: labels.dropFirst()) }

    func isWithin(_ zone: DomainName) -> Bool {
        labels.count >= zone.labels.count && DomainName(labels: labels.suffix(zone.labels.count)) == zone
    }

    /// The name with these labels before it; nil when that is too long or a label cannot be one.
    func prefixed(_ texts: String...) -> DomainName? { DomainName((texts + [description]).joined(separator: ".")) }

    /// Dotted, with a dot at the end; only for people and for names that this server made itself.
    package var description: String { labels.map { String(decoding: $0, as: UTF8.self) + "." }.joined() }

    static func folded(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}

extension DomainName: Hashable {
    package static func == (left: DomainName, right: DomainName) -> Bool {
        left.labels.count == right.labels.count
            && zip(left.labels, right.labels).allSatisfy { left, right in
                left.count == right.count && zip(left, right).allSatisfy { folded($0) == folded($1) }
            }
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(labels.count)
        for label in labels {
            hasher.combine(label.count)
            for byte in label { hasher.combine(Self.folded(byte)) }
        }
    }
}
