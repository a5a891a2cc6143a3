// Where a request leads, taken apart once for everybody who asks.

import HTTPTypes

/// A request's path and query.
struct RequestTarget: Sendable, Hashable {
    /// As it was sent, without the query.
    let path: Substring
    let route: Route
    let query: Query

    init(_ request: HTTPRequest) {
        let target = request.path ?? "/"
        if let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = target[..<mark]
            query = Query(parsing: target[target.utf8.index(after: mark)...])
        } else {
            path = target[...]
            query = Query()
        }
        route = Route(path: path)
    }
}
