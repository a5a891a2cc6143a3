// What a request says of itself and of its caller, and what it asks for.

import HTTPServing

extension HTTPRequest {
    /// Characters of what a caller says of itself that tell it apart.
    private static let longestIdentity = 200

    /// Netflix looks for the word anywhere in the header; without it the answer is XML.
    var form: AnswerForm {
        AnswerForm(
            isJSON: field("Accept")?.contains("json") ?? false, isCompact: field("X-Eureka-Accept") == "compact")
    }

    var acceptsGzip: Bool { field("Accept-Encoding")?.contains("gzip") ?? false }

    /// Whether a peer sent it.
    var isReplication: Bool { field("x-netflix-discovery-replication") == "true" }

    /// What the caller says of itself (`DiscoveryIdentity-Id` and the like, and its program).
    var identity: String {
        let words = ["DiscoveryIdentity-Name", "DiscoveryIdentity-Id", "User-Agent"].map { field($0) ?? "" }
        return String(words.joined(separator: "/").prefix(Self.longestIdentity))
    }

    /// Whether it is a client that will come again, as those say that send `DiscoveryIdentity-Name`.
    var isClient: Bool { field("DiscoveryIdentity-Name") != nil }
}

struct EurekaAnswer: Sendable, Equatable {
    var status = 200
    var contentType: String?
    var body: [UInt8] = []
    var isGzip = false

    static func text(_ text: String, status: Int) -> EurekaAnswer {
        EurekaAnswer(status: status, contentType: "text/plain;charset=UTF-8", body: Array(text.utf8))
    }

    static func empty(_ status: Int) -> EurekaAnswer { EurekaAnswer(status: status) }
}

/// What a path means, below `/eureka` or `/eureka/v2`, with or without `/namespaces/NAME`, a slash at the end, or
/// several.
enum EurekaRoute: Hashable, Sendable {
    case apps
    case delta
    case app(String)
    case instance(app: String, id: String)
    case status(app: String, id: String)
    case metadata(app: String, id: String)
    case anyInstance(id: String)
    case vip(String)
    case secureVip(String)
    case replication
    case metrics

    /// Nil for what Eureka does not have. The namespace is the default one unless the path names one.
    static func parse(_ path: Substring, defaultNamespace: String) -> (namespace: String, route: EurekaRoute)? {
        var parts = path.utf8.split(separator: UInt8(ascii: "/")).map {
            PercentText.decoded(Substring($0), plusIsSpace: false)
        }[...]
        if parts.first == "metrics", parts.count == 1 { return (defaultNamespace, .metrics) }
        guard parts.popFirst() == "eureka" else { return nil }
        if parts.first == "v2" || parts.first == "v1" { parts.removeFirst() }
        var namespace = defaultNamespace
        if parts.first == "namespaces", parts.count > 1 {
            parts.removeFirst()
            namespace = parts.removeFirst()
        }
        return route(Array(parts)).map { (namespace, $0) }
    }

    private static func route(_ parts: [String]) -> EurekaRoute? {
        switch (parts.first, parts.count) {
        case ("apps", 1): .apps
        case ("apps", 2): parts[1] == "delta" ? .delta : .app(parts[1].uppercased())
        case ("apps", 3): .instance(app: parts[1].uppercased(), id: parts[2])
        case ("apps", 4) where parts[3] == "status": .status(app: parts[1].uppercased(), id: parts[2])
        case ("apps", 4) where parts[3] == "metadata": .metadata(app: parts[1].uppercased(), id: parts[2])
        case ("instances", 2): .anyInstance(id: parts[1])
        case ("vips", 2): .vip(parts[1])
        case ("svips", 2): .secureVip(parts[1])
        case ("peerreplication", 2) where parts[1] == "batch": .replication
        default: nil
        }
    }
}
