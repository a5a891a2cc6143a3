// Messages over TCP: each has its length before it (RFC 1035, section 4.2.2).

import NIO

/// Cuts a stream into messages. The length is two bytes, so that no message is larger than 64 KiB.
final class FrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt16.self),
            let whole = buffer.readSlice(length: 2 + Int(length))
        else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(whole.getSlice(at: whole.readerIndex + 2, length: Int(length)) ?? whole))
        return .continue
    }

    func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) throws -> DecodingState {
        try decode(context: context, buffer: &buffer)
    }
}

/// Puts the length before each message.
final class FrameWriter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let message = unwrapOutboundIn(data)
        var frame = context.channel.allocator.buffer(capacity: message.readableBytes + 2)
        frame.writeInteger(UInt16(truncatingIfNeeded: message.readableBytes))
        frame.writeImmutableBuffer(message)
        context.write(wrapOutboundOut(frame), promise: promise)
    }
}
