// Bytes in, bytes out: joins the query, the responder and the forwarder.

import NIO
import Synchronization

/// What came of a query.
enum Reply {
    case nothing
    case now(ByteBuffer)
    /// An answer that comes from elsewhere. Never fails.
    case later(EventLoopFuture<ByteBuffer>)
}

enum Carrier: Int, Sendable {
    case datagram, stream
}

/// Answers queries by the responder of the moment, forwarding what it says to forward. One for all sockets.
final class QueryAnswerer: Sendable {
    private struct Current: Sendable {
        var responder: Responder
        var version = 0
    }

    private let current: Mutex<Current>
    /// Raised after `current` has changed, so that sockets take the lock only then.
    private let version = Atomic<Int>(0)
    let forwarder: Forwarder
    let counters = Mutex(QueryCounts())

    init(responder: Responder, forwarder: Forwarder) {
        current = Mutex(Current(responder: responder))
        self.forwarder = forwarder
    }

    func update(_ zone: Zone) { change { $0.zone = zone } }

    /// Forwards to these servers from now on; to none, it says so.
    func use(upstreams: [SocketAddress]) {
        forwarder.use(upstreams)
        change { $0.canForward = !upstreams.isEmpty }
    }

    private func change(_ edit: (inout Responder) -> Void) {
        let version = current.withLock { current in
            edit(&current.responder)
            current.version += 1
            return current.version
        }
        self.version.store(version, ordering: .releasing)
    }

    var responder: Responder { current.withLock { $0.responder } }

    /// A socket's own view, which costs no lock while nothing changes. Belongs to one event loop.
    func makeDesk(_ carrier: Carrier, on loop: any EventLoop) -> AnswerDesk {
        AnswerDesk(self, carrier, loop: loop)
    }

    fileprivate func refresh(_ held: inout (responder: Responder, version: Int)) {
        guard version.load(ordering: .acquiring) != held.version else { return }
        held = current.withLock { ($0.responder, $0.version) }
    }
}

/// Answers what comes by one socket, on its event loop.
final class AnswerDesk {
    private let answerer: QueryAnswerer
    private let carrier: Carrier
    private let loop: any EventLoop
    private var held: (responder: Responder, version: Int)
    private var rotation = 0
    /// Counted here and handed over at the end of a batch.
    private var counts = QueryCounts()

    fileprivate init(_ answerer: QueryAnswerer, _ carrier: Carrier, loop: any EventLoop) {
        self.answerer = answerer
        self.carrier = carrier
        self.loop = loop
        held = (answerer.responder, -1)
    }

    /// Call when a batch of queries is through.
    func flushCounts() {
        guard !counts.isEmpty else { return }
        answerer.counters.withLock { $0.add(counts) }
        counts = QueryCounts()
    }

    /// An answer found no room on its way out.
    func dropped() { counts.dropped += 1 }

    func answer(_ bytes: [UInt8], from source: @autoclosure () -> SocketAddress?) -> Reply {
        switch Query.read(bytes) {
        case .nothing:
            counts.dropped += 1
            return .nothing
        case .refused(let code, let questionEnd, let `extension`):
            counts.answered(carrier, nil, code)
            var writer = AnswerWriter(
                to: bytes, questionEnd: questionEnd, extension: `extension`, limitBytes: MessageWriter.plainLimitBytes)
            let flags = held.responder.canForward ? HeaderFlags.recursionAvailable : 0
            return .now(writer.finish(to: bytes, code: code, flags: flags))
        case .query(let query):
            answerer.refresh(&held)
            rotation &+= 1
            switch held.responder.resolve(query, limitBytes: limitBytes(query), rotation: rotation) {
            case .answer(let buffer, let code):
                counts.answered(carrier, query.type, code)
                return .now(buffer)
            case .forward: return forwarded(query, QuestionKey(query), chain: nil, source())
            case .follow(let chain):
                let question = Question(name: chain.target, type: query.type)
                let key = QuestionKey(question, wantsSecurity: query.extension?.wantsSecurity ?? false)
                return forwarded(query, key, chain: chain, source())
            }
        }
    }

    private func forwarded(_ query: Query, _ key: QuestionKey, chain: AliasChain?, _ source: SocketAddress?) -> Reply {
        switch answerer.forwarder.ask(key, from: source.flatMap(IPAddress.init), on: loop) {
        case .now(let given):
            let written = written(given, to: query, chain)
            counts.answered(carrier, query.type, written.code)
            return .now(written.buffer)
        case .refused:
            guard case .answer(let buffer, let code) = held.responder.refusal(query, .refused, limitBytes(query)) else {
                return .nothing
            }
            counts.answered(carrier, query.type, code)
            return .now(buffer)
        case .later(let future):
            let desk = NIOLoopBound(self, eventLoop: loop)
            return .later(
                future.map { given in
                    let written = desk.value.written(given, to: query, chain)
                    desk.value.counts.answered(desk.value.carrier, query.type, written.code)
                    desk.value.flushCounts()
                    return written.buffer
                })
        }
    }

    private func written(
        _ given: GivenAnswer, to query: Query, _ chain: AliasChain?
    ) -> (buffer: ByteBuffer, code: ResponseCode) {
        var given = given
        if let chain {
            var message =
                given.answer.message(ageSeconds: given.ageSeconds, isStale: given.isStale)
                ?? Message(id: 0, code: .serverFailure)
            message.questions = [Question(name: query.domainName, type: query.type, classNumber: query.classNumber)]
            message.answers = chain.records + message.answers
            message.isAuthentic = false
            given = GivenAnswer(answer: StoredAnswer(message))
        }
        let flags = HeaderFlags.recursionAvailable
        return (
            given.answer.written(
                to: query, ageSeconds: given.ageSeconds, isStale: given.isStale, flags: flags,
                limitBytes: limitBytes(query)), given.answer.code
        )
    }

    private func limitBytes(_ query: Query) -> Int {
        switch carrier {
        case .stream: MessageWriter.streamLimitBytes
        case .datagram:
            min(
                max(Int(query.extension?.payloadLimitBytes ?? 0), MessageWriter.plainLimitBytes),
                MessageWriter.datagramLimitBytes)
        }
    }
}

extension IPAddress {
    init?(_ address: SocketAddress) {
        switch address {
        case .v4(let address): self = .v4(UInt32(bigEndian: address.address.sin_addr.s_addr))
        case .v6(let address): self.init(bytes: withUnsafeBytes(of: address.address.sin6_addr) { Array($0) })
        case .unixDomainSocket: return nil
        }
    }
}
