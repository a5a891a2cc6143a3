// Notices when the reader of a streamed answer has gone.

import NIOCore
import Timing

/// Watches the end of a connection's input (HTTP/1.1) or of a stream (HTTP/2) and takes nothing from either: whoever
/// has waited here can still read the next request of the same connection.
final class ReaderPresence: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    /// Opens when nobody reads any more.
    let gone = Gate()

    /// The gate of a channel whose pipeline was built with this handler.
    static func gone(of channel: any Channel) async throws -> Gate {
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: ReaderPresence.self).gone
        }.get()
    }

    /// A client that sends nothing more has gone: none of Kubernetes' clients closes only half of a connection.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { gone.open() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        gone.open()
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        gone.open()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { gone.open() }
}
