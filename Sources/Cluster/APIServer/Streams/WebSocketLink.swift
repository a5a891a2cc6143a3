// Turns a served HTTP/1.1 connection into a WebSocket: the handshake, and frames as they are asked for.

import Crypto
import Formats
import NIO
import NIOWebSocket
import Objects

/// One upgraded connection.
struct WebSocketLink: FrameLink {
    /// Clients of Kubernetes send at most 32 KiB at once.
    static let frameLimitBytes = 1 << 20

    private let connection: UpgradedConnection<WebSocketFrame>

    /// Answers 101 and takes the connection over. Throws when it is no HTTP/1.1 connection over TLS.
    static func upgrade(_ channel: any Channel, key: String, subprotocol: String) async throws -> WebSocketLink {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        let head =
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(Base64.encode(Array(digest)))\r\n"
            + "Sec-WebSocket-Protocol: \(subprotocol)\r\n"
        return WebSocketLink(
            connection: try await UpgradedConnection.take(channel, head: head) {
                [
                    WebSocketFrameEncoder(),
                    ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: Self.frameLimitBytes)),
                ]
            })
    }

    func next() async throws -> MessagePart? {
        while let frame = try await connection.next() {
            switch frame.opcode {
            case .ping: try await connection.send(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
            case .connectionClose: return nil
            case .binary, .text, .continuation:
                return MessagePart(
                    Array(frame.unmaskedData.readableBytesView), isFirst: frame.opcode != .continuation,
                    isLast: frame.fin)
            default: break
            }
        }
        return nil
    }

    func send(_ bytes: [UInt8]) async throws {
        let data = connection.channel.allocator.buffer(bytes: bytes)
        try await connection.send(WebSocketFrame(fin: true, opcode: .binary, data: data))
    }

    func sendClose(_ problem: Problem?) async {
        var data = connection.channel.allocator.buffer(capacity: 2)
        data.write(webSocketErrorCode: problem == nil ? .normalClosure : .unexpectedServerError)
        if let problem { data.writeString(String(problem.message.prefix(100))) }
        try? await connection.send(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
    }

    func close() async { await connection.close() }
}
