// One question to one upstream server and its answer, over a socket of its own.

import NIO

/// Asks over UDP, and over TCP when the answer says that it was cut.
///
/// The socket is connected, so that the kernel takes answers from that server alone; its port and the query's id are
/// random, so that a forger has to guess both (RFC 5452).
struct UpstreamExchange: Sendable {
    static let answerLimit = TimeAmount.milliseconds(1300)

    enum Fault: Error {
        case timedOut, closed, noAnswer
    }

    let key: QuestionKey
    let server: SocketAddress
    let loop: any EventLoop
    /// Leaves EDNS0 out.
    let isPlain: Bool

    func run() -> EventLoopFuture<Message> {
        ask(overStream: false).flatMap { answer in
            answer.isTruncated ? ask(overStream: true) : loop.makeSucceededFuture(answer)
        }
    }

    private func ask(overStream: Bool) -> EventLoopFuture<Message> {
        let promise = loop.makePromise(of: Message.self)
        let id = UInt16.random(in: 0...UInt16.max)
        let query = Message(
            id: id, isRecursionDesired: true, isAuthentic: !isPlain, isCheckingDisabled: key.isCheckingDisabled,
            questions: [key.question],
            extension: isPlain
                ? nil
                : Extension(
                    payloadLimitBytes: UInt16(MessageWriter.datagramLimitBytes), wantsSecurity: key.wantsSecurity))
        let timeout = loop.scheduleTask(in: Self.answerLimit) { promise.fail(Fault.timedOut) }
        connected(overStream: overStream, id: id, promise).whenComplete { result in
            switch result {
            case .failure(let error): promise.fail(error)
            case .success(let channel):
                promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
                channel.writeAndFlush(ByteBuffer(bytes: MessageWriter.bytes(query))).cascadeFailure(to: promise)
            }
        }
        return promise.futureResult.always { _ in timeout.cancel() }
    }

    private func connected(
        overStream: Bool, id: UInt16, _ promise: EventLoopPromise<Message>
    ) -> EventLoopFuture<any Channel> {
        let question = key.question
        if overStream {
            return ClientBootstrap(group: loop).connectTimeout(Self.answerLimit).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        ByteToMessageHandler(FrameDecoder()), FrameWriter(), OneAnswer(to: question, id: id, promise),
                    ])
                }
            }.connect(to: server)
        }
        return DatagramBootstrap(group: loop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers([
                    DatagramPayloads(), OneAnswer(to: question, id: id, promise),
                ])
            }
        }.connect(to: server)
    }
}

/// Fulfils a promise with the first message that answers the question; everything else that comes is read over.
private final class OneAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let question: Question
    private let id: UInt16
    private let promise: EventLoopPromise<Message>

    init(to question: Question, id: UInt16, _ promise: EventLoopPromise<Message>) {
        self.question = question
        self.id = id
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let message = try? MessageReader.message(Array(unwrapInboundIn(data).readableBytesView)),
            message.id == id,
            message.isResponse, message.operation == 0
        else { return }
        // A server that cannot read the query may leave the question out.
        let isRefusal = message.questions.isEmpty && message.code == .formatError
        if isRefusal || message.questions == [question] { promise.succeed(message) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(UpstreamExchange.Fault.closed) }
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
            promise?.fail(UpstreamExchange.Fault.closed)
            return
        }
        context.write(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: remote, data: unwrapOutboundIn(data))), promise: promise)
    }
}
