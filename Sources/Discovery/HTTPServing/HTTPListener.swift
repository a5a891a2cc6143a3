// Listens on one address, as a service to run.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Serves HTTP/1.1 from one function, which says of each request whether it is answered at once or by a task.
package struct HTTPListener: Sendable {
    /// Connections that the kernel keeps until they are accepted.
    static let backlog: CInt = 1_024
    /// Bytes of answers that wait for a client before nothing more is read from it.
    static let outboundBytes = 256 << 10

    private let host: String
    private let port: Int
    private let limits: ServingLimits
    private let date: DateLine
    private let answer: @Sendable (HTTPRequest) -> Answering

    /// `host` is an IP address or `localhost`; `secondsSinceEpoch` is the clock of the answers' dates.
    package init(
        host: String, port: Int, limits: ServingLimits, secondsSinceEpoch: @escaping @Sendable () -> Int64,
        answer: @escaping @Sendable (HTTPRequest) -> Answering
    ) {
        self.host = host
        self.port = port
        self.limits = limits
        self.answer = answer
        date = DateLine(secondsSinceEpoch: secondsSinceEpoch)
    }

    /// Serves until cancelled; throws when the address cannot be bound. `onListening` is called once it is.
    package func run(onListening: @escaping @Sendable () async -> Void = {}) async throws {
        let crowd = Crowd()
        let channel = try await bootstrap(crowd).bind(host: host, port: port).get()
        await onListening()
        await withTaskCancellationHandler {
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
        for channel in crowd.takeAll() { channel.close(promise: nil) }
        // Nobody else closes it; a service that ends by itself is one that failed.
        if !Task.isCancelled { throw ChannelError.alreadyClosed }
    }

    private func bootstrap(_ crowd: Crowd) -> ServerBootstrap {
        let mark = ChannelOptions.Types.WriteBufferWaterMark(low: Self.outboundBytes / 4, high: Self.outboundBytes)
        return ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: mark)
            .childChannelInitializer { [limits, date, answer] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard crowd.joined(channel) else { throw ChannelError.ioOnClosedChannel }
                    let decoder = HTTPRequestDecoder(limitConfiguration: limits.decoding)
                    try channel.pipeline.syncOperations.addHandlers([
                        ByteToMessageHandler(decoder), Connection(limits: limits, date: date, answer: answer),
                    ])
                }
            }
    }
}

extension ServingLimits {
    var decoding: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = headBytes
        limits.maxHeaderListSize = headBytes
        limits.maxHeaderFieldCount = fieldCount
        return limits
    }
}

/// The connections of a listener, to be closed with it.
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
