// What keeps an instance in the catalogue, and for how long.

package enum Lifetime: Hashable, Sendable {
    /// It goes when the connection of this id closes. A ZooKeeper session, which outlives its sockets, is one too.
    case connection(String)
    /// It needs beats.
    case lease(Lease)
    /// It stays until somebody deregisters it.
    case persistent
    /// It stays until its source replaces it (`replace(_:of:as:)`).
    case kubernetes

    /// A client of another replica of this program declared it; it stays as long as that one says so.
    case replica(String)

    /// The connection or the replica that holds it; empty for every other lifetime.
    var holder: String {
        switch self {
        case .connection(let id), .replica(let id): id
        case .lease, .persistent, .kubernetes: ""
        }
    }
    package var isElsewhere: Bool { if case .replica = self { true } else { false } }
    package var lease: Lease? { if case .lease(let lease) = self { lease } else { nil } }
}

/// How long an instance lives without a beat (Nacos `preserved.*` metadata, `com.alibaba.nacos.api.common.Constants`).
package struct Lease: Hashable, Sendable {
    /// How often the writer is asked to beat.
    package var intervalMilliseconds: Int
    /// Silent for so long, it counts as unhealthy.
    package var unhealthyAfterMilliseconds: Int
    /// Silent for so long, it is removed.
    package var removedAfterMilliseconds: Int
    /// Put back by another than its writer, who is asked to register again with the next beat.
    package var isAdopted = false

    package init(
        intervalMilliseconds: Int = 5_000, unhealthyAfterMilliseconds: Int = 15_000,
        removedAfterMilliseconds: Int = 30_000
    ) {
        self.intervalMilliseconds = intervalMilliseconds
        self.unhealthyAfterMilliseconds = unhealthyAfterMilliseconds
        self.removedAfterMilliseconds = removedAfterMilliseconds
    }

    /// Eureka's: a beat every 30 s, gone after 90 s (`LeaseInfo`), and never unhealthy in between.
    package static func eureka(renewalSeconds: Int = 30, durationSeconds: Int = 90) -> Lease {
        Lease(
            intervalMilliseconds: renewalSeconds * 1_000, unhealthyAfterMilliseconds: durationSeconds * 1_000,
            removedAfterMilliseconds: durationSeconds * 1_000)
    }

    /// What a record read back from elsewhere gets after a restart: its writer has this long to come again, and it
    /// counts as healthy meanwhile. nacos-sdk-python 3.x registers again up to 30 s after it is connected again.
    package static var adopted: Lease {
        var lease = Lease(unhealthyAfterMilliseconds: 60_000, removedAfterMilliseconds: 60_000)
        lease.isAdopted = true
        return lease
    }
}
