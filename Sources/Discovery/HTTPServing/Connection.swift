// One client's connection: reads its requests one after the other, has each answered, and holds it to the limits.

import NIOCore
import NIOHTTP1

/// Whatever comes while a request is being answered, or while the client does not take its answers, waits: read
/// already, it is at most what was read at once; more is not read.
final class Connection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// What comes from the client.
    private enum Arrival {
        case part(HTTPServerRequestPart)
        /// It is no HTTP from here on.
        case broken(status: Int)
        /// The client says no more.
        case ended
    }

    private struct Receiving {
        var head: HTTPRequestHead
        var body: ByteBuffer?
    }

    private let answer: @Sendable (HTTPRequest) -> Answering
    private let limits: ServingLimits
    private let date: DateLine
    private var peer = ""
    private var context: ChannelHandlerContext?

    /// The request that is coming in.
    private var receiving: Receiving?
    /// The form of the answer that a task makes.
    private var awaited: AnswerForm?
    /// Makes it; ends with the connection.
    private var task: Task<Void, Never>?
    private var held: CircularBuffer<Arrival> = []
    private var wantsToRead = false
    private var hasUnflushed = false
    private var clientHasEnded = false
    /// The last answer is given; what still comes is dropped.
    private var isLeaving = false
    /// When the connection is closed unless something moves.
    private var deadline = NIODeadline.distantFuture
    private var look: Scheduled<Void>?
    private var untaken = 0

    init(limits: ServingLimits, date: DateLine, answer: @escaping @Sendable (HTTPRequest) -> Answering) {
        self.limits = limits
        self.date = date
        self.answer = answer
    }

    private var isBusy: Bool { awaited != nil || context?.channel.isWritable == false }

    // MARK: What happens

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        peer = context.remoteAddress?.ipAddress ?? ""
        deadline = context.eventLoop.now + limits.patience
        lookAgain(at: deadline)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isLeaving = true
        task?.cancel()
        look?.cancel()
        held.removeAll()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { arrived(.part(unwrapInboundIn(data))) }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { arrived(.ended) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow: arrived(.broken(status: 431))
        case is HTTPParserError: arrived(.broken(status: 400))
        // The decoder does not read on after an error.
        case is ByteToMessageDecoderError: break
        default: context.close(promise: nil)
        }
    }

    func read(context: ChannelHandlerContext) {
        if isBusy, !isLeaving { wantsToRead = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        resume()
        context.fireChannelWritabilityChanged()
    }

    // MARK: Requests

    private func arrived(_ arrival: Arrival) {
        if isLeaving {
            if case .ended = arrival { context?.close(promise: nil) }
        } else if isBusy {
            held.append(arrival)
        } else {
            take(arrival)
        }
    }

    private func take(_ arrival: Arrival) {
        switch arrival {
        case .part(.head(let head)): began(head)
        case .part(.body(let bytes)): continued(bytes)
        case .part(.end): completed()
        case .broken(let status): refuse(status, "this is not understood as HTTP/1.1")
        case .ended:
            clientHasEnded = true
            leave()
        }
    }

    private func began(_ head: HTTPRequestHead) {
        receiving = Receiving(head: head)
        guard let context else { return }
        deadline = context.eventLoop.now + limits.patience
        guard
            let length = head.headers.first(name: "content-length").map({ Int($0) ?? .max })
                ?? (head.headers.contains(name: "transfer-encoding") ? 1 : nil), length > 0
        else { return }
        if length > limits.bodyBytes { return refuseTooLong() }
        if head.headers.first(name: "expect")?.lowercased() == "100-continue" {
            context.writeAndFlush(wrapOutboundOut(.continue), promise: nil)
        }
    }

    private func continued(_ bytes: ByteBuffer) {
        guard let known = receiving?.body?.readableBytes else {
            receiving?.body = bytes
            if bytes.readableBytes > limits.bodyBytes { refuseTooLong() }
            return
        }
        guard known + bytes.readableBytes <= limits.bodyBytes else { return refuseTooLong() }
        receiving?.body?.writeImmutableBuffer(bytes)
    }

    private func completed() {
        guard let context, let receiving else { return }
        self.receiving = nil
        let head = receiving.head
        // After a request to upgrade, which is not done here, the decoder reads no other.
        let keepsAlive = head.isKeepAlive && !head.headers.contains(name: "upgrade")
        let form = AnswerForm(isHead: head.method == .HEAD, keepsAlive: keepsAlive, isOld: head.version == .http1_0)
        let request = HTTPRequest(
            method: form.isHead ? "GET" : head.method.rawValue, target: head.uri, fields: head.headers,
            body: receiving.body.map { Array(buffer: $0) } ?? [], peer: peer)
        switch answer(request) {
        case .now(let answer): write(answer, form)
        case .later(let work):
            awaited = form
            flush()
            let loop = context.eventLoop
            let connection = NIOLoopBound(self, eventLoop: loop)
            task = Task {
                let answer = await work()
                loop.execute { connection.value.worked(answer) }
            }
        }
    }

    // MARK: Answers

    private func worked(_ answer: HTTPAnswer) {
        task = nil
        guard let form = awaited else { return }
        awaited = nil
        guard !isLeaving else { return }
        write(answer, form)
        flush()
        resume()
    }

    private func write(_ answer: HTTPAnswer, _ form: AnswerForm) {
        guard let context else { return }
        var bytes = context.channel.allocator.buffer(capacity: 512)
        bytes.write(answer, form, date: date.text)
        context.write(wrapOutboundOut(bytes), promise: nil)
        hasUnflushed = true
        deadline = context.eventLoop.now + limits.patience
        if !form.keepsAlive { leave() }
    }

    private func flush() {
        guard hasUnflushed else { return }
        hasUnflushed = false
        context?.flush()
    }

    /// Goes on with what has waited, as far as it may.
    private func resume() {
        while !isBusy, !isLeaving, let next = held.popFirst() { take(next) }
        flush()
        guard wantsToRead, !isBusy || isLeaving else { return }
        wantsToRead = false
        context?.read()
    }

    private func refuseTooLong() { refuse(413, "the body is longer than \(limits.bodyBytes) bytes") }

    private func refuse(_ status: Int, _ reason: String) {
        receiving = nil
        let fields = [(name: "Content-Type", value: "text/plain;charset=UTF-8")]
        write(HTTPAnswer(status: status, fields: fields, body: Array(reason.utf8)), AnswerForm(keepsAlive: false))
    }

    /// Closes when everything is sent and the client has had time to read it: closed at once, with bytes of it unread,
    /// it would lose the answer.
    private func leave() {
        guard let context, !isLeaving else { return }
        isLeaving = true
        hasUnflushed = false
        let sent = context.writeAndFlush(wrapOutboundOut(ByteBuffer()))
        sent.assumeIsolated().whenComplete { _ in
            guard let context = self.context else { return }
            if self.clientHasEnded { return context.close(promise: nil) }
            context.close(mode: .output, promise: nil)
            self.deadline = context.eventLoop.now + self.limits.farewell
            self.lookAgain(at: self.deadline)
        }
        resume()
    }

    // MARK: Time

    private func lookAgain(at deadline: NIODeadline) {
        look?.cancel()
        look = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timePassed() }
    }

    private func timePassed() {
        guard let context else { return }
        let now = context.eventLoop.now
        let left = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if awaited != nil || left > 0 && left != untaken { deadline = max(deadline, now + limits.patience) }
        untaken = left
        if now >= deadline { context.close(promise: nil) } else { lookAgain(at: deadline) }
    }
}
