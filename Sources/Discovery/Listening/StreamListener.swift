// Listens on one address and knows who is connected, as a service to run.

import NIOCore
import NIOPosix
import Synchronization

/// Accepts TCP connections on one address; those that are open end with it.
package struct StreamListener: Sendable {
    /// Connections that the kernel keeps until they are accepted.
    static let backlog: CInt = 1_024

    private let host: String
    private let port: Int
    private let welcome: @Sendable (any Channel) throws -> Void
    private let dismiss: @Sendable (any Channel) -> Void

    /// `host` is an IP address or `localhost`. `welcome` sets up a fresh connection, on its event loop; what it throws
    /// closes that one. `dismiss` gets a connection to close when the listener ends.
    package init(
        host: String, port: Int, welcome: @escaping @Sendable (any Channel) throws -> Void,
        dismiss: @escaping @Sendable (any Channel) -> Void = { $0.close(promise: nil) }
    ) {
        self.host = host
        self.port = port
        self.welcome = welcome
        self.dismiss = dismiss
    }

    /// Serves until cancelled; throws when the address cannot be bound. `onListening` is called once it is. Returns
    /// when the last connection has ended.
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
        for client in clients { dismiss(client) }
        for client in clients { try? await client.closeFuture.get() }
        // Nobody else closes it; a service that ends by itself is one that failed.
        if !Task.isCancelled { throw ChannelError.alreadyClosed }
    }

    private func bootstrap(_ crowd: Crowd) -> ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [welcome] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard crowd.joined(channel) else { throw ChannelError.ioOnClosedChannel }
                    try welcome(channel)
                }
            }
    }
}

/// The connections of a listener.
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
