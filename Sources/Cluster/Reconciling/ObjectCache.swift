// The objects that an informer holds, with their indexes.

import Objects

/// What happened to one object: `old` is nil when it appeared, `new` is nil when it went.
package struct Change: Sendable {
    package var key: ObjectKey
    package var old: Object?
    package var new: Object?

    package init(key: ObjectKey, old: Object?, new: Object?) {
        self.key = key
        self.old = old
        self.new = new
    }

    /// The newest state that is known: the new one, or the last one of an object that went.
    package var latest: Object? { new ?? old }
}

/// Gives the values under which an object is found in an index.
package typealias Indexer = @Sendable (Object) -> [String]

/// A map of objects by key that keeps named indexes true on every change.
package struct ObjectCache: Sendable {
    private var objects: [ObjectKey: Object] = [:]
    private var namespaces: [String: Set<ObjectKey>] = [:]
    private var indexers: [String: Indexer]
    private var indexes: [String: [String: Set<ObjectKey>]] = [:]

    package init(indexers: [String: Indexer] = [:]) { self.indexers = indexers }

    package var count: Int { objects.count }
    package var keys: [ObjectKey] { Array(objects.keys) }

    package subscript(_ key: ObjectKey) -> Object? { objects[key] }

    /// All objects, or those of one namespace, in the order of their keys.
    package func list(namespace: String? = nil) -> [Object] {
        guard let namespace else { return inOrder(objects.keys) }
        return inOrder(namespaces[namespace] ?? [])
    }

    /// The objects that an index files under a value, in the order of their keys.
    package func indexed(_ index: String, _ value: String) -> [Object] { inOrder(indexes[index]?[value] ?? []) }

    /// Puts or (with nil) removes an object; answers the state before.
    @discardableResult
    package mutating func set(_ object: Object?, at key: ObjectKey) -> Object? {
        let old = objects[key]
        if let old {
            for (name, indexer) in indexers {
                for value in indexer(old) {
                    indexes[name]?[value]?.remove(key)
                    if indexes[name]?[value]?.isEmpty == true { indexes[name]?[value] = nil }
                }
            }
        }
        objects[key] = object
        if let object {
            namespaces[key.namespace, default: []].insert(key)
            for (name, indexer) in indexers {
                for value in indexer(object) { indexes[name, default: [:]][value, default: []].insert(key) }
            }
        } else {
            namespaces[key.namespace]?.remove(key)
            if namespaces[key.namespace]?.isEmpty == true { namespaces[key.namespace] = nil }
        }
        return old
    }

    private func inOrder(_ keys: some Sequence<ObjectKey>) -> [Object] { keys.sorted().compactMap { objects[$0] } }
}
