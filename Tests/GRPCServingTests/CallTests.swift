// A call's life by script: what the client sends, what it is answered, and how it ends.

import NIO
import NIOHPACK
import NIOHTTP2
import Synchronization
import Testing

@testable import GRPCServing

/// A conversation that says what is put in front of it, and keeps what it hears.
private final class Talk: GRPCConversation {
    private struct State {
        var heard: [String] = []
        var toSay: [String] = []
        var endings = 0
        var wake: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    func opened(_ wake: @escaping @Sendable () -> Void) -> Talk {
        state.withLock { $0.wake = wake }
        return self
    }

    func say(_ words: String...) {
        state.withLock { state in
            state.toSay += words
            return state.wake
        }?()
    }

    var heard: [String] { state.withLock { $0.heard } }
    var unsaid: [String] { state.withLock { $0.toSay } }
    var endings: Int { state.withLock { $0.endings } }

    func received(_ message: [UInt8]) throws(GRPCStatus) {
        let text = String(decoding: message, as: UTF8.self)
        if text == "nonsense" { throw GRPCStatus(.invalidArgument, "100% nonsense") }
        state.withLock { $0.heard.append(text) }
    }

    func next() throws(GRPCStatus) -> [UInt8]? {
        let word = state.withLock { $0.toSay.isEmpty ? nil : $0.toSay.removeFirst() }
        if word == "enough" { throw GRPCStatus(.unavailable, "enough") }
        return word.map { Array($0.utf8) }
    }

    func ended() { state.withLock { $0.endings += 1 } }
}

/// A client's end of a call that has no connection.
private struct Client {
    let channel: NIOAsyncTestingChannel

    init(talk: Talk = Talk(), cancelled: Gate = Gate()) async throws {
        let methods: [String: GRPCMethod] = [
            "/a/echo": .unary { message, peer in .now(.success(message + Array(" \(peer.address)".utf8))) },
            "/a/late": .unary { message, _ in .later { .success(message.reversed()) } },
            "/a/never": .unary { _, _ in
                .later {
                    try? await Task.sleep(for: .seconds(3_600))
                    cancelled.open()
                    return .failure(GRPCStatus(.unavailable, "cancelled"))
                }
            },
            "/a/talk": .conversation { _, wake in talk.opened(wake) },
        ]
        channel = try await NIOAsyncTestingChannel { channel in
            let scope = CallScope(
                methods: methods, limits: GRPCLimits(messageBytes: 16, unfinishedBytes: 8),
                peer: GRPCPeer(address: "192.0.2.7", port: 7),
                unfinishedBytes: NIOLoopBoundBox(0, eventLoop: channel.eventLoop))
            try channel.pipeline.syncOperations.addHandler(CallHandler(scope))
        }
        try await channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 7))
    }

    func begin(_ path: String, _ more: [(String, String)] = [], ends: Bool = false) async throws {
        var fields: [(String, String)] = [
            (":method", "POST"), (":path", path), ("content-type", "application/grpc+proto"), ("te", "trailers"),
        ]
        for (name, value) in more {
            fields.removeAll { $0.0 == name }
            fields.append((name, value))
        }
        try await send(.headers(.init(headers: HPACKHeaders(fields), endStream: ends)))
    }

    func send(_ payload: HTTP2Frame.FramePayload) async throws { try await channel.writeInbound(payload) }

    func say(_ bytes: [UInt8], ends: Bool = false) async throws {
        try await send(.data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: ends)))
    }

    /// What came by now.
    func heard() async throws -> [String] {
        var all: [String] = []
        while let payload = try await channel.readOutbound(as: HTTP2Frame.FramePayload.self) {
            all.append(Self.text(payload))
        }
        return all
    }

    /// As many frames as are expected, when they come.
    func heard(_ count: Int) async throws -> [String] {
        var all: [String] = []
        for _ in 0..<count {
            all.append(Self.text(try await channel.waitForOutboundWrite(as: HTTP2Frame.FramePayload.self)))
        }
        return all
    }

    private static func text(_ payload: HTTP2Frame.FramePayload) -> String {
        switch payload {
        case .headers(let part):
            part.headers.map { "\($0.name)=\($0.value)" }.joined(separator: " ") + (part.endStream ? " end" : "")
        case .data(let part):
            if case .byteBuffer(let bytes) = part.data {
                String(decoding: bytes.readableBytesView.dropFirst(5), as: UTF8.self)
            } else {
                "?"
            }
        case .rstStream(let code): "reset \(code.networkCode)"
        default: "\(payload)"
        }
    }

    func fire(_ event: @escaping @Sendable (NIOAsyncTestingChannel) -> Void) async throws {
        try await channel.testingEventLoop.executeInContext { event(channel) }
    }

    static let head = ":status=200 content-type=application/grpc"
    static let done = "grpc-status=0 end"

    static func refusal(_ status: Int, _ message: String) -> String {
        "\(head) grpc-status=\(status) grpc-message=\(message) end"
    }
}

