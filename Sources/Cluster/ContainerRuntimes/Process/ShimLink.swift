// The runtime's connection to one pod's shim.

import Formats
import NIO
import Objects

/// Asks a shim and brings its answers back; passes on what it tells unasked.
struct ShimLink: Sendable {
    /// What a shim takes for anything but stopping and executing, whose own time comes on top.
    static let patience = TimeAmount.seconds(60)

    private let channel: any Channel

    /// Takes over a connected socket. `changed` and `closed` are called in order, on the connection's event loop.
    static func open(
        socket: Int32, changed: @escaping @Sendable (ContainerStatus) -> Void, closed: @escaping @Sendable () -> Void
    ) async throws(Problem) -> ShimLink {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            ShimLinkHandler(changed: changed, closed: closed))
                    }
                }
                .withConnectedSocket(socket).get()
            return ShimLink(channel: channel)
        } catch {
            throw Problem(.internalError, "the connection to a pod's shim failed: \(error)")
        }
    }

    /// Sends a request and waits for its answer; `extra` is how long the request itself may take.
    @discardableResult
    func ask(_ request: ShimRequest, extra: TimeAmount = .zero) async throws(Problem) -> JSON {
        let promise = channel.eventLoop.makePromise(of: JSON.self)
        let call = ShimCall(request: request, patience: Self.patience + extra, promise: promise)
        channel.writeAndFlush(call).whenFailure { promise.fail($0) }
        do {
            return try await promise.futureResult.get()
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.serviceUnavailable, "the pod's shim does not answer: \(error)")
        }
    }

    /// Returns once the shim has closed the connection.
    func waitUntilClosed() async { try? await channel.closeFuture.get() }

    func close() async { try? await channel.close() }
}

/// A request on its way down the connection.
struct ShimCall: Sendable {
    var request: ShimRequest
    var patience: TimeAmount
    var promise: EventLoopPromise<JSON>
}

/// Numbers requests and matches answers to them; lives on one event loop.
final class ShimLinkHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ShimCall
    typealias OutboundOut = ByteBuffer

    private let changed: @Sendable (ContainerStatus) -> Void
    private let closed: @Sendable () -> Void
    private var frames = ShimFrames()
    private var waiting: [Int: (promise: EventLoopPromise<JSON>, timeout: Scheduled<Void>)] = [:]
    private var asked = 0

    init(changed: @escaping @Sendable (ContainerStatus) -> Void, closed: @escaping @Sendable () -> Void) {
        self.changed = changed
        self.closed = closed
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        let answer = call.promise
        asked += 1
        let timeout = context.eventLoop.scheduleTask(in: call.patience) {
            answer.fail(Problem(.timeout, "the pod's shim did not answer in time"))
        }
        waiting[asked] = (answer, timeout)
        let frame = ShimFrames.frame(call.request.json(number: asked))
        context.write(wrapOutboundOut(context.channel.allocator.buffer(bytes: frame)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(Problem) {
            for json in try frames.received(unwrapInboundIn(data).readableBytesView) {
                switch try ShimMessage(json: json) {
                case .changed(let status): changed(status)
                case .answer(let number, let answer): take(number)?.succeed(answer)
                case .refusal(let number, let problem): take(number)?.fail(problem)
                }
            }
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    private func take(_ number: Int) -> EventLoopPromise<JSON>? {
        guard let entry = waiting.removeValue(forKey: number) else { return nil }
        entry.timeout.cancel()
        return entry.promise
    }

    func channelInactive(context: ChannelHandlerContext) {
        for number in waiting.keys.sorted() {
            take(number)?.fail(Problem(.serviceUnavailable, "the pod's shim has gone"))
        }
        closed()
        context.fireChannelInactive()
    }
}
