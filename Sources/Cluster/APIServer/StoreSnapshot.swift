// Hands out everything that is stored, for `mangrove backup` of a running platform.

import Objects
import Storage
import Synchronization

extension KubernetesAPI {
    /// All records of this moment, in the store's own form. Writers go on meanwhile; the stream stays at its moment.
    ///
    /// It carries Secrets as they are: like every path that is no resource, only those may read it whom the authorizer
    /// lets.
    func snapshot() throws(Problem) -> APIAnswer {
        .stream(SnapshotChunks(try records.store.page(prefix: "")), contentType: "application/octet-stream")
    }
}

private final class SnapshotChunks: APIChunks {
    private let encoder: Mutex<Snapshot.Encoder>

    init(_ page: Page) { encoder = Mutex(Snapshot.Encoder(page)) }

    func next() async throws -> [UInt8]? { encoder.withLock { $0.next() } }
}
