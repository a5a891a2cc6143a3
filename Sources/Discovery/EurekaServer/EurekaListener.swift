// Serves Eureka clients over HTTP with Hummingbird.

import Catalogue
import Formats
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIO

/// The Eureka interface of the catalogue on any number of addresses, as one service to run.
package struct EurekaListener: Sendable {
    /// Where it listens; the host is an IP address or `localhost`.
    package struct Address: Hashable, Sendable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var description: String { "\(host):\(port)" }
    }

    /// Bytes of a body; a peer's batch is the largest there is.
    static let largestBodyBytes = 4 << 20
    /// Bytes of a request's head.
    static let largestHeadBytes = 32 << 10
    /// A connection on which nothing moves for so long is closed; clients keep theirs for 30 s.
    static let idleTimeout: TimeAmount = .seconds(75)

    private let api: EurekaAPI
    private let addresses: [Address]
    private let logger: Logger
    private let onListening: @Sendable (Address) async -> Void

    /// Leases are kept in the catalogue whatever happens when `renewalShare` is nil; otherwise none ends while fewer than
    /// this share of the instances beat. `onListening` is called once for each address when it is bound.
    package init(
        catalogue: ServiceCatalogue, addresses: [Address], renewalShare: Double? = nil, logger: Logger,
        onListening: @escaping @Sendable (Address) async -> Void = { _ in }
    ) {
        api = EurekaAPI(catalogue: catalogue, preservation: renewalShare.map { SelfPreservation(renewalShare: $0) })
        self.addresses = addresses
        self.logger = logger
        self.onListening = onListening
    }

    /// What `/metrics` tells, for somebody else's as well.
    package func writeMetrics(to text: inout MetricsText) { api.writeMetrics(to: &text) }

    /// Serves until cancelled; throws when an address cannot be bound.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await api.registrations.run() }
            for address in addresses { group.addTask { try await serve(address) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func serve(_ address: Address) async throws {
        // The framework calls its cancellation an error; what really fails, it throws.
        var quiet = logger
        quiet.logLevel = .critical
        let limits = HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: Self.largestHeadBytes, maxHeaderListSize: Self.largestHeadBytes, maxHeaderFieldCount: 100)
        let application = Application(
            responder: CallbackResponder { request, context in try await respond(request, context) },
            server: .http1(configuration: .init(idleTimeout: Self.idleTimeout, httpDecoderConfiguration: limits)),
            configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port)),
            onServerRunning: { _ in await onListening(address) }, logger: quiet)
        try await application.run()
    }

    @Sendable
    private func respond(_ request: Request, _ context: EurekaContext) async throws -> Response {
        let answer = await answer(request, peer: context.peer)
        if answer.status >= 400 {
            logger.info(
                "eureka request refused",
                metadata: [
                    "method": .string(request.method.rawValue), "path": .string(String(request.uri.string.prefix(200))),
                    "status": .stringConvertible(answer.status), "reason": .string(String(decoding: answer.body, as: UTF8.self)),
                ])
        }
        var headers = HTTPFields()
        headers[.contentType] = answer.contentType
        if answer.isGzip { headers[.contentEncoding] = "gzip" }
        return Response(
            status: .init(code: answer.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: answer.body)))
    }

    private func answer(_ request: Request, peer: String) async -> EurekaAnswer {
        var body: [UInt8] = []
        do {
            for try await buffer in request.body {
                guard body.count + buffer.readableBytes <= Self.largestBodyBytes else {
                    let problem = EurekaProblem.tooLarge(limit: Self.largestBodyBytes)
                    return .text(problem.description, status: problem.status)
                }
                body.append(contentsOf: buffer.readableBytesView)
            }
        } catch {
            return .text("the body could not be read: \(error)", status: 400)
        }
        let headers = request.headers
        func header(_ name: String) -> String { HTTPField.Name(name).flatMap { headers[$0] } ?? "" }
        let identity = [
            header("DiscoveryIdentity-Name"), header("DiscoveryIdentity-Id"), headers[.userAgent] ?? "",
        ]
        return await api.answer(
            EurekaRequest(
                method: request.method.rawValue, target: request.uri.string, accept: headers[.accept] ?? "",
                contentType: headers[.contentType] ?? "", contentEncoding: headers[.contentEncoding] ?? "",
                acceptsGzip: (headers[.acceptEncoding] ?? "").contains("gzip"),
                eurekaAccept: header("X-Eureka-Accept"),
                isReplication: header("x-netflix-discovery-replication") == "true",
                identity: String(identity.joined(separator: "/").prefix(Self.longestIdentity)), peer: peer, body: body))
    }

    /// Characters of what a caller says of itself that tell it apart.
    static let longestIdentity = 200
}

/// A request's context that knows where the request came from.
struct EurekaContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: String

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress ?? ""
    }
}
