// Bytes in, bytes out: joins the reader, the responder, the forwarder and the writer.

import NIO
import Synchronization

/// Answers queries by the responder of the moment, forwarding what it says to forward.
final class QueryAnswerer: Sendable {
    private let responder: Mutex<Responder>
    private let forwarder: Forwarder
    private let rotation = Atomic<Int>(0)

    init(responder: Responder, forwarder: Forwarder) {
        self.responder = Mutex(responder)
        self.forwarder = forwarder
    }

    func update(_ zone: Zone) { responder.withLock { $0.zone = zone } }

    /// The answer's bytes, or nil when there is nobody to answer. Never fails: what cannot be had is a SERVFAIL.
    func answer(
        _ bytes: [UInt8], over carrier: Forwarder.Carrier, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]?> {
        guard let query = try? MessageReader.message(bytes) else {
            return loop.makeSucceededFuture(MessageReader.complaint(about: bytes).map { MessageWriter.bytes($0) })
        }
        let limit = Self.limitBytes(query, carrier)
        let turn = rotation.add(1, ordering: .relaxed).newValue
        // A copy is taken, so that the lock is not held while the answer is made.
        switch responder.withLock({ $0 }).resolve(query, rotation: turn) {
        case .ignore:
            return loop.makeSucceededFuture(nil)
        case .answer(let message):
            return loop.makeSucceededFuture(MessageWriter.bytes(message, limitBytes: limit))
        case .forward:
            return forwarder.ask(bytes, over: carrier, on: loop).map { $0 }.flatMapErrorThrowing { _ in
                MessageWriter.bytes(Self.failure(of: query), limitBytes: limit)
            }
        case .follow(let start, let question):
            let next = Message(
                id: UInt16.random(in: 0...UInt16.max), isRecursionDesired: true, questions: [question],
                extension: Extension(payloadLimitBytes: UInt16(MessageWriter.datagramLimitBytes)))
            return forwarder.ask(MessageWriter.bytes(next), over: carrier, on: loop).flatMapThrowing { answer in
                MessageWriter.bytes(start.followed(by: try MessageReader.message(answer)), limitBytes: limit)
            }.flatMapErrorThrowing { _ in MessageWriter.bytes(Self.failure(of: query), limitBytes: limit) }
        }
    }

    private static func failure(of query: Message) -> Message {
        Message(
            id: query.id, isResponse: true, isRecursionDesired: query.isRecursionDesired, isRecursionAvailable: true,
            code: .serverFailure, questions: query.questions)
    }

    private static func limitBytes(_ query: Message, _ carrier: Forwarder.Carrier) -> Int {
        switch carrier {
        case .stream: MessageWriter.streamLimitBytes
        case .datagram:
            min(
                max(Int(query.extension?.payloadLimitBytes ?? 0), MessageWriter.plainLimitBytes),
                MessageWriter.datagramLimitBytes)
        }
    }
}
