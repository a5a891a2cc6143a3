// IPv4 addresses and ranges of them as values: what the pod network counts with.

/// An IPv4 address.
package struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// In host order: `10.88.0.1` is 0x0A58_0001.
    package var value: UInt32

    package init(_ value: UInt32) { self.value = value }

    /// Reads four decimal numbers with dots between them and nothing else; leading zeros are refused, as in
    /// `net.ParseIP`.
    package init?(_ text: some StringProtocol) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
            var number: UInt32 = 0
            for digit in part {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
                number = number * 10 + UInt32(digit - UInt8(ascii: "0"))
            }
            guard number < 256 else { return nil }
            value = value << 8 | number
        }
        self.value = value
    }

    package var description: String { "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)" }

    package static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.value < right.value }
}

/// The addresses that share a prefix.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    package let base: IPv4Address
    package let prefixLength: Int

    /// Reads `10.88.0.0/16`. Bits below the prefix must be zero.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let base = IPv4Address(parts[0]), let length = Int(parts[1]), (1...32).contains(length),
            base.value & ~Self.mask(length) == 0
        else { return nil }
        self.base = base
        prefixLength = length
    }

    /// The same, but of any address in the range: `10.88.3.7/16`.
    init?(masking text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parts[0]), let length = Int(parts[1]),
            (1...32).contains(length)
        else { return nil }
        base = IPv4Address(address.value & Self.mask(length))
        prefixLength = length
    }

    package var last: IPv4Address { IPv4Address(base.value | ~Self.mask(prefixLength)) }

    package func contains(_ address: IPv4Address) -> Bool { address.value & Self.mask(prefixLength) == base.value }

    package var description: String { "\(base)/\(prefixLength)" }

    private static func mask(_ length: Int) -> UInt32 { ~UInt32(0) << UInt32(32 - length) }
}
