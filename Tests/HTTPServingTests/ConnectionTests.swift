// A connection's life by script: what the client sends, what it is answered, and when it is closed.

import NIO
import NIOHTTP1
import Testing

@testable import HTTPServing

/// A client's end of a connection that has no socket.
private struct Client {
    let channel: NIOAsyncTestingChannel

    static let limits = ServingLimits(bodyBytes: 64, headBytes: 512, fieldCount: 10)

    init(_ answer: @escaping @Sendable (HTTPRequest) -> Answering = Client.echo) async throws {
        channel = try await NIOAsyncTestingChannel { channel in
            try channel.pipeline.syncOperations.addHandlers([
                ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: Client.limits.decoding)),
                Connection(limits: Client.limits, date: DateLine { 784_111_777 }, answer: answer),
            ])
        }
        try await channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 7))
    }

    @Sendable static func echo(_ request: HTTPRequest) -> Answering {
        let text = "\(request.method) \(request.target) \(String(decoding: request.body, as: UTF8.self))"
        return .now(HTTPAnswer(fields: [(name: "Content-Type", value: "text/plain")], body: Array(text.utf8)))
    }

    func say(_ text: String) async throws { try await channel.writeInbound(ByteBuffer(string: text)) }

    /// What came by now.
    func heard() async throws -> String {
        var text = ""
        while let bytes = try await channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    /// The next piece, when it comes.
    func waitForMore() async throws -> String {
        String(buffer: try await channel.waitForOutboundWrite(as: ByteBuffer.self))
    }

    func endsSaying() async throws {
        try await channel.testingEventLoop.executeInContext {
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    static func answer(_ body: String, status: String = "200 OK", _ more: String = "") -> String {
        "HTTP/1.1 \(status)\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\(more)\r\n\(body)"
    }

    static func refusal(_ body: String, status: String) -> String {
        "HTTP/1.1 \(status)\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain;charset=UTF-8\r\n"
            + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
    }
}

/// Lets an answer go when told.
private actor Valve {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func pass() async {
        if isOpen { return }
        await withCheckedContinuation { waiting.append($0) }
    }

    func open() {
        isOpen = true
        for each in waiting { each.resume() }
        waiting = []
    }
}

@Suite struct ConnectionTests {
    @Test func answersRequestsInTheirOrderAndKeepsTheConnection() async throws {
        let client = try await Client()
        try await client.say(
            "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nPUT /d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
        #expect(try await client.heard() == Client.answer("GET /a?b=c "))
        try await client.say("dy")
        #expect(try await client.heard() == Client.answer("PUT /d body"))
        let chunks = "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        try await client.say("POST /e HTTP/1.1\r\nHost: x\r\n" + chunks)
        #expect(try await client.heard() == Client.answer("POST /e abc"))
        #expect(client.channel.isActive)
    }

    @Test func whatComesMeanwhileWaitsForATask() async throws {
        let valve = Valve()
        let client = try await Client { request in
            guard request.target == "/slow" else { return Client.echo(request) }
            return .later {
                await valve.pass()
                return HTTPAnswer(fields: [(name: "Content-Type", value: "text/plain")], body: Array("slow".utf8))
            }
        }
        try await client.say("GET /slow HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
        #expect(try await client.heard() == "")
        try await client.endsSaying()
        #expect(client.channel.isActive, "who said everything is still answered")
        await valve.open()
        #expect(try await client.waitForMore() == Client.answer("slow"))
        #expect(try await client.waitForMore() == Client.answer("GET /next "))
        try await client.channel.closeFuture.get()
    }

    @Test func nothingIsDoneForAClientThatDoesNotRead() async throws {
        let client = try await Client()
        client.channel.isWritable = false
        try await client.say("GET /a HTTP/1.1\r\n\r\n")
        #expect(try await client.heard() == "")
        client.channel.isWritable = true
        try await client.channel.testingEventLoop.executeInContext {
            client.channel.pipeline.fireChannelWritabilityChanged()
        }
        #expect(try await client.heard() == Client.answer("GET /a "))
    }

    @Test func formsOfRequestsAreHeeded() async throws {
        var client = try await Client()
        try await client.say("HEAD /a HTTP/1.1\r\n\r\n")
        #expect(try await client.heard() == Client.answer("GET /a ").replacing("\r\n\r\nGET /a ", with: "\r\n\r\n"))
        try await client.say("PUT /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        #expect(try await client.heard() == "HTTP/1.1 100 Continue\r\n\r\n")
        try await client.say("ok")
        #expect(try await client.heard() == Client.answer("PUT /b ok"))
        try await client.say("GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(try await client.heard() == Client.answer("GET /c ", "Connection: keep-alive\r\n"))
        #expect(client.channel.isActive)
        for head in ["HTTP/1.0", "HTTP/1.1\r\nConnection: close", "HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c"] {
            client = try await Client()
            try await client.say("GET /d \(head)\r\n\r\n")
            #expect(try await client.heard() == Client.answer("GET /d ", "Connection: close\r\n"))
            #expect(!client.channel.isActive, "\(head)")
        }
    }

    @Test(arguments: [
        ("POST / HTTP/1.1\r\nContent-Length: 65\r\n\r\n", "413 Payload Too Large"),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "400 Bad Request"),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n" + String(repeating: "a", count: 65),
            "413 Payload Too Large"
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", "400 Bad Request"),
        ("\u{1}\u{1}\u{1}\u{1}", "400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nX: " + String(repeating: "y", count: 600), "431 Request Header Fields Too Large"),
        ("GET /" + String(repeating: "y", count: 600), "431 Request Header Fields Too Large"),
    ])
    func refusesWhatIsWrongAndCloses(_ words: String, _ status: String) async throws {
        let client = try await Client()
        try? await client.say(words)
        let reason = status.hasPrefix("413") ? "the body is longer than 64 bytes" : "this is not understood as HTTP/1.1"
        #expect(try await client.heard() == Client.refusal(reason, status: status))
        #expect(!client.channel.isActive)
    }

    @Test func theSilentAreLetGo() async throws {
        for words in ["", "GET /a HT", "PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n"] {
            let client = try await Client()
            await client.channel.testingEventLoop.advanceTime(by: .seconds(40))
            try await client.say(words)
            await client.channel.testingEventLoop.advanceTime(by: .seconds(34))
            #expect(client.channel.isActive)
            await client.channel.testingEventLoop.advanceTime(by: .seconds(76))
            #expect(!client.channel.isActive, "\(words)")
        }
    }

    @Test func noFieldEndsItsLine() async throws {
        let client = try await Client { _ in .now(HTTPAnswer(fields: [(name: "X", value: "a\r\nY: b")])) }
        try await client.say("GET / HTTP/1.1\r\n\r\n")
        #expect(try await client.heard().contains("\r\nX: a  Y: b\r\n"))
    }
}

@Suite struct ExchangeTests {
    @Test(arguments: [
        ("/a/b?c=d?e", "/a/b", "c=d?e"), ("/a", "/a", ""), ("http://h:1/a?b", "/a", "b"), ("http://h", "/", ""),
        ("", "", ""),
        ("*", "*", ""),
    ])
    func targetsHavePathAndQuery(_ target: String, _ path: String, _ query: String) {
        let place = HTTPRequest(method: "GET", target: target).place
        #expect(place.path == path && place.query == query)
    }

    @Test func percentTextIsReadLeniently() {
        let read = PercentText.parameters("a=%40+b&&c&=d&e=%4&f=%zz&g=h=i&%C3%BC=%").map { "\($0.name):\($0.value)" }
        #expect(read == ["a:@ b", "c:", ":d", "e:%4", "f:%zz", "g:h=i", "ü:%"])
        #expect(PercentText.decoded("a+%2Bb", plusIsSpace: false) == "a++b")
        let many = String(repeating: "a=b&", count: 1_000)
        #expect(PercentText.parameters(many[...]).count == PercentText.parameterLimit)
    }

    @Test func datesAreHTTPs() {
        #expect(DateLine.text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(DateLine.text(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
    }
}
