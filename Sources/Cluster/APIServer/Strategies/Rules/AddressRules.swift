// What is an IP address or a network, as texts (upstream: apimachinery, pkg/util/validation/ip.go).

enum AddressRules {
    static let addressMessage = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    static let networkMessage = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

    static func isAddress(_ text: String) -> Bool { isVersion4(text) || isVersion6(text) }

    static func isNetwork(_ text: String) -> Bool {
        guard let slash = text.lastIndex(of: "/"), let bits = Int(text[text.index(after: slash)...]), bits >= 0 else {
            return false
        }
        let address = String(text[..<slash])
        return isVersion4(address) ? bits <= 32 : isVersion6(address) && bits <= 128
    }

    /// Four decimal numbers without leading zeros.
    static func isVersion4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
                    && (part.count == 1 || part.first != "0")
            }
    }

    /// Eight groups of hexadecimal digits, one run of zeros left out, the last two perhaps in decimal.
    static func isVersion6(_ text: String) -> Bool {
        let halves = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let gaps = text.ranges(of: "::").count
        if gaps > 1 || text.contains(":::") || halves.count < 3 { return false }
        var groups = halves.filter { !$0.isEmpty }
        var count = 0
        if let last = groups.last, last.contains(".") {
            guard isVersion4(last), !text.hasSuffix(":") else { return false }
            groups.removeLast()
            count = 2
        }
        guard groups.allSatisfy({ $0.count <= 4 && UInt16($0, radix: 16) != nil && $0.first != "+" }) else {
            return false
        }
        count += groups.count
        if gaps == 0 { return count == 8 && !text.hasPrefix(":") && !text.hasSuffix(":") }
        if text.hasPrefix(":"), !text.hasPrefix("::") { return false }
        if text.hasSuffix(":"), !text.hasSuffix("::") { return false }
        return count <= 7
    }

    /// The first bytes of version 4 addresses that no Service or endpoint may have, and why (upstream:
    /// ValidateNonSpecialIP).
    static func specialFault(_ text: String) -> String? {
        if text == "0.0.0.0" || text == "::" { return "may not be unspecified (\(text))" }
        if text.hasPrefix("127.") || text == "::1" { return "may not be in the loopback range (127.0.0.0/8, ::1/128)" }
        if text.hasPrefix("169.254.") || text.lowercased().hasPrefix("fe80:") {
            return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        }
        if text.hasPrefix("224.0.0.") || text.lowercased().hasPrefix("ff02:") {
            return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        }
        return nil
    }
}
