// One instance of a service, as its writer declared it.

/// A place where a service answers.
///
/// The catalogue keeps what the writer said: metadata, weight and cluster are raw, every interface renders its own
/// spelling. Two records of one origin are the same instance when address, port and cluster agree.
///
/// A value that shares its storage: to copy it costs a reference, to change it makes a new one.
package struct Instance: Hashable, Sendable {
    private struct Fields: Hashable, Sendable {
        var id: String
        var address: String
        var furtherAddresses: [String]
        var port: Int
        var ports: [String: Int]
        var protocolName: String
        var weight: Double
        var isHealthy: Bool
        var isEnabled: Bool
        var isImplied = false
        var cluster: String
        var metadata: [String: String]
        var words: String
        var lifetime: Lifetime
        var origin: Origin
    }

    private final class Storage: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }

    private var storage: Storage

    package init(
        id: String = "", address: String, furtherAddresses: [String] = [], port: Int, ports: [String: Int] = [:],
        protocolName: String = "", weight: Double = 1, isHealthy: Bool = true, isEnabled: Bool = true,
        cluster: String = "DEFAULT", metadata: [String: String] = [:], words: String = "", lifetime: Lifetime,
        origin: Origin
    ) {
        storage = Storage(
            Fields(
                id: id, address: address, furtherAddresses: furtherAddresses, port: port, ports: ports,
                protocolName: protocolName, weight: weight, isHealthy: isHealthy, isEnabled: isEnabled,
                cluster: cluster, metadata: metadata, words: words, lifetime: lifetime, origin: origin))
    }

    /// What the writer calls the instance: a Nacos instance id, `host:app:port` of Eureka, a znode's name.
    package var id: String {
        get { storage.fields.id }
        set { change { $0.id = newValue } }
    }

    /// The IP address (or host name) that consumers dial.
    package var address: String {
        get { storage.fields.address }
        set { change { $0.address = newValue } }
    }

    /// More addresses of the same place, like the IPv6 one of a pod that has both. It is withdrawn with any of them.
    package var furtherAddresses: [String] {
        get { storage.fields.furtherAddresses }
        set { change { $0.furtherAddresses = newValue } }
    }

    package var port: Int {
        get { storage.fields.port }
        set { change { $0.port = newValue } }
    }

    /// Further named ports, `port` included where it has a name: a Kubernetes endpoint may have many.
    package var ports: [String: Int] {
        get { storage.fields.ports }
        set { change { $0.ports = newValue } }
    }

    /// What is spoken at `port`: `dubbo`, `tri`, `bolt`, `http`. Empty when the writer did not say.
    package var protocolName: String {
        get { storage.fields.protocolName }
        set { change { $0.protocolName = newValue } }
    }

    /// 1 is the usual one. Frameworks that count from 100 are converted by `ProviderWeight`.
    package var weight: Double {
        get { storage.fields.weight }
        set { change { $0.weight = newValue } }
    }

    package var isHealthy: Bool {
        get { storage.fields.isHealthy }
        set { change { $0.isHealthy = newValue } }
    }

    package var isEnabled: Bool {
        get { storage.fields.isEnabled }
        set { change { $0.isEnabled = newValue } }
    }

    /// Nobody declared it here: it follows from a record of another service, and lives as long as that one.
    package var isImplied: Bool {
        get { storage.fields.isImplied }
        set { change { $0.isImplied = newValue } }
    }

    package var cluster: String {
        get { storage.fields.cluster }
        set { change { $0.cluster = newValue } }
    }

    package var metadata: [String: String] {
        get { storage.fields.metadata }
        set { change { $0.metadata = newValue } }
    }

    /// What else the writer said and only its own world understands, in that world's spelling; kept as it is.
    package var words: String {
        get { storage.fields.words }
        set { change { $0.words = newValue } }
    }

    package var lifetime: Lifetime {
        get { storage.fields.lifetime }
        set { change { $0.lifetime = newValue } }
    }

    package var origin: Origin {
        get { storage.fields.origin }
        set { change { $0.origin = newValue } }
    }

    private mutating func change(_ edit: (inout Fields) -> Void) {
        var fields = storage.fields
        edit(&fields)
        storage = Storage(fields)
    }

    package static func == (left: Instance, right: Instance) -> Bool {
        left.storage === right.storage || left.storage.fields == right.storage.fields
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(storage.fields) }

    /// Whether consumers should be sent there.
    package var takesCalls: Bool { isHealthy && isEnabled && weight > 0 }

    /// Every address it answers at, the dialled one first.
    package var addresses: [String] { [address] + furtherAddresses }

    package func answers(at port: Int) -> Bool { self.port == port || ports.values.contains(port) }
}
