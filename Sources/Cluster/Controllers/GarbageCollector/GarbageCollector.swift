// Deletes objects whose owners are gone, and lets owners go that wait for their dependants.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `DependencyGraph` and `GarbageCollectorMachine`. Absence is believed only after a live look: a cache that is
/// behind must not cost an object its life.
package struct GarbageCollector: Sendable {
    let client: KubernetesClient
    /// The watched resources; an owner of any other resource is looked up, never collected.
    let informers: [Informer]
    let logger: Logger
    private let graph = Graph()

    private final class Graph: Sendable {
        let graph = Mutex(DependencyGraph())
    }

    init(client: KubernetesClient, informers: [Informer], logger: Logger) {
        self.client = client
        self.informers = informers
        self.logger = logger
    }

    /// Connects the informers to a queue of uids; call it before they run.
    func connect() -> Reconciler<String> {
        let reconciler = Reconciler<String>(name: "garbage-collector", logger: logger, reconcile: reconcile)
        for informer in informers {
            let resource = informer.resource
            informer.onChange { change in
                let affected = graph.graph.withLock { $0.changed(change, of: resource) }
                for uid in affected { reconciler.enqueue(uid) }
            }
        }
        return reconciler
    }

    func reconcile(_ uid: String) async throws -> Outcome {
        let (node, dependents) = graph.graph.withLock { ($0[uid], $0.dependents(of: uid)) }
        guard let node, let object = try await live(node.resource, node.key), object.uid == uid else { return .done }
        if object.isTerminating {
            if object.finalizers.contains(GarbageCollectorMachine.orphanFinalizer) {
                for dependent in dependents { try await orphan(dependent, from: uid) }
                try await remove(GarbageCollectorMachine.orphanFinalizer, from: object, node.resource)
            } else if object.finalizers.contains(GarbageCollectorMachine.foregroundFinalizer) {
                return try await advanceForeground(object, node.resource, dependents)
            }
            return .done
        }
        var states: [String: GarbageCollectorMachine.OwnerState] = [:]
        for owner in object.ownerReferences { states[owner.uid] = try await state(of: owner, for: object) }
        let verdict = GarbageCollectorMachine.verdict(on: object, owners: states, hasDependents: !dependents.isEmpty)
        switch verdict {
        case .keep: break
        case .removeReferences(let uids):
            try await set(object.ownerReferences.filter { !uids.contains($0.uid) }, on: object, node.resource)
        case .delete(let propagation):
            try await ignoringAbsence {
                try await client.delete(
                    node.resource, object.key, propagation: propagation, uid: uid,
                    resourceVersion: object.resourceVersion)
            }
        }
        return .done
    }

    /// An owner in foreground deletion goes when no dependant that blocks it is left; the others are looked at.
    private func advanceForeground(
        _ owner: Object, _ resource: Resource, _ dependents: Set<String>
    ) async throws -> Outcome {
        let blocking = graph.graph.withLock { graph in
            dependents.filter { dependent in
                graph[dependent]?.owners.contains { $0.uid == owner.uid && $0.blocksOwnerDeletion } ?? false
            }
        }
        if blocking.isEmpty {
            try await remove(GarbageCollectorMachine.foregroundFinalizer, from: owner, resource)
            return .done
        }
        for dependent in dependents where dependent != owner.uid {
            // One level at a time: a dependant that waits for its own is looked at by its own changes.
            let isTerminating = graph.graph.withLock { $0[dependent]?.isTerminating ?? true }
            if !isTerminating { _ = try await reconcile(dependent) }
        }
        return .done
    }

    private func state(
        of owner: OwnerReference, for object: Object
    ) async throws -> GarbageCollectorMachine.OwnerState {
        guard let resource = resource(of: owner) else {
            logger.warning("the owner's kind is not watched; the object stays", metadata: [
                "object": "\(object.kind) \(object.key)", "owner": "\(owner.apiVersion) \(owner.kind) \(owner.name)",
            ])
            return .present
        }
        let key = ObjectKey(namespace: resource.isNamespaced ? object.namespace : "", name: owner.name)
        guard let live = try await live(resource, key), live.uid == owner.uid else { return .absent }
        let isWaiting = live.isTerminating && live.finalizers.contains(GarbageCollectorMachine.foregroundFinalizer)
        return isWaiting ? .waiting : .present
    }

    private func resource(of owner: OwnerReference) -> Resource? {
        (informers.map(\.resource) + [.nodes, .namespaces]).first {
            $0.apiVersion == owner.apiVersion && $0.kind == owner.kind
        }
    }

    private func orphan(_ dependent: String, from owner: String) async throws {
        guard let node = graph.graph.withLock({ $0[dependent] }), let object = try await live(node.resource, node.key)
        else { return }
        let left = object.ownerReferences.filter { $0.uid != owner }
        if left.count != object.ownerReferences.count { try await set(left, on: object, node.resource) }
    }

    private func live(_ resource: Resource, _ key: ObjectKey) async throws -> Object? {
        do {
            return try await client.get(resource, key)
        } catch let problem as Problem where problem.code == 404 {
            return nil
        }
    }

    private func set(_ references: [OwnerReference], on object: Object, _ resource: Resource) async throws {
        let trees = JSON.array(references.map(\.tree))
        try await patch(["ownerReferences": references.isEmpty ? .null : trees], object, resource)
    }

    private func remove(_ finalizer: String, from object: Object, _ resource: Resource) async throws {
        let left = object.finalizers.filter { $0 != finalizer }
        try await patch(["finalizers": left.isEmpty ? .null : .array(left.map { .string($0) })], object, resource)
    }

    /// Patches metadata of exactly this revision of the object.
    private func patch(_ metadata: JSON, _ object: Object, _ resource: Resource) async throws {
        var metadata = metadata
        metadata["resourceVersion"] = .string(object.resourceVersion)
        try await ignoringAbsence {
            try await client.patch(resource, object.key, .merge, ["metadata": metadata])
        }
    }

    private func ignoringAbsence(_ body: () async throws -> some Any) async throws {
        do {
            _ = try await body()
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
