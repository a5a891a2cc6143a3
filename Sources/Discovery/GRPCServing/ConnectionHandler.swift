// One connection's life beside its calls: is the client there, does it speak HTTP/2, and how it is told that the server
// goes.

import NIOCore
import NIOHTTP2

final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let limits: GRPCLimits
    private var context: ChannelHandlerContext?
    private var lastHeard = NIODeadline.now()
    /// The client was asked whether it is there, and nothing came since.
    private var isAsked = false
    private var isLeaving = false
    private var look: Scheduled<Void>?

    init(limits: GRPCLimits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        lastHeard = context.eventLoop.now
        lookAgain(at: lastHeard + limits.silence)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        look?.cancel()
        context.fireChannelInactive()
    }

    /// Follows whatever was read, of whichever call.
    func channelReadComplete(context: ChannelHandlerContext) {
        lastHeard = context.eventLoop.now
        isAsked = false
        context.fireChannelReadComplete()
    }

    /// Frames of the connection itself, which are acted upon already.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // The call's own, and ended with it.
        case is NIOHTTP2Errors.StreamError: return
        // A call may have begun while the client was being told to begin none.
        case is NIOHTTP2Errors.NoSuchStream where isLeaving: return
        default: context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { leave() }
        context.fireUserInboundEventTriggered(event)
    }

    /// Asks the client to begin no more calls here, and closes when it has had time to end those it has.
    private func leave() {
        guard let context, !isLeaving else { return }
        isLeaving = true
        send(.goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil))
        lookAgain(at: context.eventLoop.now + limits.farewell)
    }

    private func send(_ payload: HTTP2Frame.FramePayload) {
        context?.writeAndFlush(wrapOutboundOut(HTTP2Frame(streamID: .rootStream, payload: payload)), promise: nil)
    }

    private func lookAgain(at deadline: NIODeadline) {
        look?.cancel()
        look = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timePassed() }
    }

    private func timePassed() {
        guard let context else { return }
        if isLeaving || isAsked { return context.close(promise: nil) }
        let now = context.eventLoop.now
        guard now - lastHeard >= limits.silence else { return lookAgain(at: lastHeard + limits.silence) }
        isAsked = true
        send(.ping(HTTP2PingData(withInteger: UInt64(now.uptimeNanoseconds)), ack: false))
        lookAgain(at: now + limits.patience)
    }
}
