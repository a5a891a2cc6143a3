// Takes over a served HTTP/1.1 connection for bytes that somebody else makes and understands.

import NIO
import Objects
import RemoteStreams

/// The client's side of a tunnel.
struct BareLink: RemoteConnection {
    private let connection: UpgradedConnection<ByteBuffer>

    /// Throws when it is no HTTP/1.1 connection over TLS.
    static func take(_ channel: any Channel) async throws -> BareLink {
        BareLink(connection: try await UpgradedConnection.take(channel, head: nil) { [] })
    }

    func next() async throws -> [UInt8]? { try await connection.next().map { Array($0.readableBytesView) } }

    func write(_ bytes: [UInt8]) async throws {
        try await connection.send(connection.channel.allocator.buffer(bytes: bytes))
    }

    func endInput() async {}

    func close() async { await connection.close() }
}
