// One instance of a service, as its writer declared it.

/// A place where a service answers.
///
/// The catalogue keeps what the writer said: metadata, weight and cluster are raw, every interface renders its own
/// spelling. Two records of one origin are the same instance when address, port and cluster agree.
package struct Instance: Hashable, Sendable {
    package var id: String
    /// The IP address (or host name) that consumers dial.
    package var address: String
    package var port: Int
    /// Further named ports, `port` included where it has a name: a Kubernetes endpoint may have many.
    package var ports: [String: Int]
    package var weight: Double
    package var isHealthy: Bool
    package var isEnabled: Bool
    package var cluster: String
    package var metadata: [String: String]
    package var lifetime: Lifetime
    package var origin: Origin

    package init(
        id: String = "", address: String, port: Int, ports: [String: Int] = [:], weight: Double = 1,
        isHealthy: Bool = true, isEnabled: Bool = true, cluster: String = "DEFAULT", metadata: [String: String] = [:],
        lifetime: Lifetime, origin: Origin
    ) {
        self.id = id
        self.address = address
        self.port = port
        self.ports = ports
        self.weight = weight
        self.isHealthy = isHealthy
        self.isEnabled = isEnabled
        self.cluster = cluster
        self.metadata = metadata
        self.lifetime = lifetime
        self.origin = origin
    }
}

/// What keeps an instance in the catalogue.
package enum Lifetime: Hashable, Sendable {
    /// It goes when the connection of this id closes.
    case connection(String)
    /// It needs beats.
    case lease(Lease)
    /// It stays until somebody deregisters it.
    case persistent
    /// It stays until its source replaces it (`replace(_:of:as:)`).
    case kubernetes

    /// The connection that holds it; empty for every other lifetime.
    var holder: String { if case .connection(let id) = self { id } else { "" } }
    var lease: Lease? { if case .lease(let lease) = self { lease } else { nil } }
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

    /// What a record read back from elsewhere gets after a restart: its writer has this long to come again, and it
    /// counts as healthy meanwhile. nacos-sdk-python 3.x registers again up to 30 s after it is connected again.
    package static var adopted: Lease {
        var lease = Lease(unhealthyAfterMilliseconds: 60_000, removedAfterMilliseconds: 60_000)
        lease.isAdopted = true
        return lease
    }
}
