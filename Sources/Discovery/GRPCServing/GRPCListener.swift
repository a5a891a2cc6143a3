// Listens on one address, as a service to run.

import NIOCore
import NIOHTTP2
import NIOPosix
import Synchronization

/// Serves gRPC's methods by their paths, over HTTP/2 without TLS.
package struct GRPCListener: Sendable {
    /// Connections that the kernel keeps until they are accepted.
    static let backlog: CInt = 1_024

    private let host: String
    private let port: Int
    private let limits: GRPCLimits
    private let methods: [String: GRPCMethod]

    /// `host` is an IP address or `localhost`; methods are named by their paths, `/Service/method`.
    package init(host: String, port: Int, limits: GRPCLimits, methods: [String: GRPCMethod]) {
        self.host = host
        self.port = port
        self.limits = limits
        self.methods = methods
    }

    /// Serves until cancelled; throws when the address cannot be bound. `onListening` is called once it is. Returns
    /// when the last client has been told and had its time.
    package func run(onListening: @escaping @Sendable () async -> Void = {}) async throws {
        let crowd = Crowd()
        let channel = try await bootstrap(crowd).bind(host: host, port: port).get()
        await onListening()
        await withTaskCancellationHandler {
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
        let clients = crowd.takeAll()
        for client in clients { client.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        for client in clients { try? await client.closeFuture.get() }
        // Nobody else closes it; a service that ends by itself is one that failed.
        if !Task.isCancelled { throw ChannelError.alreadyClosed }
    }

    private func bootstrap(_ crowd: Crowd) -> ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [limits, methods] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard crowd.joined(channel) else { throw ChannelError.ioOnClosedChannel }
                    try Self.configure(channel, limits: limits, methods: methods)
                }
            }
    }

    static func configure(_ channel: any Channel, limits: GRPCLimits, methods: [String: GRPCMethod]) throws {
        let remote = channel.remoteAddress
        let scope = CallScope(
            methods: methods, limits: limits,
            peer: GRPCPeer(address: remote?.ipAddress ?? "", port: remote?.port ?? 0),
            unfinishedBytes: NIOLoopBoundBox(0, eventLoop: channel.eventLoop))
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.concurrentCalls),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headBytes),
        ]
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.outboundBufferSizeHighWatermark = GRPCLimits.outboundBytes
        stream.outboundBufferSizeLowWatermark = GRPCLimits.outboundBytes / 4
        let pipeline = channel.pipeline.syncOperations
        _ = try pipeline.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: stream
        ) { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(CallHandler(scope)) }
        }
        try pipeline.addHandler(ConnectionHandler(limits: limits))
    }
}

/// The connections of a listener, which end with it.
private final class Crowd: Sendable {
    private let members: Mutex<[ObjectIdentifier: any Channel]?> = Mutex([:])

    /// False when the listener has ended.
    func joined(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let isIn = members.withLock { members in
            members?[id] = channel
            return members != nil
        }
        if isIn { channel.closeFuture.whenComplete { _ in self.members.withLock { _ = $0?.removeValue(forKey: id) } } }
        return isIn
    }

    func takeAll() -> [any Channel] {
        members.withLock { members in
            defer { members = nil }
            return members.map { Array($0.values) } ?? []
        }
    }
}
