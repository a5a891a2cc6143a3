// Cuts a connection's bytes into frames and gives them to the keeper, which runs on the same event loop.

import NIOCore

final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let keeper: Keeper
    private var connection: Connection?
    private var bytes: ByteBuffer?
    private var hasGreeted = false
    /// Of a frame that has come in part; the keeper counts those of all connections together.
    private var partialBytes = 0

    init(_ keeper: Keeper) { self.keeper = keeper }

    func channelActive(context: ChannelHandlerContext) {
        connection = keeper.opened(context.channel)
        if connection == nil { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        keeper.partialBytes -= partialBytes
        partialBytes = 0
        guard let connection else { return }
        keeper.closed(connection)
        self.connection = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let connection else { return }
        var arrived = unwrapInboundIn(data)
        if var bytes {
            self.bytes = nil
            bytes.writeBuffer(&arrived)
            self.bytes = bytes
        } else {
            bytes = arrived
        }
        do throws(WireProblem) {
            try readFrames(connection)
        } catch {
            keeper.refused(connection, error)
            bytes = nil
        }
        keep(context)
    }

    private func readFrames(_ connection: Connection) throws(WireProblem) {
        guard var bytes else { return }
        self.bytes = nil
        defer { if bytes.readableBytes > 0, !connection.isLeaving { self.bytes = bytes } }
        if !hasGreeted, bytes.readableBytes >= 4 {
            hasGreeted = true
            let word = bytes.getString(at: bytes.readerIndex, length: 4) ?? ""
            if let word = FourLetterWord(rawValue: word) {
                bytes.clear()
                return keeper.asked(word, connection)
            }
        }
        while !connection.isLeaving, let length: Int32 = bytes.getInteger(at: bytes.readerIndex) {
            let limit = connection.session == 0 ? keeper.limits.greetingBytes : keeper.limits.frameBytes
            guard length >= 0, length <= limit else { throw .frameTooLong(Int(length), limit: limit) }
            guard bytes.readableBytes >= 4 + Int(length) else { break }
            bytes.moveReaderIndex(forwardBy: 4)
            guard let frame = bytes.readSlice(length: Int(length)) else { break }
            try keeper.received(frame, from: connection)
        }
    }

    /// Counts what is kept of an unfinished frame, and does without what has been read of the buffer.
    private func keep(_ context: ChannelHandlerContext) {
        let kept = bytes?.readableBytes ?? 0
        bytes?.discardReadBytes()
        keeper.partialBytes += kept - partialBytes
        partialBytes = kept
        if keeper.partialBytes > keeper.limits.partialBytes, kept > keeper.limits.greetingBytes {
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { keeper.flush() }

    /// So much waits for a client that does not read that the buffers are full.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if !context.channel.isWritable, let connection { keeper.overflowed(connection) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
