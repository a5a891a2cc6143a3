// One call: reads its messages, has them answered, and ends with a status.

import NIOCore
import NIOHPACK
import NIOHTTP2
import Synchronization

/// What the calls of one connection have in common.
struct CallScope: Sendable {
    let methods: [String: GRPCMethod]
    let limits: GRPCLimits
    let peer: GRPCPeer
    /// Of messages that are not whole yet, of all calls.
    let unfinishedBytes: NIOLoopBoundBox<Int>
}

/// Everything happens on the connection's event loop; only a task that answers later runs elsewhere.
final class CallHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private enum Stage {
        case awaitingHead
        /// The message comes in, and then the end of what the client says.
        case collecting(answer: @Sendable ([UInt8], GRPCPeer) -> GRPCAnswering, message: [UInt8]?)
        case working(Task<Void, Never>)
        case conversing(any GRPCConversation)
        case over
    }

    private let scope: CallScope
    private var reader: MessageReader
    private var stage = Stage.awaitingHead
    private var context: ChannelHandlerContext?
    private var clientHasEnded = false
    private var hasBegunToAnswer = false
    private var isSpeaking = false
    /// When the client waits no longer.
    private var deadline: NIODeadline?
    private var ending: Scheduled<Void>?
    /// This call's part of the connection's.
    private var unfinishedBytes = 0

    init(_ scope: CallScope) {
        self.scope = scope
        reader = MessageReader(limit: scope.limits.messageBytes)
    }

    // MARK: What happens

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    /// Also after the client took its call back.
    func channelInactive(context: ChannelHandlerContext) { end() }

    /// The channel is closed by who found the error.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let part):
            clientHasEnded = part.endStream
            if case .awaitingHead = stage { began(part.headers) }
        case .data(let part):
            clientHasEnded = part.endStream
            if case .byteBuffer(let bytes) = part.data { arrived(bytes) }
        default: return
        }
        if clientHasEnded { heardAll() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { speak() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, case .conversing = stage {
            finish(GRPCStatus(.unavailable, "the server is going"))
        }
    }

    // MARK: What the client says

    private func began(_ fields: HPACKHeaders) {
        let head: CallHead
        do throws(CallHead.Refusal) {
            head = try CallHead(fields)
        } catch {
            return end(sending: AnswerFields.refusal(error))
        }
        deadline = head.timeout.flatMap { timeout in context.map { $0.eventLoop.now + timeout } }
        switch scope.methods[head.path] {
        case .unary(let answer): stage = .collecting(answer: answer, message: nil)
        case .conversation(let open): converse(open)
        case nil: finish(GRPCStatus(.unimplemented, "\(head.path.prefix(200)) is not served"))
        }
    }

    private func arrived(_ bytes: ByteBuffer) {
        switch stage {
        case .awaitingHead, .working, .over: return
        case .collecting, .conversing: reader.arrived(bytes)
        }
        do throws(GRPCStatus) {
            while let message = try reader.next() { try take(message) }
            try count(unfinished: reader.unfinishedBytes)
        } catch {
            finish(error)
        }
    }

    private func take(_ message: [UInt8]) throws(GRPCStatus) {
        switch stage {
        case .collecting(let answer, nil): stage = .collecting(answer: answer, message: message)
        case .collecting: throw GRPCStatus(.unimplemented, "the method takes one message, and more came")
        case .conversing(let conversation): try conversation.received(message)
        case .awaitingHead, .working, .over: break
        }
    }

    private func count(unfinished: Int) throws(GRPCStatus) {
        scope.unfinishedBytes.value += unfinished - unfinishedBytes
        unfinishedBytes = unfinished
        guard scope.unfinishedBytes.value <= scope.limits.unfinishedBytes else {
            let limit = scope.limits.unfinishedBytes
            throw GRPCStatus(.resourceExhausted, "the connection's unfinished messages are longer than \(limit) bytes")
        }
    }

    private func heardAll() {
        guard reader.unfinishedBytes == 0 else {
            return finish(GRPCStatus(.internalError, "the call's last message is not whole"))
        }
        switch stage {
        case .collecting(let answer, .some(let message)): perform(answer(message, scope.peer))
        case .collecting: finish(GRPCStatus(.unimplemented, "the method takes one message, and none came"))
        case .conversing: finish(.ok)
        case .awaitingHead, .working, .over: break
        }
    }

    // MARK: What it is answered

    private func perform(_ answering: GRPCAnswering) {
        switch answering {
        case .now(let outcome): answer(outcome)
        case .later(let work):
            guard let loop = context?.eventLoop else { return }
            let call = NIOLoopBound(self, eventLoop: loop)
            stage = .working(
                Task {
                    let outcome = await work()
                    loop.execute { call.value.answer(outcome) }
                })
            endInTime()
        }
    }

    private func answer(_ outcome: GRPCOutcome) {
        if case .over = stage { return }
        switch outcome {
        case .success(let message):
            send(message)
            finish(.ok)
        case .failure(let status): finish(status)
        }
    }

    private func converse(_ open: (GRPCPeer, @escaping @Sendable () -> Void) -> any GRPCConversation) {
        guard let context else { return }
        let waker = Waker(NIOLoopBound(self, eventLoop: context.eventLoop), on: context.eventLoop)
        stage = .conversing(open(scope.peer) { waker.wake() })
        beginToAnswer()
        context.flush()
        endInTime()
    }

    /// Sends what the conversation has to say, while the client takes it.
    fileprivate func speak() {
        guard let context, case .conversing(let conversation) = stage, !isSpeaking else { return }
        isSpeaking = true
        defer { isSpeaking = false }
        var left = GRPCLimits.messagesATurn
        do throws(GRPCStatus) {
            while left > 0 {
                let before = left
                while left > 0, context.channel.isWritable, let message = try conversation.next() {
                    send(message)
                    left -= 1
                }
                if left == before { return }
                context.flush()
            }
        } catch {
            return finish(error)
        }
        let call = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { call.value.speak() }
    }

    private func beginToAnswer() {
        guard !hasBegunToAnswer else { return }
        hasBegunToAnswer = true
        context?.write(wrapOutboundOut(.headers(.init(headers: AnswerFields.head))), promise: nil)
    }

    private func send(_ message: [UInt8]) {
        beginToAnswer()
        guard let context else { return }
        var bytes = context.channel.allocator.buffer(capacity: MessageReader.prefixBytes + message.count)
        bytes.writeInteger(UInt8(0))
        bytes.writeInteger(UInt32(message.count))
        bytes.writeBytes(message)
        context.write(wrapOutboundOut(.data(.init(data: .byteBuffer(bytes)))), promise: nil)
    }

    // MARK: The end

    private func finish(_ status: GRPCStatus) {
        end(sending: hasBegunToAnswer ? AnswerFields.trailers(status) : AnswerFields.alone(status))
    }

    /// A client that has not said its last is told that nobody listens, once it has been sent why.
    private func end(sending fields: HPACKHeaders) {
        if case .over = stage { return }
        end()
        let last = HTTP2Frame.FramePayload.headers(.init(headers: fields, endStream: true))
        guard let context, !clientHasEnded else {
            context?.writeAndFlush(wrapOutboundOut(last), promise: nil)
            return
        }
        context.writeAndFlush(wrapOutboundOut(last)).assumeIsolated().whenComplete { _ in
            guard let context = self.context, !self.clientHasEnded else { return }
            context.writeAndFlush(self.wrapOutboundOut(.rstStream(.noError)), promise: nil)
        }
    }

    private func end() {
        let last = stage
        stage = .over
        ending?.cancel()
        scope.unfinishedBytes.value -= unfinishedBytes
        unfinishedBytes = 0
        reader = MessageReader(limit: scope.limits.messageBytes)
        switch last {
        case .working(let task): task.cancel()
        case .conversing(let conversation): conversation.ended()
        case .awaitingHead, .collecting, .over: break
        }
    }

    private func endInTime() {
        guard let deadline else { return }
        ending = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.finish(GRPCStatus(.deadlineExceeded, "the call took longer than its client waits"))
        }
    }
}

/// Gets a call to speak, from anywhere; several times are one until it does.
private final class Waker: Sendable {
    private let call: NIOLoopBound<CallHandler>
    private let loop: any EventLoop
    private let isCalled = Atomic(false)

    init(_ call: NIOLoopBound<CallHandler>, on loop: any EventLoop) {
        self.call = call
        self.loop = loop
    }

    func wake() {
        guard !isCalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.execute {
            self.isCalled.store(false, ordering: .releasing)
            self.call.value.speak()
        }
    }
}
