// A NIO channel whose bytes come only when they are asked for, so that a slow reader slows down the writer.

import NIO
import Objects
import Synchronization

/// Elements that arrive on an event loop and are taken, one call at a time, by a task.
package final class Inbound<Element: Sendable>: Sendable {
    private struct State {
        /// What one read brought beyond what was asked for.
        var ready: [Element] = []
        var waiter: CheckedContinuation<Element?, any Error>?
        var isOver = false
    }

    private let state = Mutex(State())

    package init() {}

    /// The next element; calls `read` when there is none yet. Nil after the end.
    package func next(read: () -> Void) async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let found = state.withLock { state -> Element?? in
                    if !state.ready.isEmpty { return .some(state.ready.removeFirst()) }
                    if state.isOver || Task.isCancelled { return .some(nil) }
                    state.waiter = continuation
                    return nil
                }
                if let found { continuation.resume(returning: found) } else { read() }
            }
        } onCancel: {
            take()?.resume(throwing: CancellationError())
        }
    }

    /// Whether a task waits for more.
    package var isWanted: Bool { state.withLock { $0.waiter != nil } }

    package func received(_ element: Element) {
        let waiter = state.withLock { state -> CheckedContinuation<Element?, any Error>? in
            defer { state.waiter = nil }
            if state.waiter == nil { state.ready.append(element) }
            return state.waiter
        }
        waiter?.resume(returning: element)
    }

    package func ended() {
        state.withLock { $0.isOver = true }
        take()?.resume(returning: nil)
    }

    private func take() -> CheckedContinuation<Element?, any Error>? {
        state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
    }
}

/// Hands what a channel reads to an `Inbound`; the last handler of its pipeline.
final class InboundHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let inbound: Inbound<ByteBuffer>

    init(_ inbound: Inbound<ByteBuffer>) { self.inbound = inbound }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { inbound.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        if inbound.isWanted { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) { inbound.ended() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { inbound.ended() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A terminal whose last program has gone reports an error instead of an end.
        inbound.ended()
        context.close(promise: nil)
    }
}

/// A pipe, terminal or connected socket as bytes to be pulled.
package struct PulledChannel: RemoteConnection {
    private let channel: any Channel
    private let inbound: Inbound<ByteBuffer>

    /// Takes over the ends of pipes, or a terminal for both; -1 for an end that is not there.
    package static func pipe(input: Int32, output: Int32) async throws -> PulledChannel {
        let inbound = Inbound<ByteBuffer>()
        let bootstrap = NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in added(inbound, to: channel) }
        let channel: any Channel
        if input < 0 {
            channel = try await bootstrap.takingOwnershipOfDescriptor(output: output).get()
        } else if output < 0 {
            channel = try await bootstrap.takingOwnershipOfDescriptor(input: input).get()
        } else if input == output {
            channel = try await bootstrap.takingOwnershipOfDescriptor(inputOutput: input).get()
        } else {
            channel = try await bootstrap.takingOwnershipOfDescriptors(input: input, output: output).get()
        }
        return PulledChannel(channel: channel, inbound: inbound)
    }

    /// Takes over a connected socket.
    package static func socket(_ descriptor: Int32) async throws -> PulledChannel {
        let inbound = Inbound<ByteBuffer>()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in added(inbound, to: channel) }
            .withConnectedSocket(descriptor).get()
        return PulledChannel(channel: channel, inbound: inbound)
    }

    /// A fresh connection to a TCP port. `prepare` may put handlers of bytes, such as TLS, into its pipeline.
    package static func connect(
        host: String, port: Int, timeout: TimeAmount,
        prepare: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> PulledChannel {
        let inbound = Inbound<ByteBuffer>()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(timeout)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try prepare(channel) }.flatMap { added(inbound, to: channel) }
            }
            .connect(host: host, port: port).get()
        return PulledChannel(channel: channel, inbound: inbound)
    }

    private static func added(_ inbound: Inbound<ByteBuffer>, to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(InboundHandler(inbound))
        }
    }

    package func next() async throws -> [UInt8]? {
        try await inbound.next { channel.read() }.map { Array($0.readableBytesView) }
    }

    package func write(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(channel.allocator.buffer(bytes: bytes)).get()
    }

    package func endInput() async { try? await channel.close(mode: .output) }

    package func close() async { try? await channel.close() }
}
