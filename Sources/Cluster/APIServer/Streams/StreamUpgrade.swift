// An answer that turns its connection into something else: which protocol, and who serves it then.

import HTTPTypes
import Objects

/// What the listener does instead of sending a body: it answers 101 and hands the connection over.
package struct StreamUpgrade: Sendable {
    /// The WebSocket sub-protocol that was chosen from the client's offers.
    let subprotocol: String
    /// Speaks with the client until either side ends.
    let serve: @Sendable (any FrameLink) async -> Void
}

/// A WebSocket as the sessions see it; pings are answered and closing is done underneath.
package protocol FrameLink: Sendable {
    /// The next frame of a data message; nil when the client has gone.
    func next() async throws -> MessagePart?
    /// Sends one binary message; returns when it is on its way.
    func send(_ bytes: [UInt8]) async throws
    /// Says good-bye in order: nothing is sent after it.
    func sendClose(_ problem: Problem?) async
}

/// A frame of a message; messages are never put together, so their length does not matter.
package struct MessagePart: Sendable, Hashable {
    package var bytes: [UInt8]
    package var isFirst: Bool
    package var isLast: Bool

    package init(_ bytes: [UInt8], isFirst: Bool = true, isLast: Bool = true) {
        self.bytes = bytes
        self.isFirst = isFirst
        self.isLast = isLast
    }
}

extension APIAnswer {
    /// The connection becomes a WebSocket; whoever cannot do that shows the body, which says so.
    static func upgrade(_ upgrade: StreamUpgrade) -> APIAnswer {
        var answer = APIAnswer.problem(.badRequest("Upgrade request required"))
        answer.upgrade = upgrade
        return answer
    }
}

extension HTTPRequest {
    /// Whether the client asks for a WebSocket (RFC 6455 section 4.2.1).
    var wantsWebSocket: Bool {
        has("Upgrade", "websocket") && has("Connection", "upgrade") && headerFields[.secWebSocketKey] != nil
    }

    /// Whether the client asks for SPDY, as kubectl did before 1.31.
    var wantsSPDY: Bool { (headerFields[values: .upgradeTo].first ?? "").lowercased().hasPrefix("spdy/") }

    /// The sub-protocols that the client offers, in its order.
    var subprotocols: [String] {
        headerFields[values: .secWebSocketProtocol].flatMap { $0.split(separator: ",") }.map {
            String($0.drop { $0 == " " }.prefix { $0 != " " })
        }
    }

    private func has(_ field: String, _ word: String) -> Bool {
        guard let name = HTTPField.Name(field) else { return false }
        return headerFields[values: name].flatMap { $0.lowercased().split(separator: ",") }.contains {
            $0.drop { $0 == " " }.prefix { $0 != " " } == word
        }
    }
}

extension HTTPField.Name {
    /// `Upgrade`, which HTTPTypes leaves out because HTTP/2 has none; the spelling is right, so this cannot be nil.
    static let upgradeTo = HTTPField.Name("Upgrade") ?? .accept
}
