// Nacos' gRPC on grpc-swift: unary requests, and the stream that is the client's life and carries the pushes.

import Catalogue
import Formats
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging

struct GRPCListener: Sendable {
    typealias Transport = HTTP2ServerTransport.Posix

    let catalogue: ServiceCatalogue
    let connections: ConnectionTable
    let address: ListeningAddress
    let logger: Logger

    /// Changes of a service are gathered for this long before they are pushed; Nacos takes 500 ms.
    static let pushDelay: Duration = .milliseconds(50)
    /// How often unanswered pushes are looked through.
    static let sweepInterval: Duration = .seconds(1)
    static let largestMessageBytes = 10 * 1024 * 1024
    /// A silent connection is asked after this long, and closed when it does not answer (HTTP/2 ping).
    static let keepaliveSeconds = 20
    static let keepalivePatienceSeconds = 5

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
            group.addTask { await pushChanges() }
            group.addTask { try await sweep() }
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
        let requests = GRPCRequests(catalogue: catalogue, connections: connections)
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
            catalogue.connectionClosed(connection.id, subscriber: connection.subscriber)
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
            switch payload.type {
            case "ConnectionSetupRequest":
                guard connections.add(connection) else {
                    throw RPCError(
                        code: .resourceExhausted, message: "there are \(ConnectionTable.limit) connections, the limit")
                }
                logger.debug("nacos connection set up", metadata: ["connection": .string(connection.id)])
            case "NotifySubscriberResponse":
                acknowledged(payload, connection)
            case let type where type.hasSuffix("Response"):
                break  // answers to nothing that this server asks; harmless
            default:
                logger.warning(
                    "nacos stream message of unknown type",
                    metadata: ["type": .string(String(payload.type.prefix(80)))])
            }
        }
    }

    private func acknowledged(_ payload: Payload, _ connection: Connection) {
        do throws(NacosProblem) {
            let body = try GRPCRequests.body(of: payload)
            guard let requestID = body["requestId"]?.string else { throw .missing(parameter: "requestId") }
            guard body["resultCode"]?.integer ?? 200 == 200 else { return }  // asked again when its time is up
            guard let taken = connection.answered(requestID: requestID) else { return }
            catalogue.acknowledge(connection.subscriber, taken.service, version: taken.version)
        } catch {
            logger.warning("nacos push answer not understood", metadata: ["problem": .string(error.description)])
        }
    }

    private func pump(_ writer: RPCWriter<Payload>, _ connection: Connection) async throws {
        while let step = await connection.nextStep() {
            guard case .push(let service, let again) = step else {
                throw RPCError(code: .unavailable, message: "pushes were not answered")
            }
            guard let snapshot = catalogue.tell(connection.subscriber, of: service, again: again) else { continue }
            let requestID = connection.push(service, version: snapshot.version, now: .now)
            let body: JSON = [
                "requestId": .string(requestID), "module": "naming", "headers": [:],
                "namespace": .string(nacosNamespace(of: service)), "serviceName": .string(service.name),
                "groupName": .string(service.group),
                "serviceInfo": ServiceInfo.connected(snapshot, connection.selection(of: service)),
            ]
            try await writer.write(Payload(type: "NotifySubscriberRequest", body: body.bytes))
        }
    }

    private func nacosNamespace(of service: ServiceName) -> String {
        service.namespace == ServiceName.defaultNamespace ? NacosNames.publicNamespace : service.namespace
    }

    // MARK: The push loop

    private func pushChanges() async {
        let feed = catalogue.changes()
        while let first = await feed.next() {
            do { try await Task.sleep(for: Self.pushDelay) } catch { return }
            for changes in [first, feed.take()].compactMap({ $0 }) { hand(out: changes) }
        }
    }

    private func hand(out changes: ServiceChanges) {
        switch changes {
        case .services(let services):
            for service in services {
                for subscriber in catalogue.subscribers(of: service) {
                    connections.connection(of: subscriber)?.changed(service)
                }
            }
        case .everything:
            for connection in connections.all {
                for service in connection.selectedServices { connection.changed(service) }
            }
        }
    }

    private func sweep() async throws {
        while true {
            try await Task.sleep(for: Self.sweepInterval)
            for connection in connections.all { connection.timePassed(now: .now) }
        }
    }

    /// Stays until cancelled.
    private func withoutEnd() async throws {
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }
}
