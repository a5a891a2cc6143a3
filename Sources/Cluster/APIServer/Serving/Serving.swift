// A request's way from the door: its form, its place among those under way, its answer, its size, its measure.

import Access
import Formats
import HTTPTypes
import Objects
import Synchronization

extension KubernetesAPI {
    /// Answers one request of an authenticated caller. A streamed body is read by the caller until its end or until it
    /// cancels.
    package func handle(_ request: HTTPRequest, body: [UInt8], identity: Identity) async -> APIAnswer {
        if let problem = RequestRules.problem(with: request, limits) {
            return .problem(problem, accept: request.headerFields.text(.accept))
        }
        let target = RequestTarget(request)
        let summary = RequestSummary(request, target, served: served)
        let began = environment.now()
        // As upstream: a system:masters caller always gets an answer, and what runs long is not counted.
        let isCounted = !summary.isLongRunning && !identity.groups.contains(Identity.mastersGroup)
        if isCounted, !traffic.withLock({ $0.arrived(isMutating: summary.isMutating, limits) }) {
            var problem = Problem(.tooManyRequests, "Too many requests, please try again later.")
            problem.retryAfterSeconds = 1
            traffic.withLock { $0.answered(summary, code: 429, seconds: nil) }
            return .problem(problem, accept: request.headerFields.text(.accept))
        }
        var answer = await respond(to: request, target, body: body, identity: identity)
        if isCounted { traffic.withLock { $0.left(isMutating: summary.isMutating) } }
        let code = answer.response.status.code
        if case .stream(let chunks) = answer.body {
            traffic.withLock {
                $0.answered(summary, code: code, seconds: nil)
                $0.streamBegan(summary)
            }
            answer.body = .stream(CountedChunks(chunks) { [self] in traffic.withLock { $0.streamEnded(summary) } })
            return answer
        }
        let seconds = (environment.now() - began) / .seconds(1)
        traffic.withLock { $0.answered(summary, code: code, seconds: seconds) }
        return await Gzip.compressed(answer, for: request)
    }
}

/// A stream that says when nobody reads it any more.
private final class CountedChunks: APIChunks, APIEvents {
    private let chunks: any APIChunks
    private let ended: @Sendable () -> Void

    init(_ chunks: any APIChunks, ended: @escaping @Sendable () -> Void) {
        self.chunks = chunks
        self.ended = ended
    }

    func next() async throws -> [UInt8]? { try await chunks.next() }

    var events: (any APIEvents)? { chunks.events == nil ? nil : self }

    func nextEvents() async throws -> [WatchEvent]? { try await chunks.events?.nextEvents() }

    deinit { ended() }
}

/// What metrics and limits want to know of a request.
struct RequestSummary: Sendable, Hashable {
    /// `GET`, `LIST`, `WATCH`, `POST`, … as upstream's metrics spell them.
    var verb: String
    var group = ""
    var version = ""
    var resource = ""
    /// For a path that is no resource, the path itself.
    var subresource = ""
    /// `resource`, `namespace`, `cluster`, or nothing.
    var scope = ""
    var isDryRun = false

    /// Subresources that stream (upstream: the default long-running request expression).
    private static let streaming: Set<String> = ["attach", "exec", "log", "portforward", "proxy"]

    var isMutating: Bool { !["GET", "LIST", "WATCH", "HEAD"].contains(verb) }
    var isLongRunning: Bool { verb == "WATCH" || Self.streaming.contains(subresource) }

    init(_ request: HTTPRequest, _ target: RequestTarget, served: ServedResources) {
        verb = Self.verb(request.method)
        guard case .resource(let path) = target.route,
            let found = served.find(group: path.group, version: path.version, plural: path.plural)
        else {
            let known: Set<Substring> = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/readyz", "/version"]
            if known.contains(target.path) { subresource = String(target.path) }
            return
        }
        group = path.group
        version = path.version
        resource = path.plural
        if let name = path.subresource, Self.known(name, of: found.resource) { subresource = name }
        scope = path.name != nil ? "resource" : path.namespace != nil ? "namespace" : "cluster"
        isDryRun = target.query["dryRun"] == "All"
        switch (verb, path.name) {
        case ("GET", _) where target.query.flag("watch"): verb = "WATCH"
        case ("GET", nil): verb = "LIST"
        case ("DELETE", nil): verb = "DELETECOLLECTION"
        case ("PATCH", _) where request.headerFields.text(.contentType)?.hasPrefix("application/apply-patch") == true:
            verb = "APPLY"
        default: break
        }
    }

    /// Of names that somebody made up there would be no end.
    private static func known(_ subresource: String, of resource: Resource) -> Bool {
        ["scale", "status"].contains(subresource) || ResourceTable.subresource(subresource, of: resource) != nil
    }

    private static func verb(_ method: HTTPRequest.Method) -> String {
        switch method {
        case .get, .head, .post, .put, .patch, .delete, .options: method.rawValue
        default: "other"
        }
    }
}
