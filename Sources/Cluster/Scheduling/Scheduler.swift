// Gives pending pods a node.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `SchedulerMachine`; serves pods whose `schedulerName` is `default-scheduler`.
package struct Scheduler: Sendable {
    package static let name = "default-scheduler"
    /// A pod without a node is tried again this often even if nothing changes.
    static let retryInterval = Duration.seconds(60)
    static let pendingIndex = "pending"

    private let client: KubernetesClient
    private let clock: WallClock
    private let logger: Logger
    private let nodes: Informer
    private let pods: Informer
    private let claims: Informer
    private let volumes: Informer
    private let classes: Informer
    private let budgets: Informer
    private let recorder: EventRecorder
    private let assumed = Assumed()

    /// Bindings that the cache does not show yet: pod uid to node.
    private final class Assumed: Sendable {
        let nodes = Mutex<[String: String]>([:])
    }

    package init(client: KubernetesClient, clock: WallClock = .system, logger: Logger) {
        self.client = client
        self.clock = clock
        self.logger = logger
        nodes = Informer(client: client, resource: .nodes, logger: logger)
        pods = Informer(
            client: client, resource: .pods, indexes: [Self.pendingIndex: { Self.isPending($0) ? [""] : [] }],
            logger: logger)
        claims = Informer(client: client, resource: .persistentVolumeClaims, logger: logger)
        volumes = Informer(client: client, resource: .persistentVolumes, logger: logger)
        classes = Informer(client: client, resource: .storageClasses, logger: logger)
        budgets = Informer(client: client, resource: .podDisruptionBudgets, logger: logger)
        recorder = EventRecorder(client: client, component: Self.name, clock: clock, logger: logger)
    }

    /// Runs until cancelled.
    package func run() async throws {
        // One worker: each placement must see the one before.
        let queue = Reconciler<ObjectKey>(name: "scheduler", workers: 1, logger: logger, reconcile: schedule)
        pods.onChange { change in
            if let pod = change.new, Self.isPending(pod) {
                queue.enqueue(change.key)
                return
            }
            if let uid = change.latest?.uid { assumed.nodes.withLock { $0[uid] = nil } }
            if change.new.map(Self.isFinished) ?? true { enqueuePending(queue) }
        }
        nodes.onChange { change in
            if Self.differs(change.old, change.new) { enqueuePending(queue) }
        }
        claims.onChange { change in
            for pod in pods.indexed(Self.pendingIndex, "") where VolumeView.claims(of: pod).contains(change.key) {
                queue.enqueue(pod.key)
            }
        }
        for informer in [volumes, classes] { informer.onChange { _ in enqueuePending(queue) } }
        let informers = [nodes, pods, claims, volumes, classes, budgets]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for informer in informers { group.addTask { await informer.run() } }
            group.addTask { await recorder.run() }
            for informer in informers { try await informer.waitUntilSynced() }
            group.addTask { await queue.run() }
            try await group.waitForAll()
        }
    }

    private func enqueuePending(_ queue: Reconciler<ObjectKey>) {
        for pod in pods.indexed(Self.pendingIndex, "") { queue.enqueue(pod.key) }
    }

    private static func isFinished(_ pod: Object) -> Bool {
        ["Succeeded", "Failed"].contains(pod.status["phase"]?.string ?? "")
    }

    static func isPending(_ pod: Object) -> Bool {
        (pod.spec["nodeName"]?.string ?? "").isEmpty && !pod.isTerminating && !isFinished(pod)
            && (pod.spec["schedulerName"]?.string ?? name) == name
    }

    /// Whether a node changed in what placement reads; heartbeats do not count.
    private static func differs(_ old: Object?, _ new: Object?) -> Bool {
        guard let old, let new else { return true }
        return old.labels != new.labels || old.spec != new.spec || old.isTrue("Ready") != new.isTrue("Ready")
            || old.status["allocatable"] != new.status["allocatable"]
    }

    private func schedule(_ key: ObjectKey) async throws -> Outcome {
        guard let pod = pods.get(key), Self.isPending(pod) else { return .done }
        if assumed.nodes.withLock({ $0[pod.uid] }) != nil { return .done }
        if pod.spec["schedulingGates"]?.array?.isEmpty == false {
            try await say("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", of: pod)
            return .done
        }
        let assumed = assumed.nodes.withLock { $0 }
        let bound = pods.list().compactMap { other -> (pod: Object, node: String)? in
            let node = other.spec["nodeName"]?.string ?? ""
            guard let name = node.isEmpty ? assumed[other.uid] ?? Self.reservation(of: other, against: pod) : node,
                !Self.isFinished(other)
            else { return nil }
            return (other, name)
        }
        let view = VolumeView(claims: claims.list(), volumes: volumes.list(), classes: classes.list())
        switch SchedulerMachine(nodes: nodes.list(), bound: bound, volumes: view).place(pod) {
        case .bind(let node):
            try await bind(pod, to: node)
            return .done
        case .prepare(let node, let claims):
            // The claims' changes bring the pod back here.
            for claim in claims { try await choose(node, for: claim) }
            return .again(after: Self.retryInterval)
        case .unschedulable(let message):
            let preemption = Preemption(nodes: nodes.list(), bound: bound, volumes: view, budgets: budgets.list())
            let plan = preemption.plan(for: pod)
            try await say("Unschedulable", message, of: pod, nominated: plan?.node)
            recorder.record(pod, .warning, reason: "FailedScheduling", message: message)
            for victim in plan?.victims ?? [] where !victim.isTerminating { try await preempt(victim, for: pod) }
            // The victims' end brings the pod back here.
            return .again(after: Self.retryInterval)
        }
    }

    /// The node that a pod waits for after others had to leave it: less important ones may not take its place
    /// meanwhile.
    private static func reservation(of other: Object, against pod: Object) -> String? {
        guard other.uid != pod.uid, isPending(other), Preemption.priority(other) >= Preemption.priority(pod),
            let node = other.status["nominatedNodeName"]?.string, !node.isEmpty
        else { return nil }
        return node
    }

    /// Tells a pod to leave in its grace period, and everybody why.
    private func preempt(_ victim: Object, for pod: Object) async throws {
        let words = "Preempted by pod \(pod.uid) on node \(victim.spec["nodeName"]?.string ?? "")"
        let condition: JSON = [
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": .string("\(Self.name): preempting to accommodate a higher priority pod"),
            "lastTransitionTime": .string(clock.now().rfc3339),
        ]
        do {
            try await client.patch(
                .pods, victim.key, .strategicMerge,
                ["metadata": ["uid": .string(victim.uid)], "status": ["conditions": .array([condition])]],
                subresource: "status")
            try await client.delete(.pods, victim.key, uid: victim.uid)
        } catch let problem as Problem where [404, 409].contains(problem.code) {
            // It is gone, or another pod has its name by now.
            return
        }
        recorder.record(victim, .normal, reason: "Preempted", message: words)
    }

    /// Says on a claim which node its volume must be on.
    private func choose(_ node: String, for claim: ObjectKey) async throws {
        guard let known = claims.get(claim), known.annotations[VolumeView.selectedNode] != node else { return }
        try await client.patch(
            .persistentVolumeClaims, claim, .merge,
            [
                "metadata": [
                    "uid": .string(known.uid), "annotations": [VolumeView.selectedNode: .string(node)],
                ]
            ])
    }

    private func bind(_ pod: Object, to node: String) async throws {
        assumed.nodes.withLock { $0[pod.uid] = node }
        let binding = Object([
            "apiVersion": "v1", "kind": "Binding",
            "metadata": [
                "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
            ],
            "target": ["apiVersion": "v1", "kind": "Node", "name": .string(node)],
        ])
        do {
            try await client.create(.pods, binding, subresource: "binding")
        } catch {
            assumed.nodes.withLock { $0[pod.uid] = nil }
            if let problem = error as? Problem, problem.code == 404 { return }
            throw error
        }
        recorder.record(
            pod, .normal, reason: "Scheduled",
            message: "Successfully assigned \(pod.namespace)/\(pod.name) to \(node)")
    }

    /// Writes the condition that says why the pod has no node, when it does not say so already.
    private func say(_ reason: String, _ message: String, of pod: Object, nominated: String? = nil) async throws {
        let old = pod.condition("PodScheduled")
        let isNominated = nominated == nil || pod.status["nominatedNodeName"]?.string == nominated
        if old?["reason"]?.string == reason, old?["message"]?.string == message, isNominated { return }
        let condition: JSON = [
            "type": "PodScheduled", "status": "False", "reason": .string(reason), "message": .string(message),
            "lastTransitionTime": old?["lastTransitionTime"] ?? .string(clock.now().rfc3339),
        ]
        var status: JSON = ["conditions": .array([condition])]
        if let nominated { status["nominatedNodeName"] = .string(nominated) }
        do {
            try await client.patch(
                .pods, pod.key, .strategicMerge, ["metadata": ["uid": .string(pod.uid)], "status": status],
                subresource: "status")
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
