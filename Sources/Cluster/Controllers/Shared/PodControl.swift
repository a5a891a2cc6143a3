// Creates and deletes pods for their owners: slowly at first, remembered until the cache shows it, told as Events.

import Client
import Formats
import Objects
import Reconciling

/// What became of a batch of creations.
struct Creation: Sendable {
    var created: [Object] = []
    /// The first failure; what was not tried after it is not in `created` either.
    var failure: (any Error)?
}

/// The hands of every controller that owns pods, after `RealPodControl` and `slowStartBatch` of `controller_utils.go`.
struct PodControl: Sendable {
    /// Creations grow from one at a time by doubling, so that a template that cannot be created fails once, not 500
    /// times.
    static let firstBatch = 1
    /// Pods created or deleted in one reconcile.
    static let burstLimit = 500

    let client: KubernetesClient
    let recorder: EventRecorder
    let clock: WallClock
    let expectations = Expectations()

    /// Creates these pods; stops after the batch in which one failed.
    func create(_ pods: [Object], for owner: Object) async -> Creation {
        expectations.with { [now = clock.now()] in $0.willCreate(pods.count, for: owner.key, now: now) }
        var outcome = Creation()
        var rest = pods[...]
        var batch = Self.firstBatch
        while !rest.isEmpty, outcome.failure == nil {
            let now = rest.prefix(batch)
            rest = rest.dropFirst(now.count)
            await withTaskGroup(of: Result<Object, any Error>.self) { group in
                for pod in now { group.addTask { await create(pod, for: owner) } }
                for await result in group {
                    switch result {
                    case .success(let pod): outcome.created.append(pod)
                    case .failure(let error): outcome.failure = outcome.failure ?? error
                    }
                }
            }
            batch *= 2
        }
        // What failed and what is not tried any more will not be seen.
        let unseen = pods.count - outcome.created.count
        expectations.with { machine in
            for _ in 0..<unseen { machine.creationObserved(for: owner.key) }
        }
        return outcome
    }

    private func create(_ pod: Object, for owner: Object) async -> Result<Object, any Error> {
        do {
            let created = try await client.create(.pods, pod)
            recorder.record(owner, .normal, reason: "SuccessfulCreate", message: "Created pod: \(created.name)")
            return .success(created)
        } catch {
            recorder.record(owner, .warning, reason: "FailedCreate", message: "Error creating: \(error)")
            return .failure(error)
        }
    }

    /// Deletes these pods, each only if it still is the one that was looked at. Throws the last failure after trying
    /// all.
    func delete(_ pods: [Object], of owner: Object) async throws {
        expectations.with { [now = clock.now()] in $0.willDelete(pods.map(\.uid), for: owner.key, now: now) }
        var failure: (any Error)?
        for pod in pods {
            do {
                try await client.delete(.pods, pod.key, uid: pod.uid)
                recorder.record(owner, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
            } catch {
                expectations.with { $0.deletionObserved(pod.uid, for: owner.key) }
                if let problem = error as? Problem, [404, 409].contains(problem.code) { continue }
                recorder.record(
                    owner, .warning, reason: "FailedDelete", message: "Error deleting \(pod.name): \(error)")
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Whether the caches show everything that was asked for on behalf of this owner.
    func isCacheCurrent(for owner: ObjectKey) -> Bool {
        expectations.with { [now = clock.now()] in $0.areMet(for: owner, now: now) }
    }
}

/// Tells a controller's queue which owners a change of a pod concerns, and its expectations what was seen.
struct PodSightings: Sendable {
    let owners: Informer
    let pods: Informer
    let expectations: Expectations

    /// Connects both informers to the queue; call it before they run.
    func connect(to reconciler: Reconciler<ObjectKey>) {
        owners.onChange { change in
            if change.new == nil { expectations.with { $0.forgotten(change.key) } }
            reconciler.enqueue(change.key)
        }
        pods.onChange { change in
            observe(change)
            for owner in concerned(by: change) { reconciler.enqueue(owner) }
        }
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
        guard let pod, let reference = pod.controllerReference, reference.kind == owners.resource.kind,
            reference.apiVersion == owners.resource.apiVersion
        else { return nil }
        return ObjectKey(namespace: pod.namespace, name: reference.name)
    }

    /// The old and the new owner of the pod, or those whose selector an orphan matches.
    private func concerned(by change: Change) -> Set<ObjectKey> {
        var concerned: Set<ObjectKey> = []
        for pod in [change.old, change.new] {
            if let key = owner(of: pod) { concerned.insert(key) }
        }
        if let pod = change.new, pod.controllerReference == nil {
            for owner in owners.list(namespace: pod.namespace) where owner.podSelector?.matches(pod.labels) == true {
                concerned.insert(owner.key)
            }
        }
        return concerned
    }
}

extension Object {
    /// The pods that a workload selects; nil where its selector is missing, empty or wrong.
    var podSelector: LabelSelector? {
        let tree = spec["selector"] ?? .null
        var selector: LabelSelector?
        if kind == "ReplicationController" {
            let labels = tree.stringMap
            let template = spec["template"]?["metadata", "labels"]?.stringMap ?? [:]
            selector = LabelSelector(matchLabels: labels.isEmpty ? template : labels)
        } else {
            selector = try? LabelSelector(tree)
        }
        return selector?.isEmpty == false ? selector : nil
    }
}

/// Makes pods from the templates of their owners.
enum PodTemplate {
    /// The pod that a template describes, owned by `owner`; named by it, or by the server where no name is given.
    static func pod(_ template: JSON, owner: Object, name: String? = nil, generateName: String? = nil) -> Object {
        var metadata: JSON = [
            "namespace": .string(owner.namespace),
            "ownerReferences": .array([OwnerReference(controller: owner).tree]),
        ]
        if let name {
            metadata["name"] = .string(name)
        } else {
            metadata["generateName"] = .string(generateName ?? owner.name + "-")
        }
        for field in ["labels", "annotations", "finalizers"] {
            if let value = template["metadata", field] { metadata[field] = value }
        }
        return Object([
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] ?? [:],
        ])
    }
}
