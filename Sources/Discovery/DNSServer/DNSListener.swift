// Listens on UDP and TCP and gives every query to the responder.

import NIO
import Objects
import Synchronization

/// Where to listen. Port 0 takes a free one.
package struct DNSEndpoint: Hashable, Sendable, CustomStringConvertible {
    package var address: String
    package var port: Int

    package init(address: String, port: Int = 53) {
        self.address = address
        self.port = port
    }

    package var description: String { "\(address):\(port)" }
}

/// The sockets of one endpoint.
struct DNSListener: Sendable {
    /// TCP connections at once of one endpoint; one more is closed at once.
    static let connectionLimit = 256
    static let idleLimit = TimeAmount.seconds(10)
    /// Tries to find a free port number that both protocols have.
    static let freePortTries = 10

    let endpoint: DNSEndpoint
    private let channels: [any Channel]

    /// Binds both sockets. Throws a Problem that says which could not be had.
    static func bound(
        to endpoint: DNSEndpoint, answering answerer: QueryAnswerer
    ) async throws -> DNSListener {
        var tries = endpoint.port == 0 ? freePortTries : 1
        while true {
            tries -= 1
            do {
                return try await bindOnce(endpoint, answerer)
            } catch {
                if tries > 0 { continue }
                throw Problem(.serviceUnavailable, "DNS cannot listen on \(endpoint): \(error)")
            }
        }
    }

    private static func bindOnce(_ endpoint: DNSEndpoint, _ answerer: QueryAnswerer) async throws -> DNSListener {
        let group = MultiThreadedEventLoopGroup.singleton
        let connections = ConnectionCount()
        let stream = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.enter(limit: connectionLimit) else { throw ChannelError.operationUnsupported }
                    channel.closeFuture.whenComplete { _ in connections.leave() }
                    try channel.pipeline.syncOperations.addHandlers([
                        IdleStateHandler(allTimeout: idleLimit), ByteToMessageHandler(FrameDecoder()), FrameWriter(),
                        StreamQueries(answerer),
                    ])
                }
            }
            .bind(host: endpoint.address, port: endpoint.port).get()
        let port = stream.localAddress?.port ?? endpoint.port
        do {
            let datagram = try await DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramQueries(answerer))
                    }
                }
                .bind(host: endpoint.address, port: port).get()
            return DNSListener(
                endpoint: DNSEndpoint(address: endpoint.address, port: port), channels: [stream, datagram])
        } catch {
            try? await stream.close()
            throw error
        }
    }

    func close() async {
        for channel in channels { try? await channel.close() }
    }
}

/// How many connections are open.
private final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)

    func enter(limit: Int) -> Bool {
        if count.add(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}

private final class DatagramQueries: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let answerer: QueryAnswerer

    init(_ answerer: QueryAnswerer) { self.answerer = answerer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let channel = context.channel
        let client = envelope.remoteAddress
        answerer.answer(Array(envelope.data.readableBytesView), over: .datagram, on: context.eventLoop).whenSuccess { bytes in
            guard let bytes else { return }
            channel.writeAndFlush(AddressedEnvelope(remoteAddress: client, data: ByteBuffer(bytes: bytes)), promise: nil)
        }
    }

    /// A client that went away makes the socket report errors; the others go on.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

private final class StreamQueries: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answerer: QueryAnswerer

    init(_ answerer: QueryAnswerer) { self.answerer = answerer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = context.channel
        let query = Array(unwrapInboundIn(data).readableBytesView)
        answerer.answer(query, over: .stream, on: context.eventLoop).whenSuccess { bytes in
            guard let bytes else { return }
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
