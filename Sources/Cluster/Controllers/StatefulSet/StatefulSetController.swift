// Keeps the pods of StatefulSets, each with its stable name and its claims.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `StatefulSetMachine`. It needs no expectations: names are fixed, so nothing can be made twice.
package struct StatefulSetController: Sendable {
    let client: KubernetesClient
    let sets: Informer
    let pods: Informer
    let revisions: Informer
    let claims: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "statefulset", logger: logger, reconcile: reconcile)
        PodSightings(owners: sets, pods: pods, expectations: Expectations()).connect(to: reconciler)
        claims.onChange { change in
            // A pod may wait for a claim of its name to be gone.
            guard change.new == nil else { return }
            for set in sets.list(namespace: change.key.namespace) where set.spec["volumeClaimTemplates"] != nil {
                if change.key.name.contains("-\(set.name)-") { reconciler.enqueue(set.key) }
            }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let set = sets.get(key), let selector = set.podSelector else { return .done }
        let wishes = StatefulSetWishes(set: set)
        // Only pods with a name of the set are its business.
        let candidates = pods.candidates(for: set).filter { wishes.ordinal(of: $0) != nil }
        let claim = Claim(owner: set, selector: selector, candidates: candidates)
        let owned = try await Adoption(client: client, owners: .statefulSets, resource: .pods).perform(claim, by: set)
        let revisionClaim = Claim(owner: set, selector: selector, candidates: revisions.candidates(for: set))
        let known = try await Adoption(client: client, owners: .statefulSets, resource: .controllerRevisions)
            .perform(revisionClaim, by: set)
        let history = RevisionHistory(owner: set, hashLabel: StatefulSetLabel.hash, revisions: known)
        let keeper = RevisionKeeper(client: client, owners: .statefulSets)
        let update = set.isTerminating ? history.current().revision : try await keeper.settle(history)
        let current = history.revisions.first { $0.name == set.status["currentRevision"]?.string } ?? update
        let machine = StatefulSetMachine(
            set: set, pods: owned, claims: claims.list(namespace: set.namespace), currentRevision: current,
            updateRevision: update, now: clock.now())
        var failure: (any Error)?
        do { try await perform(machine.actions(), on: set) } catch { failure = error }
        let status = machine.status()
        if status != set.status {
            var set = set
            set.status = status
            try await client.update(.statefulSets, set, subresource: "status")
        }
        if let failure { throw failure }
        if !set.isTerminating {
            try await keeper.remove(history.surplus(limit: wishes.historyLimit, live: machine.liveRevisions()))
        }
        return machine.nextAvailability().map { .again(after: $0) } ?? .done
    }

    private func perform(_ actions: [StatefulSetMachine.Action], on set: Object) async throws {
        for action in actions {
            switch action {
            case .ensureClaims(let wanted):
                for claim in wanted { try await create(claim, for: set) }
            case .createPod(let pod):
                try await tell(set, "Create", "create Pod \(pod.name) in StatefulSet \(set.name)") {
                    try await client.create(.pods, pod)
                }
            case .deletePod(let pod, let hasEnded):
                if hasEnded { announceEnded(pod, of: set) }
                try await tell(set, "Delete", "delete Pod \(pod.name) in StatefulSet \(set.name)") {
                    try await client.delete(.pods, pod.key, uid: pod.uid)
                }
            case .setClaimOwners(let name, let owners):
                try await client.patch(
                    .persistentVolumeClaims, ObjectKey(namespace: set.namespace, name: name), .merge,
                    ["metadata": ["ownerReferences": owners.isEmpty ? .null : .array(owners.map(\.tree))]])
            case .label(let pod):
                try await tell(set, "Update", "update Pod \(pod.name) in StatefulSet \(set.name)") {
                    try await client.patch(
                        .pods, pod.key, .merge, ["metadata": ["labels": JSON(stringMap: pod.labels)]])
                }
            }
        }
    }

    private func create(_ claim: Object, for set: Object) async throws {
        let ordinal = claim.name.split(separator: "-").last.map(String.init) ?? ""
        do {
            try await tell(
                set, "Create", "create Claim \(claim.name) Pod \(set.name)-\(ordinal) in StatefulSet \(set.name)",
                succeeded: "success"
            ) { try await client.create(.persistentVolumeClaims, claim) }
        } catch let problem as Problem where problem.reason == .alreadyExists {
            return
        }
    }

    private func announceEnded(_ pod: Object, of set: Object) {
        let isFailed = pod.podPhase == "Failed"
        recorder.record(
            set, isFailed ? .warning : .normal, reason: isFailed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
            message: "StatefulSet \(set.namespace)/\(set.name) is recreating "
                + "\(isFailed ? "failed" : "terminated") Pod \(pod.name)")
    }

    /// Does something and says in an Event how it went; a pod that is gone or there already is no failure to tell of.
    private func tell(
        _ set: Object, _ verb: String, _ what: String, succeeded: String = "successful",
        _ body: () async throws -> some Any
    ) async throws {
        do {
            _ = try await body()
            recorder.record(set, .normal, reason: "Successful\(verb)", message: "\(what) \(succeeded)")
        } catch let problem as Problem where verb == "Delete" && [404, 409].contains(problem.code) {
            return
        } catch let problem as Problem where problem.reason == .alreadyExists {
            throw problem
        } catch {
            recorder.record(set, .warning, reason: "Failed\(verb)", message: "\(what) failed error: \(error)")
            throw error
        }
    }
}