/// Opens once.
private final class Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1)) }
    func open() { continuation.finish() }
    func pass() async { for await _ in stream {} }
}

private func message(_ text: String, flag: UInt8 = 0) -> [UInt8] {
    [flag, 0, 0, 0, UInt8(text.utf8.count)] + text.utf8
}

@Suite struct UnaryCallTests {
    @Test func aMessageMayComeInAnyPieces() async throws {
        let client = try await Client()
        try await client.begin("/a/echo")
        for byte in message("abc") { try await client.say([byte]) }
        try await client.say([])
        #expect(try await client.heard().isEmpty, "the client has not said its last")
        try await client.say([], ends: true)
        #expect(try await client.heard() == [Client.head, "abc 192.0.2.7", Client.done])
    }

    @Test func aTaskMayAnswer() async throws {
        let client = try await Client()
        try await client.begin("/a/late")
        try await client.say(message("abc"), ends: true)
        #expect(try await client.heard(3) == [Client.head, "cba", Client.done])
    }

    @Test func theTaskEndsWithTheCall() async throws {
        let gate = Gate()
        let client = try await Client(cancelled: gate)
        try await client.begin("/a/never")
        try await client.say(message("abc"), ends: true)
        try await client.fire { $0.close(promise: nil) }
        await gate.pass()
    }

    @Test func nobodyWaitsLongerThanTheClientSays() async throws {
        let gate = Gate()
        let client = try await Client(cancelled: gate)
        try await client.begin("/a/never", [("grpc-timeout", "250m")])
        try await client.say(message("abc"), ends: true)
        await client.channel.testingEventLoop.advanceTime(by: .milliseconds(249))
        #expect(try await client.heard().isEmpty)
        await client.channel.testingEventLoop.advanceTime(by: .milliseconds(1))
        #expect(try await client.heard() == [Client.refusal(4, "the call took longer than its client waits")])
        await gate.pass()
    }

    @Test(arguments: [
        ([("content-type", "text/html")], ":status=415 end"),
        ([("content-type", "application/grpc-web")], ":status=415 end"),
        ([(":method", "GET")], ":status=405 end"),
        ([("grpc-timeout", "1s")], Client.refusal(3, "grpc-timeout 1s is not understood")),
        ([(":path", "/a/%")], Client.refusal(12, "/a/%25 is not served")),
        (
            [("grpc-encoding", "gzip")],
            Client.refusal(12, "grpc-encoding gzip is not served").replacing(
                " end", with: " grpc-accept-encoding=identity end")
        ),
    ])
    func aHeadIsRefused(fields: [(String, String)], answer: String) async throws {
        let client = try await Client()
        try await client.begin("/a/echo", fields)
        #expect(try await client.heard() == [answer, "reset 0"], "the rest is not waited for")
        try await client.say(message("more"), ends: true)
        #expect(try await client.heard().isEmpty)
        let brief = try await Client()
        try await brief.begin("/a/echo", fields, ends: true)
        #expect(try await brief.heard() == [answer])
    }

