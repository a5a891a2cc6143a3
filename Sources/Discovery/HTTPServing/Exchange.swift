// What a client asks and what it is answered, whatever is served.

import NIOHTTP1

/// A request as it came whole.
package struct HTTPRequest: Sendable {
    /// `GET`; also where the client asked for the `HEAD` of it.
    package var method: String
    /// As sent, with the query: `/eureka/apps/ORDERS?regions=a`.
    package var target: String
    package var fields: HTTPHeaders
    package var body: [UInt8]
    /// The caller's IP address.
    package var peer: String

    package init(
        method: String, target: String, fields: HTTPHeaders = HTTPHeaders(), body: [UInt8] = [], peer: String = ""
    ) {
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.peer = peer
    }

    /// A header field's first value; nil when it is absent or empty.
    package func field(_ name: String) -> String? {
        guard let value = fields.first(name: name), !value.isEmpty else { return nil }
        return value
    }

    /// A longer body is work for a task.
    private static let smallBytes = 64 << 10
    package var isSmall: Bool { body.count <= Self.smallBytes }

    /// The target's path and its query, neither decoded. A whole URL, as sent to proxies, counts from its path on.
    package var place: (path: String, query: String) {
        var rest = target[...]
        if !rest.utf8.starts(with: "/".utf8), let scheme = rest.firstRange(of: "://") {
            let afterHost = rest[scheme.upperBound...]
            rest = afterHost.utf8.firstIndex(of: UInt8(ascii: "/")).map { afterHost[$0...] } ?? "/"
        }
        guard let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (String(rest), "") }
        return (String(rest[..<mark]), String(rest[rest.utf8.index(after: mark)...]))
    }
}

package struct HTTPAnswer: Sendable {
    package var status: Int
    /// `Content-Length`, `Connection` and `Date` are added by who sends it.
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int = 200, fields: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }
}

/// How a request is answered.
package enum Answering: Sendable {
    /// At once, on the connection's event loop, which nothing may hold up: for what needs neither waiting nor much
    /// work.
    case now(HTTPAnswer)
    /// By a task of its own.
    case later(@Sendable () async -> HTTPAnswer)
}
