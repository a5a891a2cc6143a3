// The bearer token of a browser, which cannot set headers on a WebSocket and says it as a subprotocol
// (upstream: apiserver/pkg/authentication/request/websocket/protocol.go).

import Access
import HTTPTypes

enum WebSocketToken {
    static let prefix = "base64url.bearer.authorization.k8s.io."

    /// The `Authorization` of a request: its header, or else the token among the subprotocols it offers. Such a token
    /// counts only beside another subprotocol, for this one is never chosen.
    static func authorization(of fields: HTTPFields) -> String? {
        if let header = fields.text(.authorization) { return header }
        let offered = fields[values: .secWebSocketProtocol].flatMap { $0.split(separator: ",") }.map { word in
            String(word.drop { $0 == " " }.prefix { $0 != " " })
        }
        guard let word = offered.first(where: { $0.hasPrefix(prefix) }),
            offered.contains(where: { !$0.hasPrefix(prefix) })
        else { return nil }
        // What cannot be read is a token too, and no good one.
        let bytes = Base64URL.decode(word.dropFirst(prefix.count)) ?? []
        return "Bearer " + String(decoding: bytes, as: UTF8.self)
    }
}
