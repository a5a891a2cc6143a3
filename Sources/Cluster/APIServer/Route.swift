// Where a request's path leads.

/// The endpoints of a Kubernetes API server; pure reading of a path, nothing is looked up.
enum Route: Sendable, Hashable {
    case root
    case version
    /// `livez`, `readyz` or `healthz`.
    case health(String, check: String?)
    case metrics
    /// `/api`
    case coreVersions
    /// `/apis`
    case groups
    /// `/apis/<group>`
    case group(String)
    /// `/api/v1`, `/apis/<group>/<version>`
    case groupVersion(group: String, version: String)
    case openAPIv2
    case openAPIv3Index
    /// The document of one group and version, like `apis/apps/v1`.
    case openAPIv3(String)
    /// `/.well-known/openid-configuration`
    case issuerConfiguration
    /// `/openid/v1/jwks`
    case issuerKeys
    case resource(ResourcePath)
    /// `/mangrove.dev/snapshot`
    case snapshot
    case unknown

    init(path: Substring) {
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).map {
            Query.decode(Substring($0), plusIsSpace: false)
        }
        switch parts.first {
        case nil: self = .root
        case "version" where parts.count == 1: self = .version
        case "livez", "readyz", "healthz":
            self = parts.count > 2 ? .unknown : .health(parts[0], check: parts.count == 2 ? parts[1] : nil)
        case "metrics" where parts.count == 1: self = .metrics
        case ".well-known" where parts == [".well-known", "openid-configuration"]: self = .issuerConfiguration
        case "openid" where parts == ["openid", "v1", "jwks"]: self = .issuerKeys
        case "mangrove.dev" where parts.dropFirst() == ["snapshot"]: self = .snapshot
        case "openapi": self = Route.openAPI(Array(parts.dropFirst()))
        case "api":
            self = Route.api(Array(parts.dropFirst()))
            if case .resource(var resource) = self, let count = resource.proxyDepth {
                // `api` itself and what led to `proxy`; another server's path is not decoded here.
                resource.proxyRest = Route.rest(of: path, after: count + 2)
                self = .resource(resource)
            }
        case "apis": self = Route.apis(Array(parts.dropFirst()))
        default: self = .unknown
        }
    }

    private static func openAPI(_ parts: [String]) -> Route {
        switch (parts.first, parts.count) {
        case ("v2", 1): .openAPIv2
        case ("v3", 1): .openAPIv3Index
        case ("v3", _): .openAPIv3(parts.dropFirst().joined(separator: "/"))
        default: .unknown
        }
    }

    private static func api(_ parts: [String]) -> Route {
        guard let version = parts.first else { return .coreVersions }
        if parts.count == 1 { return .groupVersion(group: "", version: version) }
        return resource(group: "", version: version, Array(parts.dropFirst()))
    }

    private static func apis(_ parts: [String]) -> Route {
        switch parts.count {
        case 0: .groups
        case 1: .group(parts[0])
        case 2: .groupVersion(group: parts[0], version: parts[1])
        default: resource(group: parts[0], version: parts[1], Array(parts.dropFirst(2)))
        }
    }

    private static func resource(group: String, version: String, _ parts: [String]) -> Route {
        var path = ResourcePath(group: group, version: version)
        var rest = parts[...]
        // `namespaces/x/pods` is within a namespace; `namespaces`, `namespaces/x` and its two subresources are not.
        if rest.first == "namespaces", rest.count >= 3, !(rest.count == 3 && ["status", "finalize"].contains(rest[2])) {
            path.namespace = rest[1]
            rest = rest.dropFirst(2)
        }
        path.plural = rest.popFirst() ?? ""
        path.name = rest.popFirst()
        path.subresource = rest.popFirst()
        if path.subresource == "proxy", group.isEmpty {
            path.proxyDepth = parts.count - rest.count
            return .resource(path)
        }
        return rest.isEmpty ? .resource(path) : .unknown
    }

    /// What follows so many segments, with its leading slash.
    private static func rest(of path: Substring, after count: Int) -> String {
        var rest = path
        for _ in 0..<count { rest = rest.drop { $0 == "/" }.drop { $0 != "/" } }
        return String(rest)
    }
}

/// The parts of a path to a resource, an object or a subresource.
struct ResourcePath: Sendable, Hashable {
    var group: String
    var version: String
    /// Nil across all namespaces and for what has none.
    var namespace: String?
    var plural = ""
    var name: String?
    var subresource: String?
    /// Of a path through `proxy`: how many segments lead to it after the version, and what follows.
    fileprivate var proxyDepth: Int?
    var proxyRest: String?

    init(group: String, version: String) {
        self.group = group
        self.version = version
    }
}
