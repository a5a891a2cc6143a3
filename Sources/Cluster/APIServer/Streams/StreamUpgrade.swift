// An answer that turns its connection into something else: which protocol, and who serves it then.

import HTTPTypes
import Objects

/// What the listener does instead of sending a body: it answers 101 and hands the connection over.
package struct StreamUpgrade: Sendable {
    /// What the connection becomes.
    enum Way: Sendable, Hashable {
        /// With the key that the client sent.
        case webSocket(key: String)
        case spdy
    }

    let way: Way
    /// Chosen from the client's offers.
    let subprotocol: String
    /// Speaks with the client until either side ends.
    let serve: @Sendable (any FrameLink) async -> Void
}

/// A WebSocket as the sessions see it; pings are answered underneath. SPDY takes the same form.
package protocol FrameLink: Sendable {
    /// The next frame of a data message; nil when the client has gone.
    func next() async throws -> MessagePart?
    /// Sends one binary message; returns when it is on its way.
    func send(_ bytes: [UInt8]) async throws
    /// Says good-bye in order: nothing is sent after it.
    func sendClose(_ problem: Problem?) async
    /// Ends the connection.
    func close() async
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
    /// What the client asks for: a WebSocket (RFC 6455 section 4.2.1), or SPDY as kubectl did before 1.31.
    var wantedUpgrade: StreamUpgrade.Way? {
        guard has("Connection", "upgrade") else { return nil }
        if has("Upgrade", "websocket"), let key = headerFields[.secWebSocketKey] { return .webSocket(key: key) }
        return has("Upgrade", "spdy/3.1") ? .spdy : nil
    }

    /// The sub-protocols that the client offers, in its order.
    var subprotocols: [String] {
        let fields = headerFields[values: .secWebSocketProtocol] + headerFields[values: .streamProtocolVersion]
        return fields.flatMap { $0.split(separator: ",") }.map {
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
    /// Where SPDY's clients offer their sub-protocols.
    static let streamProtocolVersion = HTTPField.Name("X-Stream-Protocol-Version") ?? .accept
}
