// The sockets: queries over UDP and TCP, and what is asked of a server that only the tests have.

import Formats
import NIO
import Synchronization
import Testing

@testable import DNSServer

/// An upstream server that answers by a script and counts what it is asked.
private final class Upstream: Sendable {
    enum Deed: Sendable {
        case address(UInt32, life: UInt32)
        case silence, refusal, badForm
        /// Says over UDP that it is cut, and gives the whole over TCP.
        case cut
    }

    struct State {
        var deeds: [Deed]
        var asked: [Message] = []
        var held: [@Sendable () -> Void] = []
        var holds = false
    }

    let state: Mutex<State>
    private let channels = Mutex<[any Channel]>([])
    private let bound = Mutex<SocketAddress?>(nil)

    /// The deeds in order; the last goes on.
    static func listening(_ deeds: Deed..., holding: Bool = false) async throws -> Upstream {
        let upstream = Upstream(deeds, holding)
        for _ in 0..<DNSListener.freePortTries where try await upstream.bind() { return upstream }
        throw ChannelError.operationUnsupported
    }

    private init(_ deeds: [Deed], _ holding: Bool) {
        state = Mutex(State(deeds: deeds, holds: holding))
    }

    var address: SocketAddress? { bound.withLock { $0 } }

    /// Takes a free port of one protocol; false where the other protocol's is somebody else's.
    private func bind() async throws -> Bool {
        let group = MultiThreadedEventLoopGroup.singleton
        let streams = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        ByteToMessageHandler(FrameDecoder()), FrameWriter(), Streams(self),
                    ])
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        let address = streams.localAddress
        do {
            let datagrams = try await DatagramBootstrap(group: group).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Datagrams(self))
                }
            }.bind(host: "127.0.0.1", port: address?.port ?? 0).get()
            channels.withLock { $0 = [datagrams, streams] }
        } catch {
            try await streams.close()
            return false
        }
        bound.withLock { $0 = address }
        return true
    }

    func close() async {
        for channel in channels.withLock({ $0 }) { try? await channel.close() }
    }

    var questions: Int { state.withLock { $0.asked.count } }

    func release() {
        let held = state.withLock { state in
            state.holds = false
            defer { state.held = [] }
            return state.held
        }
        for each in held { each() }
    }

    func answer(_ bytes: [UInt8], isStream: Bool, _ send: @escaping @Sendable ([UInt8]) -> Void) {
        guard let query = try? MessageReader.message(bytes), let question = query.questions.first else { return }
        let deed = state.withLock { state in
            state.asked.append(query)
            return state.deeds.count > 1 ? state.deeds.removeFirst() : state.deeds.first
        }
        var answer = Message(id: query.id, isResponse: true, isRecursionAvailable: true, questions: query.questions)
        func record(_ address: UInt32, _ life: UInt32) -> ResourceRecord {
            ResourceRecord(name: question.name, timeToLiveSeconds: life, data: .address(.v4(address)))
        }
        switch deed {
        case .address(let address, let life): answer.answers = [record(address, life)]
        case .silence, nil: return
        case .refusal: answer.code = .refused
        case .badForm:
            answer.code = .formatError
            answer.questions = []
        case .cut:
            if isStream { answer.answers = (0..<300).map { record($0, 60) } } else { answer.isTruncated = true }
        }
        let written = MessageWriter.bytes(answer)
        let isHeld = state.withLock { state in
            if state.holds { state.held.append { send(written) } }
            return state.holds
        }
        if !isHeld { send(written) }
    }

    private final class Datagrams: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        let upstream: Upstream
        init(_ upstream: Upstream) { self.upstream = upstream }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            let channel = context.channel
            upstream.answer(Array(envelope.data.readableBytesView), isStream: false) { bytes in
                channel.writeAndFlush(
                    AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: bytes)),
                    promise: nil)
            }
        }
    }

    private final class Streams: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let upstream: Upstream
        init(_ upstream: Upstream) { self.upstream = upstream }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let channel = context.channel
            upstream.answer(Array(unwrapInboundIn(data).readableBytesView), isStream: true) { bytes in
                channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            }
        }
    }
}

/// A client with one socket that gathers answers by id.
private final class Client: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let answers = Mutex<[Message]>([])

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let message = try? MessageReader.message(Array(unwrapInboundIn(data).readableBytesView)) else { return }
        answers.withLock { $0.append(message) }
    }

    /// Sends all over one connection and waits for as many answers.
    static func stream(_ queries: [[UInt8]], to endpoint: DNSEndpoint, answers count: Int? = nil) async throws
        -> [Message]
    {
        let client = Client()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).channelInitializer {
            channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers([
                    ByteToMessageHandler(FrameDecoder()), FrameWriter(), client,
                ])
            }
        }.connect(host: endpoint.address, port: endpoint.port).get()
        for query in queries { channel.write(ByteBuffer(bytes: query), promise: nil) }
        channel.flush()
        while client.answers.withLock({ $0.count }) < count ?? queries.count, channel.isActive {
            try await Task.sleep(for: .milliseconds(5))
        }
        try? await channel.close()
        return client.answers.withLock { $0 }
    }
}

