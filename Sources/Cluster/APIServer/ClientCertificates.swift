// Who the client certificates of open connections stand for, looked up and verified once a connection.

import Access
import NIOCore
import NIOSSL
import Objects
import Synchronization

/// Remembers the outcome for as long as a connection is open: verifying costs more than most requests.
final class ClientCertificates: Sendable {
    private let known = Mutex<[ObjectIdentifier: Identity?]>([:])

    /// The identity in the certificate that a connection was opened with; nil when it was opened without. Of an HTTP/2
    /// stream it is its connection's.
    ///
    /// `verify` gets the certificate as DER.
    func identity(of channel: any Channel, verify: ([UInt8]) throws -> Identity) async throws -> Identity? {
        // The parent of a connection is the listening socket, which has none.
        let connection = channel.parent.flatMap { $0.parent == nil ? nil : $0 } ?? channel
        let key = ObjectIdentifier(connection)
        if let identity = known.withLock({ $0[key] }) { return identity }
        let certificate = try await connection.nioSSL_peerCertificate().get()
        let identity = try certificate.map { try verify($0.toDERBytes()) }
        _ = known.withLock { $0.updateValue(identity, forKey: key) }
        connection.closeFuture.whenComplete { [self] _ in known.withLock { $0[key] = nil } }
        return identity
    }
}
