// Asks upstream servers what the zone does not know.

import NIO
import Synchronization

/// Passes queries on, over what they came by, to one upstream after the other until one answers.
///
/// Every query gets a socket, and so a source port, of its own: a forger has to guess it besides the id.
final class Forwarder: Sendable {
    /// Queries under way; one more is refused.
    static let queryLimit = 512
    static let answerLimit = TimeAmount.seconds(2)

    enum Fault: Error {
        case noUpstream, tooManyQueries, timedOut, closed
    }

    enum Carrier: Sendable {
        case datagram, stream
    }

    let upstreams: [SocketAddress]
    private let underWay = Atomic<Int>(0)

    init(upstreams: [SocketAddress]) { self.upstreams = upstreams }

    /// The answer's bytes, with the query's own id.
    func ask(_ query: [UInt8], over carrier: Carrier, on loop: any EventLoop) -> EventLoopFuture<[UInt8]> {
        guard !upstreams.isEmpty else { return loop.makeFailedFuture(Fault.noUpstream) }
        guard underWay.add(1, ordering: .relaxed).newValue <= Self.queryLimit else {
            underWay.subtract(1, ordering: .relaxed)
            return loop.makeFailedFuture(Fault.tooManyQueries)
        }
        return ask(query, over: carrier, from: 0, on: loop).always { _ in self.underWay.subtract(1, ordering: .relaxed) }
    }

    private func ask(
        _ query: [UInt8], over carrier: Carrier, from index: Int, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]> {
        askOne(query, over: carrier, upstreams[index], on: loop).flatMapError { error in
            guard index + 1 < self.upstreams.count else { return loop.makeFailedFuture(error) }
            return self.ask(query, over: carrier, from: index + 1, on: loop)
        }
    }

    private func askOne(
        _ query: [UInt8], over carrier: Carrier, _ upstream: SocketAddress, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]> {
        let promise = loop.makePromise(of: [UInt8].self)
        let timeout = loop.scheduleTask(in: Self.answerLimit) { promise.fail(Fault.timedOut) }
        let connected: EventLoopFuture<any Channel>
        switch carrier {
        case .datagram:
            connected = DatagramBootstrap(group: loop).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramPayloads())
                    try channel.pipeline.syncOperations.addHandler(OneAnswer(to: query, promise))
                }
            }.connect(to: upstream)
        case .stream:
            connected = ClientBootstrap(group: loop).connectTimeout(Self.answerLimit).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([ByteToMessageHandler(FrameDecoder()), FrameWriter()])
                    try channel.pipeline.syncOperations.addHandler(OneAnswer(to: query, promise))
                }
            }.connect(to: upstream)
        }
        connected.whenComplete { result in
            switch result {
            case .failure(let error): promise.fail(error)
            case .success(let channel):
                promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
                channel.writeAndFlush(ByteBuffer(bytes: query)).cascadeFailure(to: promise)
            }
        }
        return promise.futureResult.always { _ in timeout.cancel() }
    }
}

/// Fulfils a promise with the first answer that has the query's id.
private final class OneAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let id: ArraySlice<UInt8>
    private let promise: EventLoopPromise<[UInt8]>

    init(to query: [UInt8], _ promise: EventLoopPromise<[UInt8]>) {
        id = query.prefix(2)
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let answer = Array(unwrapInboundIn(data).readableBytesView)
        if answer.count >= 12, answer.prefix(2) == id, answer[2] & 0x80 != 0 { promise.succeed(answer) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(Forwarder.Fault.closed) }
}

/// Turns the datagrams of a connected socket into their bytes and back.
private final class DatagramPayloads: ChannelDuplexHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).data))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let remote = context.channel.remoteAddress else {
            promise?.fail(Forwarder.Fault.closed)
            return
        }
        context.write(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: remote, data: unwrapOutboundIn(data))), promise: promise)
    }
}
