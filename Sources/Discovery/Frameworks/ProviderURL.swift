// The URL by which a Dubbo or SOFA provider says where and how it answers.

/// `dubbo://10.0.0.1:20880/com.acme.Orders?application=shop&version=1.0.0`: what both frameworks put into ZooKeeper, as
/// the name of a znode, escaped once as a whole (`org.apache.dubbo.common.URL#toFullString`, SOFA's `RegistryUtils`).
///
/// Values are not escaped within the URL, so what follows the first `=` of a pair is the value as it stands. An IPv6
/// host is kept without its brackets.
package struct ProviderURL: Hashable, Sendable {
    /// The framework's protocol: `dubbo`, `tri`, `rest`, `bolt`.
    package var scheme: String
    package var host: String
    /// 0 when the URL has none.
    package var port: Int
    /// Without its leading slash.
    package var path: String
    package var parameters: [String: String]

    package init(scheme: String, host: String, port: Int, path: String = "", parameters: [String: String] = [:]) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.parameters = parameters
    }

    /// Reads a URL. Nil without a scheme or a host, or with a port that is none.
    package init?(_ text: String) {
        guard let mark = text.firstRange(of: "://"), mark.lowerBound > text.startIndex else { return nil }
        var rest = text[mark.upperBound...]
        var parameters: [String: String] = [:]
        if let question = rest.firstIndex(of: "?") {
            for pair in rest[rest.index(after: question)...].split(separator: "&") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard let key = parts.first, !key.isEmpty else { continue }
                parameters[String(key)] = parts.count > 1 ? String(parts[1]) : ""
            }
            rest = rest[..<question]
        }
        var path = Substring()
        if let slash = rest.firstIndex(of: "/") {
            path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        guard let (host, port) = Self.place(rest) else { return nil }
        self.init(
            scheme: String(text[..<mark.lowerBound]), host: host, port: port, path: String(path),
            parameters: parameters)
    }

    /// Reads a znode's name, in which the whole URL is escaped. One that was not escaped is read too.
    package init?(nodeName: String) {
        guard let text = nodeName.contains("://") ? nodeName : FormEncoding.decode(nodeName) else { return nil }
        self.init(text)
    }

    /// The host and port of `host:port`, `[v6]:port` or `v6:port`.
    private static func place(_ text: Substring) -> (host: String, port: Int)? {
        var host = text
        var port = 0
        if let colon = text.lastIndex(of: ":"), text.last != "]" {
            guard let number = Int(text[text.index(after: colon)...]), (0...65_535).contains(number) else { return nil }
            host = text[..<colon]
            port = number
        }
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : (String(host), port)
    }

    /// The URL, its parameters in the order of their keys, as Dubbo writes it.
    package var text: String {
        var text = scheme + "://" + (host.contains(":") ? "[\(host)]" : host)
        if port > 0 { text += ":\(port)" }
        if !path.isEmpty { text += "/" + path }
        var separator = "?"
        for key in parameters.keys.sorted() {
            text += separator + key + "=" + (parameters[key] ?? "")
            separator = "&"
        }
        return text
    }

    /// The URL as a znode's name.
    package var nodeName: String { FormEncoding.encode(text) }
}

/// How the weight of a catalogue instance, 1 by default, and the `weight` of a provider URL, 100 by default, go
/// together.
package enum ProviderWeight {
    package static let standard = 100

    /// The instance's weight that a provider's parameter means.
    package static func weight(parameter: String?) -> Double {
        guard let number = parameter.flatMap(Double.init), number >= 0, number.isFinite else { return 1 }
        return number / Double(standard)
    }

    /// The parameter to show: the provider's own word, unless the instance's weight was set to something else than what
    /// that word means; then it is scaled.
    package static func parameter(weight: Double, own: String?) -> Int {
        let declared = Self.weight(parameter: own)
        let effective = weight == 1 || weight == declared ? declared : weight * declared
        return Int((min(max(effective, 0), 1_000_000) * Double(standard)).rounded())
    }
}
