// The HTTP side of proxying: what is handed on of a request and of its answer, and the connections for it.

import AsyncHTTPClient
import Formats
import HTTPTypes
import NIO
import NIOSSL
import Objects
import RemoteStreams

/// A client's request as the program behind the proxy gets it.
struct ProxiedRequest: Sendable {
    /// Fields about one connection (RFC 9110 section 7.6.1), and those that prove who the client is: they are the API
    /// server's and nobody else's.
    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "authorization",
        "content-length", "host", "cookie2",
    ]

    let target: ProxyTarget
    let method: HTTPRequest.Method
    /// Path and query, as the client wrote them.
    let path: String
    let fields: [(name: String, value: String)]
    /// What stood before the path in the client's request, for links back.
    let prefix: String
    private let upgrade: String?

    init(_ request: HTTPRequest, to target: ProxyTarget, rest: String) {
        self.target = target
        method = request.method
        let parts = (request.path ?? "/").split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        prefix = String(parts[0].dropLast(rest.count))
        path = (rest.isEmpty ? "/" : rest) + (parts.count > 1 ? "?" + parts[1] : "")
        var fields: [(name: String, value: String)] = []
        for field in request.headerFields {
            let name = field.name.canonicalName
            if Self.dropped.contains(name) || name.hasPrefix("impersonate-") || name.hasPrefix("x-remote-") { continue }
            fields.append((field.name.rawName, field.value))
        }
        // Links are rewritten in plain pages only.
        if request.headerFields[values: .accept].contains(where: { $0.contains("text/html") }) {
            fields.removeAll { $0.name.lowercased() == "accept-encoding" }
        }
        fields.append(("X-Forwarded-Host", request.authority ?? ""))
        fields.append(("X-Forwarded-Proto", "https"))
        fields.append(("X-Forwarded-Uri", String(parts[0])))
        self.fields = fields
        upgrade = request.headerFields[.upgradeTo]
    }

    /// The head of a request to upgrade, as bytes.
    var head: [UInt8] {
        var text = "\(method.rawValue) \(path) HTTP/1.1\r\nHost: \(target.authority)\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        return Array((text + "Connection: Upgrade\r\nUpgrade: \(upgrade ?? "")\r\n\r\n").utf8)
    }

    /// Where a redirect or link of the program leads for the client: below the proxy, if it stays with the program.
    func location(_ text: String) -> String {
        if text.hasPrefix(prefix + "/") { return text }
        for scheme in ["http", "https"] where text.hasPrefix("\(scheme)://\(target.authority)/") {
            return prefix + text.dropFirst("\(scheme)://\(target.authority)".count)
        }
        return text.hasPrefix("/") && !text.hasPrefix("//") ? prefix + text : text
    }
}

/// Speaks HTTP/1.1 with programs of the cluster. Connections are not kept: the next request may mean another program.
enum ProxyClient {
    static let connectSeconds: Int64 = 10
    private static let answerDropped: Set<String> = [
        "connection", "keep-alive", "transfer-encoding", "upgrade", "trailer",
    ]

    /// One for all servers of the process, as long as it lives.
    private static let http = {
        var configuration = HTTPClient.Configuration(
            // As upstream: such a certificate is made out to a name that nobody here knows.
            certificateVerification: .none, redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(connectSeconds)), decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.idleTimeout = .milliseconds(1)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// The answer as soon as its head is known.
    static func send(_ request: ProxiedRequest, body: [UInt8]) async throws -> APIAnswer {
        let scheme = request.target.isSecure ? "https" : "http"
        var outgoing = HTTPClientRequest(url: "\(scheme)://\(request.target.authority)\(request.path)")
        outgoing.method = .init(rawValue: request.method.rawValue)
        for field in request.fields { outgoing.headers.add(name: field.name, value: field.value) }
        outgoing.headers.add(name: "Connection", value: "close")
        if !body.isEmpty { outgoing.body = .bytes(body) }
        let incoming: HTTPClientResponse
        do {
            incoming = try await http.execute(outgoing, deadline: .distantFuture)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw unreachable(request.target, error)
        }
        let isPage = request.method == .get && isPlainPage(incoming)
        var response = HTTPResponse(status: .init(code: Int(incoming.status.code)))
        for (name, value) in incoming.headers where !answerDropped.contains(name.lowercased()) {
            guard let name = HTTPField.Name(name), !isPage || name != .contentLength else { continue }
            let isLocation = name == .location
            response.headerFields.append(HTTPField(name: name, value: isLocation ? request.location(value) : value))
        }
        return APIAnswer(
            response: response,
            body: .stream(ProxiedBody(incoming.body, isPage ? LinkRewriter { request.location($0) } : nil)))
    }

    /// Whether a body is HTML as people write it.
    private static func isPlainPage(_ answer: HTTPClientResponse) -> Bool {
        let type = answer.headers.first(name: "Content-Type")?.lowercased() ?? ""
        let coding = answer.headers.first(name: "Content-Encoding")?.lowercased() ?? "identity"
        return type.hasPrefix("text/html") && coding == "identity"
    }

    /// As `http`: a certificate says nothing here.
    private static let security: NIOSSLContext? = {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.applicationProtocols = ["http/1.1"]
        return try? NIOSSLContext(configuration: configuration)
    }()

    /// A connection of one's own, over TLS where the target wants that.
    static func connect(to target: ProxyTarget) async throws(Problem) -> any RemoteConnection {
        do {
            return try await PulledChannel.connect(
                host: target.host, port: target.port, timeout: .seconds(connectSeconds)
            ) { channel in
                guard target.isSecure else { return }
                guard let context = Self.security else { throw ChannelError.operationUnsupported }
                let handler = try NIOSSLClientHandler(context: context, serverHostname: nil)
                try channel.pipeline.syncOperations.addHandler(handler)
            }
        } catch {
            throw unreachable(target, error)
        }
    }

    private static func unreachable(_ target: ProxyTarget, _ error: any Error) -> Problem {
        var words = "\(error)"
        if let failure = error as? NIOConnectionError {
            words = failure.connectionErrors.first.map { "\($0.error)" } ?? words
        }
        // Of `connection reset (error set): Connection refused (errno: 111)` people want the middle.
        if words.contains("errno: 111") { words = "connection refused" }
        return Problem(
            .serviceUnavailable, "error trying to reach service: dial tcp \(target.authority): connect: \(words)")
    }
}

/// A body as it arrives.
private actor ProxiedBody: APIChunks {
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private var rewriter: LinkRewriter?

    init(_ body: HTTPClientResponse.Body, _ rewriter: LinkRewriter?) {
        iterator = body.makeAsyncIterator()
        self.rewriter = rewriter
    }

    func next() async throws -> [UInt8]? {
        while true {
            var iterator = iterator
            let chunk = try await iterator.next(isolation: self)
            self.iterator = iterator
            guard rewriter != nil else { return chunk.map { Array($0.readableBytesView) } }
            guard let chunk else {
                let rest = rewriter?.ended() ?? []
                return rest.isEmpty ? nil : rest
            }
            // A piece may be held back as a whole; an empty one would be the end.
            if let passed = rewriter?.received(Array(chunk.readableBytesView)), !passed.isEmpty { return passed }
        }
    }
}
