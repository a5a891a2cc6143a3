// Watches over nodes: their leases, their taints, and the pods of those that are lost.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `NodeHealthMachine`.
package struct NodeLifecycleController: Sendable {
    static let leaseNamespace = "kube-node-lease"
    static let nodeIndex = "node"
    static let nodeIndexer: Indexer = { pod in
        let name = pod.spec["nodeName"]?.string ?? ""
        return name.isEmpty ? [] : [name]
    }

    let client: KubernetesClient
    let nodes: Informer
    let leases: Informer
    /// Indexed by node.
    let pods: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger
    private let health = Health()

    private final class Health: Sendable {
        let machine = Mutex(NodeHealthMachine())
        let began = SuspendingClock.now
        /// Stands still while the machine sleeps, as the node does.
        var time: Duration { SuspendingClock.now - began }
    }

    init(
        client: KubernetesClient, nodes: Informer, leases: Informer, pods: Informer, recorder: EventRecorder,
        clock: WallClock, logger: Logger
    ) {
        self.client = client
        self.nodes = nodes
        self.leases = leases
        self.pods = pods
        self.recorder = recorder
        self.clock = clock
        self.logger = logger
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "node-lifecycle", logger: logger, reconcile: reconcile)
        nodes.onChange { change in
            reconciler.enqueue(change.key)
        }
        leases.onChange { change in
            if change.key.namespace == Self.leaseNamespace { reconciler.enqueue(ObjectKey(name: change.key.name)) }
        }
        pods.onChange { change in
            guard change.old?.spec["nodeName"] == nil, let node = change.new?.spec["nodeName"]?.string else { return }
            reconciler.enqueue(ObjectKey(name: node))
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let node = nodes.get(key) else { return try await giveUp(key) }
        if node.isTerminating { return .done }
        let lease = leases.get(ObjectKey(namespace: Self.leaseNamespace, name: key.name))
        let now = clock.now()
        let decision = health.machine.withLock { [time = health.time] in
            $0.looked(at: node, lease: lease, time: time, now: now)
        }
        if decision.isNew {
            recorder.record(
                node, .normal, reason: "RegisteredNode",
                message: "Node \(node.name) event: Registered Node \(node.name) in Controller")
        }
        if let status = decision.status {
            var silent = node
            silent.status = status
            try await client.update(.nodes, silent, subresource: "status")
        }
        if decision.hasFallen {
            recorder.record(
                node, .normal, reason: "NodeNotReady", message: "Node \(node.name) status is now: NodeNotReady")
            try await markPodsUnready(on: node.name, now: now)
        }
        if let taints = decision.taints {
            try await client.patch(
                .nodes, key, .merge,
                [
                    "metadata": decision.status == nil ? ["resourceVersion": .string(node.resourceVersion)] : [:],
                    "spec": ["taints": taints.isEmpty ? .null : .array(taints)],
                ])
        }
        let taints = decision.taints ?? node.spec["taints"]?.array ?? []
        let stay = try await evict(from: key.name, taints, now)
        let next = [decision.nextLook, stay].compactMap { $0 }.min()
        return next.map { .again(after: $0 + .milliseconds(200)) } ?? .done
    }

    /// Takes the pods of a node that is gone out of the API: nobody else will say that they have ended.
    private func giveUp(_ key: ObjectKey) async throws -> Outcome {
        let lost = pods.indexed(Self.nodeIndex, key.name)
        if lost.isEmpty {
            health.machine.withLock { $0.forgot(key.name) }
            return .done
        }
        let left = health.machine.withLock { [time = health.time] in $0.missed(key.name, time: time) }
        if left > .zero { return .again(after: left + .milliseconds(200)) }
        do {
            // The cache may be behind: a node that is there keeps its pods.
            _ = try await client.get(.nodes, key)
            return .again(after: NodeHealthMachine.quarantine)
        } catch let problem as Problem where problem.reason == .notFound {}
        for pod in lost {
            try await ignoringAbsence {
                if !pod.isPodFinished { try await markLost(pod) }
                _ = try await client.delete(.pods, pod.key, gracePeriodSeconds: 0, uid: pod.uid)
            }
        }
        return .done
    }

    private func markLost(_ pod: Object) async throws {
        let condition: JSON = [
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": .string(clock.now().rfc3339),
        ]
        try await client.patch(
            .pods, pod.key, .strategicMerge, ["status": ["phase": "Failed", "conditions": [condition]]],
            subresource: "status")
    }

    /// A pod on a node that says nothing must not be sent anything.
    private func markPodsUnready(on node: String, now: Timestamp) async throws {
        for pod in pods.indexed(Self.nodeIndex, node) where pod.isPodReady {
            let condition: JSON = [
                "type": "Ready", "status": "False", "lastTransitionTime": .string(now.rfc3339),
            ]
            try await ignoringAbsence {
                _ = try await client.patch(
                    .pods, pod.key, .strategicMerge, ["status": ["conditions": [condition]]], subresource: "status")
            }
            recorder.record(pod, .warning, reason: "NodeNotReady", message: "Node is not ready")
        }
    }

    /// Deletes the pods whose time on a tainted node is over; answers how long the next one has.
    private func evict(from node: String, _ taints: [JSON], _ now: Timestamp) async throws -> Duration? {
        guard taints.contains(where: { $0["effect"]?.string == "NoExecute" }) else { return nil }
        var next: Duration?
        for pod in pods.indexed(Self.nodeIndex, node) where pod.isPodActive {
            guard let left = NodeHealthMachine.stay(of: pod, taints: taints, now: now) else { continue }
            if left > .zero {
                next = min(next ?? left, left)
                continue
            }
            recorder.record(
                pod, .normal, reason: "TaintManagerEviction", message: "Marking for deletion Pod \(pod.key)")
            try await ignoringAbsence { _ = try await client.delete(.pods, pod.key, uid: pod.uid) }
        }
        return next
    }

    private func ignoringAbsence(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
