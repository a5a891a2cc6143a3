// Turns a served HTTP/1.1 connection into a WebSocket: the handshake, and frames as they are asked for.

import Crypto
import Formats
import HTTPTypes
import NIO
import NIOSSL
import NIOWebSocket
import Objects
import RemoteStreams

/// Sits below the HTTP handlers, right above TLS: after the upgrade these never see a byte again, so nothing has to be
/// taken out of a pipeline that somebody else built.
final class FrameHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = Never

    let inbound = Inbound<WebSocketFrame>()
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { inbound.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        if inbound.isWanted { context.read() }
    }

    /// The HTTP side has nothing to read any more.
    func read(context: ChannelHandlerContext) {}

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

/// One upgraded connection.
struct WebSocketLink: FrameLink {
    /// Clients of Kubernetes send at most 32 KiB at once.
    static let frameLimitBytes = 1 << 20
    /// How long the end of a session waits for the client to close too.
    static let partingSeconds: Int64 = 5

    private let channel: any Channel
    private let handler: NIOLoopBound<FrameHandler>
    private let inbound: Inbound<WebSocketFrame>

    /// Answers 101 and takes the connection over. Throws when it is no HTTP/1.1 connection over TLS.
    static func upgrade(_ channel: any Channel, key: String, subprotocol: String) async throws -> WebSocketLink {
        try await channel.setOption(.autoRead, value: false).get()
        let handler = try await channel.eventLoop.submit {
            let handler = FrameHandler()
            let pipeline = channel.pipeline.syncOperations
            let tls = try pipeline.handler(type: NIOSSLServerHandler.self)
            try pipeline.addHandler(handler, position: .after(tls))
            let answer = channel.allocator.buffer(string: head(key: key, subprotocol: subprotocol))
            handler.send(NIOAny(answer), promise: channel.eventLoop.makePromise())
            let decoder = ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: frameLimitBytes))
            try pipeline.addHandlers([WebSocketFrameEncoder(), decoder], position: .after(tls))
            return NIOLoopBound(handler, eventLoop: channel.eventLoop)
        }.get()
        let inbound = try await channel.eventLoop.submit { handler.value.inbound }.get()
        return WebSocketLink(channel: channel, handler: handler, inbound: inbound)
    }

    private static func head(key: String, subprotocol: String) -> String {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: \(Base64.encode(Array(digest)))\r\nSec-WebSocket-Protocol: \(subprotocol)\r\n\r\n"
    }

    func next() async throws -> MessagePart? {
        while let frame = try await inbound.next(read: { channel.eventLoop.execute { handler.value.readMore() } }) {
            switch frame.opcode {
            case .ping: try await send(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
            case .connectionClose: return nil
            case .binary, .text, .continuation:
                return MessagePart(
                    Array(frame.unmaskedData.readableBytesView), isFirst: frame.opcode != .continuation, isLast: frame.fin)
            default: break
            }
        }
        return nil
    }

    func send(_ bytes: [UInt8]) async throws {
        try await send(WebSocketFrame(fin: true, opcode: .binary, data: channel.allocator.buffer(bytes: bytes)))
    }

    private func send(_ frame: WebSocketFrame) async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.eventLoop.execute { handler.value.send(NIOAny(frame), promise: promise) }
        try await promise.futureResult.get()
    }

    func sendClose(_ problem: Problem?) async {
        var data = channel.allocator.buffer(capacity: 2)
        data.write(webSocketErrorCode: problem == nil ? .normalClosure : .unexpectedServerError)
        if let problem { data.writeString(String(problem.message.prefix(100))) }
        try? await send(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
    }

    func close() async { try? await channel.close() }
}
