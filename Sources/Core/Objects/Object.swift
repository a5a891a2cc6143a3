// A Kubernetes object: a JSON tree with named ways to the parts that every object has.

import Formats

/// A Kubernetes object as a tree. Nothing is lost by reading and writing one: fields that this program does not know
/// stay.
package struct Object: Sendable, Hashable {
    package var tree: JSON

    package init(_ tree: JSON) { self.tree = tree }

    /// A fresh object of a resource.
    package init(_ resource: Resource, namespace: String = "", name: String) {
        tree = [
            "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind),
            "metadata": ["name": .string(name)],
        ]
        if !namespace.isEmpty { self.namespace = namespace }
    }

    package subscript(_ key: String) -> JSON? {
        get { tree[key] }
        set { tree[key] = newValue }
    }

    /// The value at a path of members, like `object["spec", "replicas"]`; setting makes the objects on the way.
    package subscript(_ first: String, _ second: String, _ rest: String...) -> JSON? {
        get { tree.value(at: [first, second] + rest) }
        set { tree.set(newValue, at: [first, second] + rest) }
    }

    /// The same for the most common length of a path.
    package subscript(_ first: String, _ second: String) -> JSON? {
        get { tree[first, second] }
        set { tree[first, second] = newValue }
    }

    package var apiVersion: String { tree["apiVersion"]?.string ?? "" }
    package var kind: String { tree["kind"]?.string ?? "" }
    package var key: ObjectKey { ObjectKey(namespace: namespace, name: name) }

    package var name: String {
        get { text("name") }
        set { tree["metadata", "name"] = .string(newValue) }
    }
    package var namespace: String {
        get { text("namespace") }
        set { tree["metadata", "namespace"] = newValue.isEmpty ? nil : .string(newValue) }
    }
    package var uid: String { text("uid") }
    package var resourceVersion: String {
        get { text("resourceVersion") }
        set { tree["metadata", "resourceVersion"] = newValue.isEmpty ? nil : .string(newValue) }
    }
    package var generation: Int { tree["metadata", "generation"]?.integer ?? 0 }
    /// RFC 3339, or nil while the object has not been stored.
    package var creationTimestamp: String? { tree["metadata", "creationTimestamp"]?.string }
    /// RFC 3339; present from the moment that a deletion was accepted and something still has to happen before it is
    /// gone.
    package var deletionTimestamp: String? { tree["metadata", "deletionTimestamp"]?.string }
    package var isTerminating: Bool { deletionTimestamp != nil }
    package var finalizers: [String] {
        get { tree["metadata", "finalizers"]?.strings ?? [] }
        set { tree["metadata", "finalizers"] = newValue.isEmpty ? JSON?.none : .array(newValue.map { .string($0) }) }
    }
    // A bare `nil` beside a `JSON` would be read as the literal null and stored.
    package var labels: [String: String] {
        get { tree["metadata", "labels"]?.stringMap ?? [:] }
        set { tree["metadata", "labels"] = newValue.isEmpty ? JSON?.none : JSON(stringMap: newValue) }
    }
    package var annotations: [String: String] {
        get { tree["metadata", "annotations"]?.stringMap ?? [:] }
        set { tree["metadata", "annotations"] = newValue.isEmpty ? JSON?.none : JSON(stringMap: newValue) }
    }
    package var ownerReferences: [OwnerReference] {
        get { (tree["metadata", "ownerReferences"]?.array ?? []).map(OwnerReference.init) }
        set { tree["metadata", "ownerReferences"] = newValue.isEmpty ? JSON?.none : .array(newValue.map(\.tree)) }
    }
    /// The owner that manages this object, of which there is at most one.
    package var controllerReference: OwnerReference? { ownerReferences.first(where: \.isController) }

    package var spec: JSON {
        get { tree["spec"] ?? .null }
        set { tree["spec"] = newValue }
    }
    package var status: JSON {
        get { tree["status"] ?? .null }
        set { tree["status"] = newValue }
    }

    /// The condition of this type in `status.conditions`.
    package func condition(_ type: String) -> JSON? {
        status["conditions"]?.array?.first { $0["type"]?.string == type }
    }

    /// Whether the condition of this type has status `True`.
    package func isTrue(_ type: String) -> Bool { condition(type)?["status"]?.string == "True" }

    private func text(_ field: String) -> String { tree["metadata", field]?.string ?? "" }
}

/// One entry of `metadata.ownerReferences`.
package struct OwnerReference: Sendable, Hashable {
    package var apiVersion: String
    package var kind: String
    package var name: String
    package var uid: String
    package var isController: Bool
    package var blocksOwnerDeletion: Bool

    package init(_ tree: JSON) {
        apiVersion = tree["apiVersion"]?.string ?? ""
        kind = tree["kind"]?.string ?? ""
        name = tree["name"]?.string ?? ""
        uid = tree["uid"]?.string ?? ""
        isController = tree["controller"]?.bool ?? false
        blocksOwnerDeletion = tree["blockOwnerDeletion"]?.bool ?? false
    }

    /// The reference that makes `owner` the managing owner of an object.
    package init(controller owner: Object) {
        apiVersion = owner.apiVersion
        kind = owner.kind
        name = owner.name
        uid = owner.uid
        isController = true
        blocksOwnerDeletion = true
    }

    package var tree: JSON {
        var tree: JSON = [
            "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
        ]
        if isController { tree["controller"] = true }
        if blocksOwnerDeletion { tree["blockOwnerDeletion"] = true }
        return tree
    }
}
