// Deletes objects whose owners are gone, and lets owners go that wait for their dependants.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `DependencyGraph` and `GarbageCollectorMachine`. Absence is believed only after a live look: a cache
/// that is behind must not cost an object its life.
package struct GarbageCollector: Sendable {
    static let component = "garbage-collector-controller"
    /// How long an object waits whose owner's kind the server does not know.
    static let unknownOwnerInterval = Duration.seconds(30)
    /// How long dependants are not counted while the lists of some resource are not in.
    static let syncInterval = Duration.milliseconds(200)

    let client: KubernetesClient
    let logger: Logger
    private let graph: Graph
    private let monitors: OwnerMonitors
    private let queue: Reconciler<String>
    private let recorder: EventRecorder
    private let box = ReconcileBox()

    /// What the queue's handlers and reconciles share.
    private final class Graph: Sendable {
        let graph = Mutex(DependencyGraph())
    }

    /// `informers` are those that others run; everything else that the server has is followed by the collector itself.
    init(client: KubernetesClient, informers: [Informer], clock: WallClock = .system, logger: Logger) {
        self.client = client
        self.logger = logger
        let graph = Graph()
        let queue = Reconciler<String>(name: "garbage-collector", logger: logger) { [box] in
            try await box.reconcile($0)
        }
        self.graph = graph
        self.queue = queue
        recorder = EventRecorder(client: client, component: Self.component, clock: clock, logger: logger)
        monitors = OwnerMonitors(client: client, shared: informers, logger: logger) { resource, change in
            for uid in graph.graph.withLock({ $0.changed(change, of: resource) }) { queue.enqueue(uid) }
        }
        box.set(reconcile)
    }

    /// Connects the informers that were given; call it before they run.
    func connect() -> GarbageCollector {
        monitors.connect()
        return self
    }

    /// Collects until cancelled. Needs `connect()` before, and the informers to be running.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await monitors.run() }
            group.addTask { await recorder.run() }
            group.addTask { await queue.run() }
        }
        box.set(nil)
    }

    func reconcile(_ uid: String) async throws -> Outcome {
        if !monitors.areSynced { return .again(after: Self.syncInterval) }
        let (node, dependents) = graph.graph.withLock { ($0[uid], $0.dependents(of: uid)) }
        guard let node, let object = try await client.find(node.resource, node.key), object.uid == uid else {
            return .done
        }
        if object.isTerminating {
            if object.finalizers.contains(GarbageCollectorMachine.orphanFinalizer) {
                for dependent in dependents { try await orphan(dependent, from: uid) }
                try await remove(GarbageCollectorMachine.orphanFinalizer, from: object, node.resource)
            } else if object.finalizers.contains(GarbageCollectorMachine.foregroundFinalizer) {
                try await advanceForeground(object, node.resource, dependents)
            }
            return .done
        }
        return try await collect(object, node.resource, dependents)
    }

    private func collect(_ object: Object, _ resource: Resource, _ dependents: Set<String>) async throws -> Outcome {
        var states: [String: GarbageCollectorMachine.OwnerState] = [:]
        for owner in object.ownerReferences { states[owner.uid] = try await state(of: owner, for: object) }
        let verdict = GarbageCollectorMachine.verdict(on: object, owners: states, hasDependents: !dependents.isEmpty)
        switch verdict {
        case .keep: break
        case .removeReferences(let uids):
            try await set(object.ownerReferences.filter { !uids.contains($0.uid) }, on: object, resource)
        case .delete(let propagation):
            if propagation == .foreground { try await breakCircle(object, resource, dependents) }
            try await ignoringAbsence {
                try await client.delete(resource, object.key, propagation: propagation, uid: object.uid)
            }
        }
        return states.values.contains(.unknown) ? .again(after: Self.unknownOwnerInterval) : .done
    }

    /// An owner in foreground deletion goes when no dependant that blocks it is left; the others are looked at.
    private func advanceForeground(_ owner: Object, _ resource: Resource, _ dependents: Set<String>) async throws {
        let blocking = graph.graph.withLock { graph in
            dependents.filter { dependent in
                graph[dependent]?.owners.contains { $0.uid == owner.uid && $0.blocksOwnerDeletion } ?? false
            }
        }
        if blocking.isEmpty {
            try await remove(GarbageCollectorMachine.foregroundFinalizer, from: owner, resource)
            return
        }
        // One level at a time: a dependant that waits for its own is looked at by its own changes.
        for dependent in dependents where dependent != owner.uid {
            if graph.graph.withLock({ $0[dependent]?.isTerminating ?? true }) == false { queue.enqueue(dependent) }
        }
    }

    /// Objects that own each other would wait for each other for ever: this one stops blocking its owners where one of
    /// its dependants is already waiting.
    private func breakCircle(_ object: Object, _ resource: Resource, _ dependents: Set<String>) async throws {
        let isCircle = graph.graph.withLock { graph in
            dependents.contains { dependent in
                guard let node = graph[dependent] else { return false }
                return node.isTerminating && node.finalizers.contains(GarbageCollectorMachine.foregroundFinalizer)
            }
        }
        guard isCircle, object.ownerReferences.contains(where: \.blocksOwnerDeletion) else { return }
        let references = object.ownerReferences.map { reference in
            var reference = reference
            reference.blocksOwnerDeletion = false
            return reference
        }
        try await set(references, on: object, resource)
    }

    private func state(
        of owner: OwnerReference, for object: Object
    ) async throws -> GarbageCollectorMachine.OwnerState {
        guard let resource = monitors.resource(apiVersion: owner.apiVersion, kind: owner.kind) else {
            logger.warning(
                "the server does not know the owner's kind; the object stays",
                metadata: [
                    "object": "\(object.kind) \(object.key)",
                    "owner": "\(owner.apiVersion) \(owner.kind) \(owner.name)",
                ])
            return .unknown
        }
        if resource.isNamespaced, object.namespace.isEmpty {
            reportForeign(owner, of: object)
            return .unreachable
        }
        let key = ObjectKey(namespace: resource.isNamespaced ? object.namespace : "", name: owner.name)
        guard let live = try await client.find(resource, key), live.uid == owner.uid else {
            // It may well live in another namespace, where it cannot own this object.
            if graph.graph.withLock({ $0[owner.uid] != nil }) { reportForeign(owner, of: object) }
            return .absent
        }
        let isWaiting = live.isTerminating && live.finalizers.contains(GarbageCollectorMachine.foregroundFinalizer)
        return isWaiting ? .waiting : .present
    }

    private func reportForeign(_ owner: OwnerReference, of object: Object) {
        let reference =
            "\(owner.apiVersion)/\(owner.kind), namespace: \(object.namespace), name: \(owner.name), uid: \(owner.uid)"
        recorder.record(
            object, .warning, reason: "OwnerRefInvalidNamespace",
            message: "ownerRef [\(reference)] does not exist in namespace \"\(object.namespace)\"")
    }

    private func orphan(_ dependent: String, from owner: String) async throws {
        guard let node = graph.graph.withLock({ $0[dependent] }),
            let object = try await client.find(node.resource, node.key)
        else { return }
        let left = object.ownerReferences.filter { $0.uid != owner }
        if left.count != object.ownerReferences.count { try await set(left, on: object, node.resource) }
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
        metadata["uid"] = .string(object.uid)
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

/// The reconcile of a collector, set once the collector that it is part of is whole, and let go of when it ends.
private final class ReconcileBox: Sendable {
    private let body = Mutex<(@Sendable (String) async throws -> Outcome)?>(nil)

    func set(_ reconcile: (@Sendable (String) async throws -> Outcome)?) { body.withLock { $0 = reconcile } }

    func reconcile(_ uid: String) async throws -> Outcome {
        guard let reconcile = body.withLock({ $0 }) else { return .again(after: GarbageCollector.syncInterval) }
        return try await reconcile(uid)
    }
}
