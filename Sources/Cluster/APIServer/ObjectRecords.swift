// Objects in the store: their keys, and how they become bytes.

import Formats
import Objects
import Storage

/// The only writer of the store.
struct ObjectRecords: Sendable {
    let store: Store

    static let root = "/registry/"

    /// `/registry/apps/deployments/`, or of one namespace `/registry/apps/deployments/shop/`; the same for all versions
    /// of a kind.
    static func prefix(_ resource: Resource, namespace: String?) -> String {
        let group = StoredVersions.stored(resource).group
        let base = "\(root)\(group.isEmpty ? "core" : group)/\(resource.plural)/"
        guard resource.isNamespaced, let namespace, !namespace.isEmpty else { return base }
        return base + namespace + "/"
    }

    static func key(_ resource: Resource, namespace: String, name: String) -> String {
        prefix(resource, namespace: namespace) + name
    }

    /// The stored object, in the version of `resource`, with the record that it came from.
    func get(_ resource: Resource, namespace: String, name: String) throws -> (object: Object, record: Record)? {
        guard let record = store.get(Self.key(resource, namespace: namespace, name: name)) else { return nil }
        return (try Self.object(of: record, as: resource), record)
    }

    /// The object of a record in the version of `resource`; without one, in the version that is stored.
    static func object(of record: Record, as resource: Resource? = nil) throws(FormatProblem) -> Object {
        let stored = Object(try JSON(parsing: record.bytes))
        return resource.map { StoredVersions.convert(stored, to: $0) } ?? stored
    }

    /// Whether a namespace is on its way out; 404 when it is not there. Asked by every create: most namespaces need
    /// not be parsed for it.
    func isEnding(namespace: String) throws -> Bool {
        guard let record = store.get(Self.key(.namespaces, namespace: "", name: namespace)) else {
            throw Problem.notFound(.namespaces, namespace)
        }
        return try record.mentions("deletionTimestamp") && Self.object(of: record).isTerminating
    }

    func create(_ object: Object, of resource: Resource) async throws(StoreFailure) -> Record {
        let key = Self.key(resource, namespace: object.namespace, name: object.name)
        return try await store.create(key) { Self.bytes(of: object, at: $0, resource) }
    }

    func replace(_ record: Record, with object: Object, of resource: Resource) async throws(StoreFailure) -> Record {
        try await store.update(record.key, expecting: record.revision) { Self.bytes(of: object, at: $0, resource) }
    }

    /// Removes an object; `object` is the last state that watches are told.
    func remove(
        _ record: Record, lastState object: Object, of resource: Resource
    ) async throws(StoreFailure) -> Record {
        try await store.delete(record.key, expecting: record.revision) { _, revision in
            Self.bytes(of: object, at: revision, resource)
        }
    }

    /// Why the store takes no writes; nil while it does. Nothing is written: no object has this key.
    func refusal() async -> Problem? {
        do throws(StoreFailure) {
            _ = try await store.delete("/health")
            return nil
        } catch {
            if case .refused(let problem) = error { return problem }
            return nil
        }
    }

    private static func bytes(of object: Object, at revision: UInt64, _ resource: Resource) -> [UInt8] {
        var object = StoredVersions.forStorage(object, of: resource)
        object.resourceVersion = String(revision)
        return object.tree.bytes
    }
}
