// What /etc/resolv.conf says about upstream servers (resolv.conf(5)).

/// The name servers of a resolver configuration.
struct ResolverConfiguration: Hashable, Sendable {
    static let limitBytes = 64 * 1024
    /// As many as the C library uses (MAXNS).
    static let serverLimit = 3
    /// Servers that are read at most: our own may be among them.
    static let lineLimit = 16

    var servers: [String] = []

    init(text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            if words.count > 1, words[0] == "nameserver", servers.count < Self.lineLimit {
                servers.append(String(words[1]))
            }
        }
    }

    /// `10.0.0.1`, `10.0.0.1:5353`, `fd00::1`, `[fd00::1]:5353`.
    static func hostAndPort(_ text: String) -> (host: String, port: Int) {
        if text.first == "[", let end = text.firstIndex(of: "]") {
            let host = String(text[text.index(after: text.startIndex)..<end])
            return (host, Int(text[end...].dropFirst(2)) ?? 53)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 2, let port = Int(parts[1]) { return (String(parts[0]), port) }
        return (text, 53)
    }
}
