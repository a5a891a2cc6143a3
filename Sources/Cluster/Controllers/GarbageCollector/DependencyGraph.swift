// Who owns whom, over all watched resources.

import Objects
import Reconciling

/// Objects by uid with their owners and dependants. Owners that are not watched appear only as the uid they are named
/// by.
struct DependencyGraph: Sendable {
    struct Node: Sendable {
        var resource: Resource
        var key: ObjectKey
        var owners: [OwnerReference]
        var finalizers: [String]
        var isTerminating: Bool
    }

    private var nodes: [String: Node] = [:]
    private var dependents: [String: Set<String>] = [:]

    subscript(_ uid: String) -> Node? { nodes[uid] }

    /// The uids of the objects that name this one as an owner.
    func dependents(of uid: String) -> Set<String> { dependents[uid] ?? [] }

    /// Takes in a change and answers the uids that must be looked at because of it.
    mutating func changed(_ change: Change, of resource: Resource) -> Set<String> {
        var affected: Set<String> = []
        if let old = change.old, old.uid != change.new?.uid || change.new == nil {
            remove(old.uid)
            // Its dependants may be orphans now; an owner that waited for it may go.
            affected.formUnion(dependents(of: old.uid))
            affected.formUnion(old.ownerReferences.map(\.uid))
        } else if let old = change.old {
            unlink(old.uid)
            // An owner that this object no longer names or blocks may go.
            affected.formUnion(old.ownerReferences.map(\.uid).filter { nodes[$0]?.isTerminating == true })
        }
        if let new = change.new {
            nodes[new.uid] = Node(
                resource: resource, key: new.key, owners: new.ownerReferences, finalizers: new.finalizers,
                isTerminating: new.isTerminating)
            for owner in new.ownerReferences { dependents[owner.uid, default: []].insert(new.uid) }
            if !new.ownerReferences.isEmpty || new.isTerminating { affected.insert(new.uid) }
        }
        return affected
    }

    private mutating func remove(_ uid: String) {
        unlink(uid)
        nodes[uid] = nil
    }

    private mutating func unlink(_ uid: String) {
        for owner in nodes[uid]?.owners ?? [] {
            dependents[owner.uid]?.remove(uid)
            if dependents[owner.uid]?.isEmpty == true { dependents[owner.uid] = nil }
        }
    }
}
