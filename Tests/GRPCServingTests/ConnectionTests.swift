// A connection's life in bytes, as a client of HTTP/2 sees it.

import NIO
import Testing

@testable import GRPCServing

/// A client's end of a connection that has no socket.
private struct Client {
    let channel: NIOAsyncTestingChannel

    init() async throws {
        channel = try await NIOAsyncTestingChannel { channel in
            try GRPCListener.configure(channel, limits: GRPCLimits(), methods: [:])
        }
        try await channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 7))
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4)

    static func frame(_ kind: UInt8, flags: UInt8 = 0, _ body: [UInt8] = []) -> [UInt8] {
        [0, 0, UInt8(body.count), kind, flags, 0, 0, 0, 0] + body
    }

    func say(_ bytes: [UInt8]) async throws { try await channel.writeInbound(ByteBuffer(bytes: bytes)) }

    func wait(_ time: TimeAmount) async { await channel.testingEventLoop.advanceTime(by: time) }

    /// The kinds of the frames that came by now, and the last one's body.
    func heard() async throws -> (kinds: [UInt8], last: [UInt8]) {
        var bytes = ByteBuffer()
        while let more = try await channel.readOutbound(as: ByteBuffer.self) { bytes.writeImmutableBuffer(more) }
        var kinds: [UInt8] = []
        var last: [UInt8] = []
        while let head = bytes.readBytes(length: 9) {
            kinds.append(head[3])
            last = bytes.readBytes(length: Int(head[1]) << 8 | Int(head[2])) ?? []
        }
        return (kinds, last)
    }
}

@Suite struct GRPCConnectionTests {
    private let limits = GRPCLimits()

    @Test func aSilentClientIsAskedAndStays() async throws {
        let client = try await Client()
        try await client.say(Client.preface)
        #expect(try await client.heard().kinds == [4, 4])
        for _ in 0..<3 {
            // An answer begins the time anew.
            await client.wait(limits.silence - limits.patience)
            #expect(try await client.heard().kinds.isEmpty)
            await client.wait(limits.patience)
            let (kinds, data) = try await client.heard()
            #expect(kinds == [6])
            try await client.say(Client.frame(6, flags: 1, data))
            #expect(client.channel.isActive)
        }
    }

    @Test func whoDoesNotAnswerIsGone() async throws {
        let client = try await Client()
        await client.wait(limits.silence)
        #expect(client.channel.isActive)
        await client.wait(limits.patience)
        #expect(!client.channel.isActive)
    }

    @Test func whoSpeaksAnotherProtocolIsClosed() async throws {
        let client = try await Client()
        try? await client.say(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(!client.channel.isActive)
    }

    @Test func theServersEndIsAnnounced() async throws {
        let client = try await Client()
        try await client.say(Client.preface)
        _ = try await client.heard()
        try await client.channel.testingEventLoop.executeInContext { [channel = client.channel] in
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        #expect(try await client.heard().kinds == [7])
        #expect(client.channel.isActive)
        await client.wait(limits.farewell)
        #expect(!client.channel.isActive)
    }
}
