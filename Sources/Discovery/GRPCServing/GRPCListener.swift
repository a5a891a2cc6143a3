// Listens on one address, as a service to run.

import Listening
import NIOCore
import NIOHTTP2

/// Serves gRPC's methods by their paths, over HTTP/2 without TLS.
package struct GRPCListener: Sendable {
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
        let listener = StreamListener(
            host: host, port: port,
            welcome: { [limits, methods] in try Self.configure($0, limits: limits, methods: methods) },
            dismiss: { $0.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) })
        try await listener.run(onListening: onListening)
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
