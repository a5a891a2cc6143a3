// A served HTTP/1.1 connection that has become something else: its bytes, or what decoders make of them, to be pulled.

import NIO
import NIOSSL
import RemoteStreams

/// Sits below the HTTP handlers, right above TLS: after the upgrade these never see a byte again, so nothing has to be
/// taken out of a pipeline that somebody else built.
private final class UpgradedHandler<Part: Sendable>: ChannelDuplexHandler {
    typealias InboundIn = Part
    typealias OutboundIn = Never

    let inbound = Inbound<Part>()
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { inbound.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        if inbound.isWanted { context.read() }
    }

    /// The HTTP side has nothing to read any more.
    func read(context: ChannelHandlerContext) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { inbound.ended() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inbound.ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        inbound.ended()
        context.close(promise: nil)
    }

    func readMore() { context?.read() }

    func send(_ data: NIOAny, promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.alreadyClosed) }
        context.writeAndFlush(data, promise: promise)
    }
}

/// One upgraded connection, as parts of one kind.
struct UpgradedConnection<Part: Sendable>: Sendable {
    let channel: any Channel
    private let handler: NIOLoopBound<UpgradedHandler<Part>>
    private let inbound: Inbound<Part>

    /// Answers 101 with these header lines (or nothing, where somebody else answers) and takes the connection over;
    /// `codecs` stand between TLS and the parts. Throws when it is no HTTP/1.1 connection over TLS.
    static func take(
        _ channel: any Channel, head: String?, codecs: @escaping @Sendable () -> [any ChannelHandler]
    ) async throws -> UpgradedConnection {
        try await channel.setOption(.autoRead, value: false).get()
        let handler = try await channel.eventLoop.submit {
            let handler = UpgradedHandler<Part>()
            let pipeline = channel.pipeline.syncOperations
            let tls = try pipeline.handler(type: NIOSSLServerHandler.self)
            try pipeline.addHandler(handler, position: .after(tls))
            if let head {
                let answer = channel.allocator.buffer(string: "HTTP/1.1 101 Switching Protocols\r\n" + head + "\r\n")
                handler.send(NIOAny(answer), promise: channel.eventLoop.makePromise())
            }
            try pipeline.addHandlers(codecs(), position: .after(tls))
            return NIOLoopBound(handler, eventLoop: channel.eventLoop)
        }.get()
        let inbound = try await channel.eventLoop.submit { handler.value.inbound }.get()
        return UpgradedConnection(channel: channel, handler: handler, inbound: inbound)
    }

    /// The next part; nil when the client has gone.
    func next() async throws -> Part? {
        try await inbound.next(read: { channel.eventLoop.execute { handler.value.readMore() } })
    }

    /// Returns when the part is on its way.
    func send(_ part: Part) async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.eventLoop.execute { handler.value.send(NIOAny(part), promise: promise) }
        try await promise.futureResult.get()
    }

    func close() async { try? await channel.close() }
}
