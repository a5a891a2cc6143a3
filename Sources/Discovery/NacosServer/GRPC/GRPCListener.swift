// Nacos' gRPC on grpc-swift: unary requests, and the stream that is the client's life and carries the pushes.

import Catalogue
import Formats
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging

struct GRPCListener: Sendable {
    typealias Transport = HTTP2ServerTransport.Posix

    let backend: Backend
    let address: ListenAddress
    let logger: Logger

    static let largestMessageBytes = 10 * 1024 * 1024
    /// A silent connection is asked after this long, and closed when it does not answer (HTTP/2 ping).
    static let keepaliveSeconds = 20
    static let keepalivePatienceSeconds = 5

    private var connections: ConnectionTable { backend.connections }

    /// Serves until cancelled; `onListening` is told the address once it is bound.
    func run(onListening: @escaping @Sendable () async -> Void) async throws {
        let transport = Transport(
            address: socketAddress, transportSecurity: .plaintext,
            config: .defaults { config in
                config.rpc.maxRequestPayloadSize = Self.largestMessageBytes
                config.connection.keepalive.time = .seconds(Self.keepaliveSeconds)
                config.connection.keepalive.timeout = .seconds(Self.keepalivePatienceSeconds)
                config.connection.keepalive.clientBehavior.allowWithoutCalls = true
                config.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(1)
            })
        let server = GRPCServer(transport: transport, router: makeRouter())
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.serve() }
            group.addTask {
                _ = try await transport.listeningAddress
                await onListening()
                try await withoutEnd()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private var socketAddress: SocketAddress {
        switch address.host {
        case "localhost": .ipv4(host: "127.0.0.1", port: address.port)
        case let host where host.contains(":"): .ipv6(host: host, port: address.port)
        case let host: .ipv4(host: host, port: address.port)
        }
    }

    private func makeRouter() -> RPCRouter<Transport> {
        let requests = GRPCRequests(backend: backend)
        var router = RPCRouter<Transport>()
        router.registerHandler(
            forMethod: MethodDescriptor(fullyQualifiedService: "Request", method: "request"),
            deserializer: PayloadDeserializer(), serializer: PayloadSerializer()
        ) { request, context in
            let single = try await ServerRequest(stream: request)
            let answer = await requests.answer(single.message, peer: context.remotePeer)
            return StreamingServerResponse(single: ServerResponse(message: answer))
        }
        router.registerHandler(
            forMethod: MethodDescriptor(fullyQualifiedService: "BiRequestStream", method: "requestBiStream"),
            deserializer: PayloadDeserializer(), serializer: PayloadSerializer()
        ) { request, context in
            let messages = request.messages
            let peer = context.remotePeer
            return StreamingServerResponse { writer in
                try await serve(messages, writer, peer: peer)
                return [:]
            }
        }
        return router
    }

    // MARK: The stream

    /// The stream's whole life. Whichever way it ends, the client's instances and subscriptions go at once.
    private func serve(
        _ messages: RPCAsyncSequence<Payload, any Error>, _ writer: RPCWriter<Payload>, peer: String
    ) async throws {
        let connection = Connection(id: ConnectionName.make(peer: peer), peer: peer)
        defer {
            connections.remove(connection)
            backend.catalogue.connectionClosed(connection.id, subscriber: connection.subscriber)
            logger.debug("nacos connection closed", metadata: ["connection": .string(connection.id)])
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await read(messages, connection) }
            group.addTask { try await pump(writer, connection) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func read(_ messages: RPCAsyncSequence<Payload, any Error>, _ connection: Connection) async throws {
        for try await payload in messages {
            connection.heard(now: .now)
            switch payload.type {
            case "ConnectionSetupRequest": try setUp(payload, connection)
            // Clients do not agree on the type of an answer; its request's id says what it is to.
            case let type where type.hasSuffix("Response"): answered(payload, connection)
            default:
                logger.warning(
                    "nacos stream message of unknown type",
                    metadata: ["type": .string(String(payload.type.prefix(80)))])
            }
        }
    }

    /// A client that says what it can do waits to hear what this server can.
    private func setUp(_ payload: Payload, _ connection: Connection) throws {
        let body: JSON
        do throws(NacosProblem) {
            body = try GRPCRequests.body(of: payload)
        } catch {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
        connection.introduce(
            version: body["clientVersion"]?.string ?? "", tag: body["labels"]?["Vipserver-Tag"]?.string)
        guard connections.add(connection) else {
            throw RPCError(
                code: .resourceExhausted, message: "there are \(ConnectionTable.limit) connections, the limit")
        }
        if body["abilityTable"]?.object != nil { connection.changed(.abilities) }
        logger.debug("nacos connection set up", metadata: ["connection": .string(connection.id)])
    }

    private func answered(_ payload: Payload, _ connection: Connection) {
        do throws(NacosProblem) {
            let body = try GRPCRequests.body(of: payload)
            // An answer without the id is to nothing that is awaited.
            guard let requestID = body["requestId"]?.string, !requestID.isEmpty else { return }
            guard body["resultCode"]?.integer ?? 200 == 200 else { return }  // asked again when its time is up
            guard let taken = connection.answered(requestID: requestID) else { return }
            if case .service(let service) = taken.subject {
                backend.catalogue.acknowledge(connection.subscriber, service, version: taken.version)
            }
        } catch {
            logger.warning("nacos push answer not understood", metadata: ["problem": .string(error.description)])
        }
    }

    private func pump(_ writer: RPCWriter<Payload>, _ connection: Connection) async throws {
        let payloads = PushPayloads(backend: backend)
        while let step = await connection.nextStep() {
            guard case .push(let subject, let again) = step else {
                throw RPCError(code: .unavailable, message: "pushes were not answered")
            }
            guard let payload = payloads.payload(for: subject, again: again, to: connection) else { continue }
            try await writer.write(payload)
        }
    }

    /// Stays until cancelled.
    private func withoutEnd() async throws {
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }
}
