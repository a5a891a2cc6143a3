// A bearer token that is renewed in its file, as the tokens of service accounts are.

import Synchronization

/// Where the token of each request comes from.
package final class TokenSource: Sendable {
    /// A file is read again after this long (upstream: client-go/transport/token_source.go).
    static let renewal: Duration = .seconds(60)

    private struct Held {
        var token: String?
        var readAt: ContinuousClock.Instant?
    }

    private let file: String?
    private let read: @Sendable (String) throws -> [UInt8]
    private let held: Mutex<Held>

    /// A token that stays, or the file that has the one of the moment, or neither.
    package init(token: String?, file: String?, read: @escaping @Sendable (String) throws -> [UInt8]) {
        self.file = file
        self.read = read
        held = Mutex(Held(token: token))
    }

    /// The token of now. A file that cannot be read leaves the last one in use: the server says when that is over.
    package func token(at now: ContinuousClock.Instant = .now) -> String? {
        held.withLock { held in
            guard let file, held.readAt.map({ now - $0 >= Self.renewal }) ?? true else { return held.token }
            if let bytes = try? read(file) {
                held.token = String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self)
            }
            held.readAt = now
            return held.token
        }
    }

    /// The server did not take the token: the file is read again before the next request.
    package func refused() { held.withLock { $0.readAt = nil } }
}
