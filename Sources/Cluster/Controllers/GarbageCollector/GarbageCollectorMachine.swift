// Decides whether an object that has owners may stay.

import Client
import Objects

/// After `attemptToDeleteItem` of `kubernetes/pkg/controller/garbagecollector/garbagecollector.go`.
enum GarbageCollectorMachine {
    static let orphanFinalizer = "orphan"
    static let foregroundFinalizer = "foregroundDeletion"

    enum OwnerState: Sendable {
        case present
        /// Is being deleted and waits for its dependants to go first.
        case waiting
        case absent
        /// Its kind is not known, so nothing can be said.
        case unknown
        /// The object is outside all namespaces and names an owner inside one: it is never collected.
        case unreachable
    }

    enum Verdict: Sendable, Equatable {
        case keep
        /// Some owners remain; the references to these others go.
        case removeReferences([String])
        case delete(Propagation)
    }

    /// `states` has one entry for every owner of the object.
    static func verdict(on object: Object, owners states: [String: OwnerState], hasDependents: Bool) -> Verdict {
        let owners = object.ownerReferences.map(\.uid)
        if owners.isEmpty || object.isTerminating { return .keep }
        let gone = owners.filter { states[$0] == .absent }
        let waiting = owners.filter { states[$0] == .waiting }
        if gone.count + waiting.count < owners.count {
            return gone.isEmpty && waiting.isEmpty ? .keep : .removeReferences(gone + waiting)
        }
        // The owner waits, so what depends on this object goes before it as well.
        if !waiting.isEmpty, hasDependents { return .delete(.foreground) }
        if object.finalizers.contains(orphanFinalizer) { return .delete(.orphan) }
        if object.finalizers.contains(foregroundFinalizer) { return .delete(.foreground) }
        return .delete(.background)
    }
}