    @Test(arguments: [
        (message("a", flag: 1), Client.refusal(13, "a message is compressed, though no grpc-encoding was named")),
        (message("a", flag: 9), Client.refusal(13, "9 is no flag of a message")),
        (Array(message("a").dropLast()), Client.refusal(13, "the call's last message is not whole")),
        (message("a") + message("b"), Client.refusal(12, "the method takes one message, and more came")),
        ([UInt8](), Client.refusal(12, "the method takes one message, and none came")),
        ([0, 0, 0, 0, 17], Client.refusal(8, "a message of 17 bytes is longer than 16, the limit")),
        (
            Array(message("0123456789").dropLast()),
            Client.refusal(8, "the connection's unfinished messages are longer than 8 bytes")
        ),
    ])
    func aMessageIsRefused(bytes: [UInt8], answer: String) async throws {
        let client = try await Client()
        try await client.begin("/a/echo")
        try await client.say(bytes, ends: true)
        #expect(try await client.heard() == [answer])
    }
}

@Suite struct ConversationTests {
    @Test func bothSpeakWhenTheyHaveSomethingToSay() async throws {
        let talk = Talk()
        let client = try await Client(talk: talk)
        try await client.begin("/a/talk")
        #expect(try await client.heard() == [Client.head])
        try await client.say(message("one") + message("two"))
        #expect(talk.heard == ["one", "two"])
        talk.say("three", "four")
        #expect(try await client.heard(2) == ["three", "four"])
        try await client.say([], ends: true)
        #expect(try await client.heard() == [Client.done])
        #expect(talk.endings == 1)
    }

    @Test func nothingIsTakenForAClientThatDoesNotRead() async throws {
        let talk = Talk()
        let client = try await Client(talk: talk)
        try await client.begin("/a/talk")
        #expect(try await client.heard() == [Client.head])
        client.channel.isWritable = false
        talk.say("one", "two")
        await client.channel.testingEventLoop.run()
        #expect(talk.unsaid == ["one", "two"])
        client.channel.isWritable = true
        try await client.fire { $0.pipeline.fireChannelWritabilityChanged() }
        #expect(try await client.heard() == ["one", "two"])
    }

    @Test func moreThanATurnIsSaidInSeveral() async throws {
        let talk = Talk()
        let client = try await Client(talk: talk)
        try await client.begin("/a/talk")
        #expect(try await client.heard() == [Client.head])
        for number in 0..<3 * GRPCLimits.messagesATurn { talk.say("\(number)") }
        let count = 3 * GRPCLimits.messagesATurn
        #expect(try await client.heard(count) == (0..<count).map { "\($0)" })
    }

    @Test func eitherSideEndsIt() async throws {
        let talk = Talk()
        let client = try await Client(talk: talk)
        try await client.begin("/a/talk")
        try await client.say(message("nonsense"))
        #expect(
            try await client.heard()
                == [Client.head, "grpc-status=3 grpc-message=100%25 nonsense end", "reset 0"])
        #expect(talk.endings == 1)
        let second = Talk()
        let other = try await Client(talk: second)
        try await other.begin("/a/talk")
        second.say("enough")
        #expect(try await other.heard(3) == [Client.head, "grpc-status=14 grpc-message=enough end", "reset 0"])
        #expect(second.endings == 1)
        let third = Talk()
        let gone = try await Client(talk: third)
        try await gone.begin("/a/talk")
        try await gone.fire { $0.close(promise: nil) }
        #expect(third.endings == 1)
        third.say("nobody hears it")
        await gone.channel.testingEventLoop.run()
        #expect(third.unsaid == ["nobody hears it"])
    }

    @Test func theServersEndIsItsEnd() async throws {
        let talk = Talk()
        let client = try await Client(talk: talk)
        try await client.begin("/a/talk")
        try await client.fire { $0.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        #expect(
            try await client.heard()
                == [Client.head, "grpc-status=14 grpc-message=the server is going end", "reset 0"])
        #expect(talk.endings == 1)
    }
}