@Suite(.timeLimit(.minutes(10))) struct ServingTests {
    /// Runs a server before these upstream servers.
    private func serve(
        _ upstreams: [Upstream], _ body: (DNSEndpoint, QueryAnswerer) async throws -> Void
    ) async throws {
        let answerer = QueryAnswerer(
            responder: Responder(domain: Samples.domain, zone: ResponderTests.zone, canForward: !upstreams.isEmpty),
            forwarder: Forwarder(upstreams: upstreams.compactMap(\.address)))
        let listener = try await DNSListener.bound(to: DNSEndpoint(address: "127.0.0.1", port: 0), answering: answerer)
        do {
            try await body(listener.endpoint, answerer)
        } catch {
            await listener.close()
            throw error
        }
        await listener.close()
        for upstream in upstreams { await upstream.close() }
    }

    private func ask(_ name: String, _ type: RecordType = .a, at endpoint: DNSEndpoint) async throws -> Message {
        let bytes = try await datagram(
            Samples.query(name, type, extension: Extension(payloadLimitBytes: 1232)), to: endpoint)
        return try MessageReader.message(bytes)
    }

    /// One query over UDP, asked again when it is lost.
    private func datagram(_ query: [UInt8], to endpoint: DNSEndpoint) async throws -> [UInt8] {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: [UInt8].self)
        let channel = try await DatagramBootstrap(group: loop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(FirstDatagram(promise))
            }
        }.bind(host: "127.0.0.1", port: 0).get()
        let remote = try SocketAddress(ipAddress: endpoint.address, port: endpoint.port)
        let again = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(8)) { _ in
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(bytes: query)), promise: nil)
        }
        defer { again.cancel() }
        let bytes = try await promise.futureResult.get()
        try await channel.close()
        return bytes
    }

    private final class FirstDatagram: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        let promise: EventLoopPromise<[UInt8]>
        init(_ promise: EventLoopPromise<[UInt8]>) { self.promise = promise }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            promise.succeed(Array(unwrapInboundIn(data).data.readableBytesView))
        }
    }

    @Test func overBothCarriers() async throws {
        try await serve([]) { (endpoint, _) async throws in
            #expect(try await ask("orders.shop.svc.cluster.local", at: endpoint).answers.count == 1)
            let names = ["orders", "nothing", "inside"]
            let queries = (0..<60).map { Samples.query("\(names[$0 % 3]).shop.svc.cluster.local", id: UInt16($0)) }
            let answers = try await Client.stream(queries, to: endpoint)
            #expect(Set(answers.map(\.id)) == Set(0..<60))
            #expect(answers.count { $0.code == .noSuchName } == 20)
        }
    }

    @Test func answersAreKeptAndTheirLivesCountDown() async throws {
        let upstream = try await Upstream.listening(.address(0x0102_0304, life: 300))
        try await serve([upstream]) { (endpoint, answerer) async throws in
            for _ in 0..<5 {
                let answer = try await ask("Www.Example.com", at: endpoint)
                #expect(answer.answerLines.first?.hasSuffix("A 1.2.3.4") == true && !answer.isAuthoritative)
                #expect(answer.questions.first?.name.description == "Www.Example.com.")
            }
            #expect(upstream.questions == 1)
            let asked = try #require(upstream.state.withLock { $0.asked.first })
            #expect(asked.isRecursionDesired && asked.extension?.payloadLimitBytes == 1232)
            var text = MetricsText()
            answerer.writeMetrics(to: &text)
            #expect(text.text.contains("mangrove_dns_cache_hits_total{kind=\"records\"} 4\n"))
            #expect(text.text.contains("mangrove_dns_upstream_up{to=\"127.0.0.1\"} 1\n"))
        }
    }

    @Test func equalQuestionsAreAskedOnce() async throws {
        let upstream = try await Upstream.listening(.address(1, life: 0), holding: true)
        try await serve([upstream]) { (endpoint, answerer) async throws in
            async let answers = Client.stream((0..<20).map { Samples.query("www.example.com", id: $0) }, to: endpoint)
            while answerer.forwarder.snapshot.joined < 19 { try await Task.sleep(for: .milliseconds(5)) }
            upstream.release()
            #expect(try await answers.count == 20)
            #expect(upstream.questions == 1)
        }
    }

    @Test func aSilentServerIsPassedOver() async throws {
        let silent = try await Upstream.listening(.silence)
        let good = try await Upstream.listening(.address(1, life: 60))
        try await serve([silent, good]) { (endpoint, answerer) async throws in
            #expect(try await ask("a.example.com", at: endpoint).answers.count == 1)
            #expect(try await ask("b.example.com", at: endpoint).answers.count == 1)
            // Twice in a row is enough: now it waits behind the other.
            let asked = silent.questions
            #expect(try await ask("c.example.com", at: endpoint).answers.count == 1)
            #expect(silent.questions == asked && answerer.forwarder.snapshot.upstreams.health[0].faults == 2)
        }
    }

    @Test func otherServersAreAskedWhenTheMachineNamesOthers() async throws {
        let (old, new) = (
            try await Upstream.listening(.address(1, life: 60)), try await Upstream.listening(.address(2, life: 60))
        )
        try await serve([]) { (endpoint, answerer) async throws in
            #expect(try await ask("a.example.com", at: endpoint).code == .refused)
            answerer.use(upstreams: [try #require(old.address)])
            #expect(try await ask("a.example.com", at: endpoint).answerLines.first?.hasSuffix("A 0.0.0.1") == true)
            answerer.use(upstreams: [try #require(new.address)])
            #expect(try await ask("b.example.com", at: endpoint).answerLines.first?.hasSuffix("A 0.0.0.2") == true)
            #expect(
                try await ask("a.example.com", at: endpoint).answerLines.first?.hasSuffix("A 0.0.0.1") == true,
                "it is kept")
            #expect(old.questions == 1 && new.questions == 1)
        }
        for upstream in [old, new] { await upstream.close() }
    }

    @Test func refusalsGoToTheNextAndThenToTheClient() async throws {
        let refusing = try await Upstream.listening(.refusal)
        let old = try await Upstream.listening(.badForm, .address(1, life: 60))
        try await serve([refusing, old]) { (endpoint, _) async throws in
            #expect(try await ask("a.example.com", at: endpoint).answers.count == 1)
            #expect(old.state.withLock { $0.asked.map { $0.extension == nil } } == [false, true])
        }
        let alone = try await Upstream.listening(.refusal)
        try await serve([alone]) { (endpoint, _) async throws in
            #expect(try await ask("a.example.com", at: endpoint).code == .refused)
        }
    }

    @Test func cutAnswersAreFetchedWhole() async throws {
        let upstream = try await Upstream.listening(.cut)
        try await serve([upstream]) { (endpoint, _) async throws in
            let short = try await ask("a.example.com", at: endpoint)
            #expect(short.isTruncated && short.answers.count > 60)
            let whole = try await Client.stream([Samples.query("a.example.com")], to: endpoint)
            #expect(whole.first?.answers.count == 300 && upstream.questions == 2)
        }
    }

    @Test func aliasesOutOfTheClusterAreFollowed() async throws {
        let upstream = try await Upstream.listening(.address(0x0102_0304, life: 60))
        try await serve([upstream]) { (endpoint, _) async throws in
            let answer = try await ask("outside.shop.svc.cluster.local", at: endpoint)
            #expect(
                answer.answerLines.map { $0.split(separator: " ").dropFirst(2).joined(separator: " ") } == [
                    "CNAME www.example.com.", "A 1.2.3.4",
                ])
        }
    }

    @Test func aStaleAnswerIsBetterThanNone() async throws {
        let upstream = try await Upstream.listening(.address(1, life: 1), .silence)
        try await serve([upstream]) { (endpoint, answerer) async throws in
            #expect(try await ask("a.example.com", at: endpoint).answers.count == 1)
            try await Task.sleep(for: .milliseconds(1100))
            // Waits for a fresh one first, then does not ask again for a while.
            #expect(try await ask("a.example.com", at: endpoint).answers.first?.timeToLiveSeconds == 30)
            #expect(try await ask("a.example.com", at: endpoint).answers.first?.timeToLiveSeconds == 30)
            #expect(answerer.forwarder.snapshot.cache.counts.staleHits >= 1)
        }
    }

    @Test func rubbishHurtsNobodyElse() async throws {
        try await serve([]) { (endpoint, _) async throws in
            for bytes: [UInt8] in [[], [1], [UInt8](repeating: 0xff, count: 1400), Array(repeating: 0, count: 12)] {
                let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: endpoint.address, port: endpoint.port).get()
                let remote = try #require(channel.remoteAddress)
                try await channel.writeAndFlush(
                    AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(bytes: bytes)))
                try await channel.close()
            }
            // A connection with half a frame, one that is too much for a message, and one that says nothing.
            let answers = try await Client.stream(
                [[UInt8](repeating: 0xff, count: 60_000), [], Samples.query("cluster.local", .soa)], to: endpoint,
                answers: 1)
            #expect(answers.count == 1)
            #expect(try await ask("orders.shop.svc.cluster.local", at: endpoint).code == .success)
        }
    }

    @Test func connectionsAreLimitedBySource() {
        let connections = ConnectionCount()
        let source = IPAddress("10.88.0.5")
        #expect((0..<100).count { _ in connections.enter(source) } == DNSListener.connectionLimitPerSource)
        #expect(connections.enter(IPAddress("10.88.0.6")))
        connections.leave(source)
        #expect(connections.enter(source))
    }
}
