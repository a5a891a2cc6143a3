// Answers that are about the server itself: version, health, discovery and OpenAPI.

import Access
import Formats
import HTTPTypes
import Objects

/// What `GET /version` says.
enum ServerVersion {
    static let git = KubernetesVersion.git

    static let tree: JSON = [
        "major": .string(KubernetesVersion.major), "minor": .string(KubernetesVersion.minor),
        "emulationMajor": .string(KubernetesVersion.major),
        "emulationMinor": .string(KubernetesVersion.minor),
        "minCompatibilityMajor": .string(KubernetesVersion.major), "minCompatibilityMinor": "35",
        "gitVersion": .string(git),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none (Swift)",
        "compiler": "swift", "platform": .string("linux/" + architecture),
    ]

    private static var architecture: String {
        #if arch(arm64)
        "arm64"
        #else
        "amd64"
        #endif
    }
}

extension KubernetesAPI {
    /// Answers a path that names no resource.
    func document(_ route: Route, request: HTTPRequest, query: Query) async throws -> APIAnswer {
        guard request.method == .get || request.method == .head else {
            throw Problem(.methodNotAllowed, "the server does not allow this method on the requested resource")
        }
        let presentation = { () throws(Problem) in
            try Negotiation.presentation(accept: request.headerFields[.accept], query: query)
        }
        switch route {
        case .root:
            let paths = [
                "/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version",
            ]
            return .rendered(["paths": .array(paths.map { .string($0) })], try presentation())
        case .version: return .rendered(ServerVersion.tree, Presentation(isPretty: true))
        case .health(let endpoint, let check): return await health(endpoint, only: check, query)
        case .metrics: return try metrics()
        case .coreVersions:
            if let answer = aggregated(core: true, request) { return answer }
            return .rendered(discovery.coreVersions(serverAddress: request.authority ?? ""), try presentation())
        case .groups:
            if let answer = aggregated(core: false, request) { return answer }
            return .rendered(discovery.groupList(), try presentation())
        case .group(let name):
            guard let tree = discovery.group(name) else { return .missingPath }
            return .rendered(tree, try presentation())
        case .groupVersion(let group, let version):
            guard let tree = discovery.resourceList(group: group, version: version) else { return .missingPath }
            return .rendered(tree, try presentation())
        case .openAPIv2:
            for range in MediaRange.wanted(request.headerFields[.accept]) {
                if range.isJSON { break }
                guard OpenAPIProtobuf.mediaTypes.contains(range.type) else { continue }
                return tagged(openAPI.version2Protobuf(), request)
            }
            try requireJSON(request)
            return tagged(openAPI.version2(), request)
        case .openAPIv3Index:
            try requireJSON(request)
            return tagged(openAPI.index(), request)
        case .openAPIv3(let path):
            try requireJSON(request)
            guard let document = openAPI.version3(path) else { return .missingPath }
            if let hash = query["hash"], hash != document.hash {
                var answer = APIAnswer.bytes([], code: 301)
                answer.response.headerFields[.location] = "/openapi/v3/\(path)?hash=\(document.hash)"
                return answer
            }
            var answer = tagged(document, request)
            if query["hash"] != nil { answer.response.headerFields[.cacheControl] = "public, immutable" }
            return answer
        case .issuerConfiguration: return issuerDocument("application/json") { $0.configurationDocument }
        case .issuerKeys: return issuerDocument("application/jwk-set+json") { $0.keysDocument }
        case .snapshot: return try snapshot()
        case .resource, .unknown: return .missingPath
        }
    }

    private func aggregated(core: Bool, _ request: HTTPRequest) -> APIAnswer? {
        guard Discovery.wantsAggregated(accept: request.headerFields[.accept]) else { return nil }
        let bytes = discovery.aggregated(core: core).bytes
        var answer = tagged(.init(bytes: bytes, entityTag: Discovery.entityTag(bytes)), request)
        answer.response.headerFields[.contentType] = Discovery.aggregatedType
        answer.response.headerFields[.cacheControl] = "public"
        return answer
    }

    /// What checks this server's tokens elsewhere; upstream lets it be kept for an hour.
    private func issuerDocument(_ type: String, _ document: (ServiceAccountTokens) -> JSON) -> APIAnswer {
        guard let tokens = access.tokens else { return .missingPath }
        var answer = APIAnswer.bytes(document(tokens).bytes, contentType: type)
        answer.response.headerFields[.cacheControl] = "public, max-age=3600"
        return answer
    }

    /// OpenAPI version 3 is served as JSON only, version 2 also as protobuf; who takes neither is told so.
    private func requireJSON(_ request: HTTPRequest) throws(Problem) {
        let ranges = MediaRange.list(request.headerFields[.accept])
        if ranges.isEmpty || ranges.contains(where: \.isJSON) { return }
        throw Problem(.notAcceptable, "only the following media types are accepted: application/json")
    }

    /// A document with its entity tag, or 304 when the client has it.
    private func tagged(_ document: OpenAPIDocuments.Document, _ request: HTTPRequest) -> APIAnswer {
        let isKnown = (request.headerFields[.ifNoneMatch] ?? "").contains(document.entityTag)
        var answer = APIAnswer.bytes(
            isKnown ? [] : document.bytes, code: isKnown ? 304 : 200, contentType: document.contentType)
        answer.response.headerFields[.eTag] = document.entityTag
        answer.response.headerFields[.vary] = "Accept"
        return answer
    }
}

extension APIAnswer {
    /// What Kubernetes says to a path that leads nowhere; not a Status.
    static var missingPath: APIAnswer { .text("404 page not found\n", code: 404) }
}
