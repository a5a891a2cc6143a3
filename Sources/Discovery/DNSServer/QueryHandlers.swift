// The handlers at the end of each channel: a query comes, an answer goes.

import NIO
import Synchronization

/// How many connections are open, in all and by client.
final class ConnectionCount: Sendable {
    private struct State {
        var all = 0
        var bySource: [IPAddress: Int] = [:]
    }

    private let state = Mutex(State())

    /// Whether there is room for one more; then `leave` must follow.
    func enter(_ source: IPAddress?) -> Bool {
        state.withLock { state in
            let ofSource = source.flatMap { state.bySource[$0] } ?? 0
            guard state.all < DNSListener.connectionLimit, ofSource < DNSListener.connectionLimitPerSource else {
                return false
            }
            state.all += 1
            if let source { state.bySource[source] = ofSource + 1 }
            return true
        }
    }

    func leave(_ source: IPAddress?) {
        state.withLock { state in
            state.all -= 1
            guard let source, let count = state.bySource[source] else { return }
            state.bySource[source] = count > 1 ? count - 1 : nil
        }
    }
}

/// Answers datagrams in the batches in which they are read.
final class DatagramQueries: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let desk: AnswerDesk

    init(_ desk: AnswerDesk) { self.desk = desk }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let client = envelope.remoteAddress
        switch desk.answer(Array(envelope.data.readableBytesView), from: client) {
        case .nothing: return
        case .now(let answer):
            // Where answers do not leave the machine, more of them only take memory; the client asks again.
            guard context.channel.isWritable else { return desk.dropped() }
            context.write(wrapOutboundOut(AddressedEnvelope(remoteAddress: client, data: answer)), promise: nil)
        case .later(let future):
            let channel = context.channel
            future.whenSuccess { answer in
                channel.writeAndFlush(AddressedEnvelope(remoteAddress: client, data: answer), promise: nil)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        desk.flushCounts()
    }

    /// A client that went away makes the socket report errors; the others go on.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Answers the queries of one connection, each as soon as its answer is there (RFC 7766, section 7), and reads no
/// further while many are under way or the client does not take its answers.
final class StreamQueries: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = Never
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Queries of one connection that wait for upstream.
    static let waitingLimit = 64

    private let desk: AnswerDesk
    private var waiting = 0
    private var holdsRead = false
    /// The client has said all; it is let go when it has all answers.
    private var isLast = false

    init(_ desk: AnswerDesk) { self.desk = desk }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        waiting < Self.waitingLimit && context.channel.isWritable
    }

    func read(context: ChannelHandlerContext) {
        if mayRead(context) { context.read() } else { holdsRead = true }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch desk.answer(Array(unwrapInboundIn(data).readableBytesView), from: context.channel.remoteAddress) {
        case .nothing: return
        case .now(let answer): context.write(wrapOutboundOut(answer), promise: nil)
        case .later(let future):
            waiting += 1
            let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
            future.whenSuccess { answer in
                let (handler, context) = bound.value
                handler.waiting -= 1
                guard context.channel.isActive else { return }
                context.writeAndFlush(handler.wrapOutboundOut(answer), promise: nil)
                handler.goOn(context)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        desk.flushCounts()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        goOn(context)
        context.fireChannelWritabilityChanged()
    }

    private func goOn(_ context: ChannelHandlerContext) {
        if isLast, waiting == 0 {
            context.close(promise: nil)
        } else if holdsRead, mayRead(context) {
            holdsRead = false
            context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is IdleStateHandler.IdleStateEvent: context.close(promise: nil)
        case ChannelEvent.inputClosed:
            isLast = true
            context.flush()
            goOn(context)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
