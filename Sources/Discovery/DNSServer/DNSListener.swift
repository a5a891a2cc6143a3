// Listens on UDP and TCP and gives every query to the answerer.

import Glibc
import NIO
import Objects

/// Where to listen. Port 0 takes a free one.
package struct DNSEndpoint: Hashable, Sendable, CustomStringConvertible {
    package var address: String
    package var port: Int

    package init(address: String, port: Int = 53) {
        self.address = address
        self.port = port
    }

    package var description: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }
}

/// The sockets of one endpoint: one for TCP, and for UDP one per event loop, among which the kernel divides the
/// clients.
struct DNSListener: Sendable {
    /// TCP connections at once of one endpoint, and of one client; one more is closed at once.
    static let connectionLimit = 256
    static let connectionLimitPerSource = 64
    static let idleLimit = TimeAmount.seconds(10)
    /// UDP sockets of one endpoint.
    static let socketLimit = 4
    /// Datagrams taken from the kernel in one call, and the largest that is taken whole; queries are far smaller.
    static let batchLimit = 32
    static let queryLimitBytes = 2048
    static let receiveBufferBytes = 1 << 20
    /// A read of a stream is small, so that few queries are under way before back-pressure is felt.
    static let streamReadBytes = 4096
    /// Tries to find a free port number that both protocols have.
    static let freePortTries = 10

    let endpoint: DNSEndpoint
    private let channels: [any Channel]

    /// Binds all sockets. Throws a Problem that says which could not be had.
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
        // This one is not shared with another process, so a second server finds the port taken.
        let stream = try await streams(answerer, group).bind(host: endpoint.address, port: endpoint.port).get()
        var channels: [any Channel] = [stream]
        let port = stream.localAddress?.port ?? endpoint.port
        do {
            for loop in group.makeIterator().prefix(socketLimit) {
                channels.append(try await datagrams(answerer, loop).bind(host: endpoint.address, port: port).get())
            }
            return DNSListener(endpoint: DNSEndpoint(address: endpoint.address, port: port), channels: channels)
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
    }

    private static func streams(_ answerer: QueryAnswerer, _ group: any EventLoopGroup) -> ServerBootstrap {
        let connections = ConnectionCount()
        return ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: streamReadBytes))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let source = channel.remoteAddress.flatMap(IPAddress.init)
                    guard connections.enter(source) else { throw ChannelError.operationUnsupported }
                    channel.closeFuture.whenComplete { _ in connections.leave(source) }
                    let desk = answerer.makeDesk(.stream, on: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandlers([
                        IdleStateHandler(allTimeout: idleLimit), ByteToMessageHandler(FrameDecoder()), FrameWriter(),
                        StreamQueries(desk),
                    ])
                }
            }
    }

    private static func datagrams(_ answerer: QueryAnswerer, _ loop: any EventLoop) -> DatagramBootstrap {
        DatagramBootstrap(group: loop)
            .channelOption(.socketOption(NIOBSDSocket.Option(rawValue: SO_REUSEPORT)), value: 1)
            .channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBufferBytes))
            .channelOption(.datagramVectorReadMessageCount, value: batchLimit)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: batchLimit * queryLimitBytes)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let desk = answerer.makeDesk(.datagram, on: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(DatagramQueries(desk))
                }
            }
    }

    func close() async {
        for channel in channels { try? await channel.close() }
    }
}
