// The sockets of the API server: TLS with HTTP/1.1 and HTTP/2, client certificates optional.

import Access
import HTTPTypes
import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Objects
import Timing

extension StreamUpgrade {
    fileprivate func take(_ channel: any Channel) async throws -> any FrameLink {
        switch way {
        case .webSocket(let key): try await WebSocketLink.upgrade(channel, key: key, subprotocol: subprotocol)
        case .spdy: try await SPDYLink.upgrade(channel, subprotocol: subprotocol)
        }
    }
}

/// Listens on one address and hands every request to the API with the identity of its sender.
package final class APIListener: Sendable {
    private let api: KubernetesAPI
    private let authenticator: Authenticator
    private let certificates = ClientCertificates()
    private let tls: TLSConfiguration
    private let host: String
    private let port: Int
    private let logger: Logger

    /// Port 0 takes any free one. Throws when the credentials cannot be read.
    package init(
        api: KubernetesAPI, credentials: Credentials, host: String = "0.0.0.0", port: Int = 6443, logger: Logger
    ) throws {
        self.api = api
        self.host = host
        self.port = port
        self.logger = logger
        authenticator = try api.access.authenticator ?? Authenticator(credentials)
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(credentials.server.certificatePEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(credentials.server.keyPEM.utf8), format: .pem)
        let roots = try NIOSSLCertificate.fromPEMBytes(Array(credentials.authorityPEM.utf8))
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        tls.minimumTLSVersion = .tlsv12
        tls.certificateVerification = .optionalVerification
        tls.trustRoots = .certificates(roots)
        // How long a connection that is closed waits for its client to say that it has read the end. Who does not read,
        // as a watch that was forgotten, must not hold up the end of the server.
        tls.shutdownTimeout = .milliseconds(500)
        self.tls = tls
    }

    /// Serves until the task is cancelled; then running requests and watches end too. `bound` learns the port.
    package func run(bound: @escaping @Sendable (Int) -> Void = { _ in }) async throws {
        let configuration = HTTP2UpgradeChannel.Configuration(
            streamConfiguration: .init(additionalChannelHandlers: [ReaderPresence()]))
        let connections = try HTTP2UpgradeChannel(tlsConfiguration: tls, configuration: configuration) {
            [self] request, writer, channel in try await respond(to: request, writer, channel)
        }
        let server = Server(
            childChannelSetup: OnItsLoop(child: connections),
            configuration: .init(address: .hostname(host, port: port), serverName: nil),
            onServerRunning: { [port] channel in bound(channel.localAddress?.port ?? port) },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Self.quiet(logger))
        try await server.run()
    }

    /// The server's own logger calls its cancellation an error; what really fails, `run` throws.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = .critical
        return quiet
    }

    private func respond(to request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let answer = await answer(to: request, channel)
        // A stream of HTTP/2 cannot become anything else.
        if let upgrade = answer.upgrade, channel.parent?.parent == nil {
            let link = try await upgrade.take(channel)
            await LoopExecutor.away { await upgrade.serve(link) }
            return await link.close()
        }
        if let tunnel = answer.tunnel, channel.parent?.parent == nil {
            let link = try await BareLink.take(channel)
            await LoopExecutor.away { await tunnel(link) }
            return await link.close()
        }
        var head = answer.response
        switch answer.body {
        case .bytes(let bytes):
            head.headerFields[.contentLength] = String(bytes.count)
            let isEmpty = bytes.isEmpty || request.method == .head || head.status == .notModified
            try await writer.write(
                response: head, body: isEmpty ? .init() : .init(byteBuffer: ByteBuffer(bytes: bytes)))
        case .stream(let chunks):
            // The head goes out by itself: clients of a watch wait for it, not for the first event.
            let gone = try await ReaderPresence.gone(of: channel)
            try await send(chunks, to: writer.writeHead(head), until: gone)
        }
    }

    /// Writes chunks until they end, or throws when the client goes away first.
    ///
    /// The request's own body is not asked for that: to stop reading it is to give up the connection, and with it what
    /// is written but not sent (an HTTP/2 stream is reset then, and the client loses the end of its answer).
    private func send(_ chunks: any APIChunks, to body: some ResponseBodyWriter, until gone: Gate) async throws {
        // Handed to one child task and used nowhere else.
        nonisolated(unsafe) let handed: any ResponseBodyWriter = body
        let write: @Sendable () async throws -> Void = {
            var body = handed
            while let chunk = try await chunks.next() {
                if !chunk.isEmpty { try await body.write(ByteBuffer(bytes: chunk)) }
            }
            try await body.finish(nil)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(operation: write)
            group.addTask {
                try await gone.wait()
                throw CancellationError()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func answer(to request: Request, _ channel: any Channel) async -> APIAnswer {
        do {
            let certified = try await certificates.identity(of: channel) {
                try api.identify(by: authenticator, certificate: $0, authorization: nil)
            }
            let identity =
                try certified
                ?? api.identify(
                    by: authenticator, certificate: nil,
                    authorization: WebSocketToken.authorization(of: request.headers))
            // A GET has no body worth waiting for.
            let body = request.method == .get || request.method == .head ? [] : try await read(request.body)
            return await api.handle(request.head, body: body, identity: identity)
        } catch let problem as Problem {
            return .problem(problem)
        } catch {
            return .problem(.badRequest("the request could not be read: \(error)"))
        }
    }

    private func read(_ body: RequestBody) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await buffer in body {
            bytes.append(contentsOf: buffer.readableBytesView)
            if bytes.count > api.limits.bodyBytes {
                throw Problem(.requestEntityTooLarge, "Request entity too large: limit is \(api.limits.bodyBytes)")
            }
        }
        return bytes
    }
}
