// What each request of either protocol wants to do, and to what.

import Formats

enum AccessRules {
    /// Paths that answer everybody: they say that there is a server, or are how one becomes a user.
    private static let open: Set<String> = [
        "/nacos/v1/auth/login", "/nacos/v1/auth/users/login", "/nacos/v3/auth/user/login", "/nacos/v1/auth/users/admin",
        "/nacos/v3/auth/user/admin", "/nacos/v1/console/server/state", "/nacos/v3/console/server/state",
        "/nacos/v3/admin/core/state", "/nacos/serverlist", "/actuator/health", "/nacos/actuator/health",
        "/nacos/v1/ns/operator/metrics",
    ]

    /// Nil for what answers everybody.
    static func wanted(_ request: OpenAPIRequest) -> (AccessAction, AccessScope)? {
        let path = request.path
        if open.contains(path) || path.hasSuffix("/liveness") || path.hasSuffix("/readiness") { return nil }
        // A long poll is sent with POST because of its size.
        let isRead = request.method == "GET" || path == "/nacos/v1/cs/configs/listener"
        let action: AccessAction = isRead ? .read : .write
        let part = path.split(separator: "/").map(String.init)
        if part.contains("auth") { return (action, .administration) }
        if part.contains("ns") || part.contains("cs") {
            if part.contains("operator") || part.contains("ops")
                || part.contains("client") && !path.hasPrefix("/nacos/v3/client/")
            {
                return (action, isRead ? .anyUser : .administration)
            }
            // Ids name items of any namespace, and so do the listeners at an address.
            if request.parameters["ids"] != nil || path.hasSuffix("/cs/listener") { return (action, .administration) }
            return (action, .namespace(NacosNames.catalogueNamespace(request.namespace)))
        }
        return (action, isRead ? .anyUser : .administration)
    }

    static func token(of request: OpenAPIRequest) -> String? {
        if let token = request.parameter("accessToken") ?? request.header("accessToken") { return token }
        let bearer = "Bearer "
        return request.header("Authorization").flatMap {
            $0.hasPrefix(bearer) ? String($0.dropFirst(bearer.count)) : nil
        }
    }

    private static let readRequests: Set<String> = [
        "SubscribeServiceRequest", "ServiceQueryRequest", "ServiceListRequest", "ConfigQueryRequest",
        "ConfigBatchListenRequest", "NamingFuzzyWatchRequest", "ConfigFuzzyWatchRequest",
    ]

    /// What a gRPC request wants; several scopes for a batch, none for what answers everybody.
    static func wanted(_ type: String, _ body: JSON) -> (AccessAction, [AccessScope]) {
        let action: AccessAction = readRequests.contains(type) ? .read : .write
        func scope(_ namespace: String?) -> AccessScope { .namespace(NacosNames.catalogueNamespace(namespace)) }
        switch type {
        case "HealthCheckRequest": return (.read, [])
        case "ConfigBatchListenRequest":
            let contexts = body["configListenContexts"]?.array ?? []
            return (action, Array(Set(contexts.map { scope($0["tenant"]?.string) })))
        case "NamingFuzzyWatchRequest", "ConfigFuzzyWatchRequest":
            let pattern = try? FuzzyPattern(parsing: body["groupKeyPattern"]?.string ?? "")
            return (action, [pattern.map { .namespace($0.namespace) } ?? .administration])
        default: return (action, [scope(body["tenant"]?.string ?? body["namespace"]?.string)])
        }
    }
}

extension Accounts {
    func check(_ request: OpenAPIRequest) throws(NacosProblem) {
        guard let (action, scope) = AccessRules.wanted(request) else { return }
        try check(AccessRules.token(of: request), action, scope)
    }

    func check(_ payload: Payload, _ body: JSON) throws(NacosProblem) {
        let (action, scopes) = AccessRules.wanted(payload.type, body)
        for scope in scopes { try check(payload.headers["accessToken"], action, scope) }
    }
}
