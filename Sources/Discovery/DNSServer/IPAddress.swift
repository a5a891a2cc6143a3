// Addresses of both families, as records and names have them.

import Glibc

/// An IPv4 or IPv6 address.
enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    case v4(UInt32)
    case v6(high: UInt64, low: UInt64)

    /// Reads the text of either family; nil when it is neither.
    init?(_ text: String) {
        var narrow = in_addr()
        if inet_pton(AF_INET, text, &narrow) == 1 {
            self = .v4(UInt32(bigEndian: narrow.s_addr))
            return
        }
        var wide = in6_addr()
        guard inet_pton(AF_INET6, text, &wide) == 1 else { return nil }
        self.init(bytes: withUnsafeBytes(of: wide) { Array($0) })
    }

    /// Four or sixteen bytes in the order of the network.
    init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self = .v6(
                high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
        default: return nil
        }
    }

    var bytes: [UInt8] {
        switch self {
        case .v4(let address): Self.bytes(UInt64(address) << 32).dropLast(4)
        case .v6(let high, let low): Self.bytes(high) + Self.bytes(low)
        }
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }

    /// The usual text (RFC 5952).
    var description: String {
        switch self {
        case .v4(let address): (0..<4).map { String(address >> (24 - 8 * $0) & 255) }.joined(separator: ".")
        case .v6:
            bytes.withUnsafeBytes { bytes in
                var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
                guard let start = bytes.baseAddress,
                    inet_ntop(AF_INET6, start, &text, socklen_t(text.count)) != nil
                else { return "" }
                return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            }
        }
    }

    /// The label that stands for an endpoint without a hostname, as CoreDNS has it: `10-88-0-5`, `fd00--5`.
    var dashed: String { String(description.map { $0 == "." || $0 == ":" ? "-" : $0 }) }

    /// Reads `dashed`: four numbers, or anything that is an IPv6 address once its dashes are colons.
    init?(dashed label: ArraySlice<UInt8>) {
        guard label.contains(UInt8(ascii: "-")) else { return nil }
        let text = String(decoding: label, as: UTF8.self)
        for separator: Character in [".", ":"] {
            if let address = IPAddress(String(text.map { $0 == "-" ? separator : $0 })) {
                self = address
                return
            }
        }
        return nil
    }

    /// The name under which its PTR records are: below in-addr.arpa or ip6.arpa (RFC 1035, RFC 3596).
    var reverse: DomainName? {
        switch self {
        case .v4: DomainName(bytes.reversed().map(String.init).joined(separator: ".") + ".in-addr.arpa")
        case .v6:
            DomainName(
                bytes.reversed().map { String($0 & 15, radix: 16) + "." + String($0 >> 4, radix: 16) }
                    .joined(separator: ".") + ".ip6.arpa")
        }
    }
}
