// Keeps as many pods of each ReplicaSet as it asks for.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `ReplicaSetMachine`.
package struct ReplicaSetController: Sendable {
    /// Creations grow from one at a time by doubling, so that a template that cannot be created fails once, not 500 times.
    static let firstBatch = 1

    let client: KubernetesClient
    let sets: Informer
    let pods: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger
    private let expectations = Expectations()

    init(
        client: KubernetesClient, sets: Informer, pods: Informer, recorder: EventRecorder, clock: WallClock,
        logger: Logger
    ) {
        self.client = client
        self.sets = sets
        self.pods = pods
        self.recorder = recorder
        self.clock = clock
        self.logger = logger
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "replicaset", logger: logger, reconcile: reconcile)
        sets.onChange { change in
            if change.new == nil { expectations.with { $0.forgotten(change.key) } }
            reconciler.enqueue(change.key)
        }
        pods.onChange { change in
            observe(change)
            for owner in owners(of: change) { reconciler.enqueue(owner) }
        }
        return reconciler
    }

    private func observe(_ change: Change) {
        if change.old == nil, let owner = owner(of: change.new) {
            expectations.with { $0.creationObserved(for: owner) }
        }
        if change.new?.isTerminating ?? true, let pod = change.latest, let owner = owner(of: pod) {
            expectations.with { $0.deletionObserved(pod.uid, for: owner) }
        }
    }

    private func owner(of pod: Object?) -> ObjectKey? {
        guard let pod, let reference = pod.controllerReference, reference.kind == "ReplicaSet" else { return nil }
        return ObjectKey(namespace: pod.namespace, name: reference.name)
    }

    /// The sets that a change of a pod concerns: its old and new owner, or those whose selector an orphan matches.
    private func owners(of change: Change) -> Set<ObjectKey> {
        var owners: Set<ObjectKey> = []
        for pod in [change.old, change.new] {
            if let key = owner(of: pod) { owners.insert(key) }
        }
        if let pod = change.new, pod.controllerReference == nil {
            for set in sets.list(namespace: pod.namespace) where matches(set, pod.labels) { owners.insert(set.key) }
        }
        return owners
    }

    private func matches(_ set: Object, _ labels: [String: String]) -> Bool {
        guard let selector = try? LabelSelector(set.spec["selector"] ?? .null), !selector.isEmpty else { return false }
        return selector.matches(labels)
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let set = sets.get(key) else { return .done }
        let now = clock.now()
        let isCacheCurrent = expectations.with { $0.areMet(for: key, now: now) }
        let selector = try LabelSelector(set.spec["selector"] ?? .null)
        let claim = Claim(
            owner: set, selector: selector, candidates: pods.candidates(for: set).filter { !$0.isPodFinished })
        let owned = try await Adoption(client: client, owners: .replicaSets, resource: .pods).perform(claim, by: set)
        let machine = ReplicaSetMachine(replicaSet: set, owned: owned, now: now)
        var failure: Problem?
        var reason = ""
        if isCacheCurrent, let action = machine.action() {
            do {
                switch action {
                case .create(let count):
                    reason = "FailedCreate"
                    try await create(count, for: set)
                case .delete(let pods):
                    reason = "FailedDelete"
                    try await delete(pods, of: set)
                }
            } catch let problem as Problem {
                failure = problem
            }
        }
        let status = machine.status(failure: failure.map { (reason, $0.message) })
        if status != set.status {
            var set = set
            set.status = status
            try await client.update(.replicaSets, set, subresource: "status")
        }
        if let failure { throw failure }
        return machine.nextAvailability().map { .again(after: $0) } ?? .done
    }

    private func create(_ count: Int, for set: Object) async throws {
        expectations.with { $0.willCreate(count, for: set.key, now: clock.now()) }
        var left = count
        var batch = Self.firstBatch
        while left > 0 {
            batch = min(batch, left)
            let failures = await withTaskGroup(of: (any Error)?.self, returning: [any Error].self) { group in
                for _ in 0..<batch { group.addTask { await createPod(for: set) } }
                var failures: [any Error] = []
                for await failure in group { if let failure { failures.append(failure) } }
                return failures
            }
            left -= batch
            if let failure = failures.first {
                // What failed and what is not tried any more will not be seen.
                for _ in 0..<(failures.count + left) { expectations.with { $0.creationObserved(for: set.key) } }
                throw failure
            }
            batch *= 2
        }
    }

    private func createPod(for set: Object) async -> (any Error)? {
        do {
            let pod = try await client.create(.pods, ReplicaSetMachine.pod(for: set))
            recorder.record(set, .normal, reason: "SuccessfulCreate", message: "Created pod: \(pod.name)")
            return nil
        } catch {
            recorder.record(set, .warning, reason: "FailedCreate", message: "Error creating: \(error)")
            return error
        }
    }

    private func delete(_ pods: [Object], of set: Object) async throws {
        expectations.with { $0.willDelete(pods.map(\.uid), for: set.key, now: clock.now()) }
        var failure: Problem?
        for pod in pods {
            do {
                try await client.delete(.pods, pod.key, uid: pod.uid)
                recorder.record(set, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
            } catch let problem as Problem {
                expectations.with { $0.deletionObserved(pod.uid, for: set.key) }
                if problem.code == 404 || problem.code == 409 { continue }
                recorder.record(
                    set, .warning, reason: "FailedDelete", message: "Error deleting \(pod.name): \(problem.message)")
                failure = problem
            }
        }
        if let failure { throw failure }
    }
}
