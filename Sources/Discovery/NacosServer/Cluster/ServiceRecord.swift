// What is kept of a service beyond the life of its writers: persistent instances, settings, and what an operator
// changed.

import Catalogue
import Formats

/// An instance's place within a service.
struct InstancePlace: Hashable, Sendable, Comparable {
    var ip: String
    var port: Int
    var cluster: String

    static func < (left: InstancePlace, right: InstancePlace) -> Bool {
        (left.ip, left.port, left.cluster) < (right.ip, right.port, right.cluster)
    }
}

/// What an operator changed of an instance that its writer declares again and again.
struct InstanceOverride: Hashable, Sendable {
    var weight: Double?
    var enabled: Bool?
    /// Takes the place of the writer's metadata.
    var metadata: [String: String]?
}

/// What is kept of one service.
package struct ServiceRecord: Hashable, Sendable {
    /// Overrides of one service; the first in order are forgotten.
    static let overrideLimit = 1_000

    /// Somebody made the service, so that it stays while it is empty.
    var isDeclared = false
    /// With no more than this share of healthy instances all are shown as healthy; 0 is off.
    var protectionThreshold = 0.0
    var metadata: [String: String] = [:]
    var instances: [InstancePlace: NacosInstance] = [:]
    var overrides: [InstancePlace: InstanceOverride] = [:]

    package init() {}

    var isEmpty: Bool { self == ServiceRecord() }

    /// The instance with what an operator changed of it.
    func amended(_ instance: NacosInstance) -> NacosInstance {
        guard let override = overrides[instance.place] else { return instance }
        var instance = instance
        if let weight = override.weight { instance.weight = weight }
        if let enabled = override.enabled { instance.enabled = enabled }
        if let metadata = override.metadata { instance.metadata = metadata }
        return instance
    }
}

// MARK: - JSON

extension ServiceRecord {
    init(_ tree: JSON) {
        isDeclared = tree["declared"]?.bool ?? false
        protectionThreshold = tree["protectThreshold"]?.number ?? 0
        metadata = tree["metadata"]?.stringMap ?? [:]
        for entry in tree["instances"]?.array ?? [] {
            guard let instance = try? NacosInstance(json: entry) else { continue }
            instances[instance.place] = instance
        }
        for entry in tree["overrides"]?.array ?? [] {
            guard let ip = entry["ip"]?.string, let port = entry["port"]?.integer else { continue }
            let place = InstancePlace(ip: ip, port: port, cluster: NacosNames.cluster(entry["clusterName"]?.string))
            overrides[place] = InstanceOverride(
                weight: entry["weight"]?.number, enabled: entry["enabled"]?.bool, metadata: entry["metadata"]?.stringMap
            )
        }
    }

    var tree: JSON {
        var tree: JSON = [:]
        if isDeclared { tree["declared"] = true }
        if protectionThreshold != 0 { tree["protectThreshold"] = .number(protectionThreshold) }
        if !metadata.isEmpty { tree["metadata"] = JSON(stringMap: metadata) }
        if !instances.isEmpty {
            tree["instances"] = .array(instances.keys.sorted().compactMap { instances[$0]?.tree })
        }
        if !overrides.isEmpty {
            let places = overrides.keys.sorted().suffix(Self.overrideLimit)
            tree["overrides"] = .array(
                places.map { place in
                    var entry: JSON = [
                        "ip": .string(place.ip), "port": JSON(place.port), "clusterName": .string(place.cluster),
                    ]
                    if let weight = overrides[place]?.weight { entry["weight"] = .number(weight) }
                    if let enabled = overrides[place]?.enabled { entry["enabled"] = .bool(enabled) }
                    if let metadata = overrides[place]?.metadata { entry["metadata"] = JSON(stringMap: metadata) }
                    return entry
                })
        }
        return tree
    }
}

extension NacosInstance {
    var place: InstancePlace { InstancePlace(ip: ip, port: port, cluster: cluster) }

    /// The instance in its writer's words, as `init(json:)` reads it.
    var tree: JSON {
        [
            "instanceId": .string(id), "ip": .string(ip), "port": JSON(port), "weight": .number(weight),
            "healthy": .bool(healthy), "enabled": .bool(enabled), "ephemeral": .bool(ephemeral),
            "clusterName": .string(cluster), "metadata": JSON(stringMap: metadata),
        ]
    }
}

extension Instance {
    var place: InstancePlace { InstancePlace(ip: address, port: port, cluster: cluster) }
}

/// Keeps what is known of services beyond the life of their writers.
///
/// Reads are quick; after `change` returns, what it changed is stored and is what reads show, and persistent instances
/// are in the catalogue.
package protocol ServiceStore: Sendable {
    var isComplete: Bool { get }
    func waitUntilComplete() async
    func record(of service: ServiceName) -> ServiceRecord
    /// The services that stay while they are empty.
    func declared() -> [ServiceName]
    func change(
        _ service: ServiceName, _ edit: @escaping @Sendable (inout ServiceRecord) -> Void
    ) async throws(ServiceStoreProblem)
}

/// Why a record was not stored.
package enum ServiceStoreProblem: Error, Hashable, Sendable {
    case noNamespace(String)
    case full(String)
    case starting
    case notStored(String)
}

extension NacosProblem {
    init(_ problem: ServiceStoreProblem) {
        self =
            switch problem {
            case .noNamespace(let name):
                .noSuchNamespace("namespace '\(name)' does not exist and cannot be made, so nothing is kept in it")
            case .full(let message): .full(message)
            case .starting: .starting
            case .notStored(let message): .notStored("the service was not stored: \(message)")
            }
    }
}
