// Keeps one pod of each DaemonSet on every node that it wants.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `DaemonSetMachine`.
package struct DaemonSetController: Sendable {
    let client: KubernetesClient
    let sets: Informer
    let pods: Informer
    let nodes: Informer
    let revisions: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger
    private let control: PodControl

    init(
        client: KubernetesClient, sets: Informer, pods: Informer, nodes: Informer, revisions: Informer,
        recorder: EventRecorder, clock: WallClock, logger: Logger
    ) {
        self.client = client
        self.sets = sets
        self.pods = pods
        self.nodes = nodes
        self.revisions = revisions
        self.recorder = recorder
        self.clock = clock
        self.logger = logger
        control = PodControl(client: client, recorder: recorder, clock: clock)
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "daemonset", logger: logger, reconcile: reconcile)
        PodSightings(owners: sets, pods: pods, expectations: control.expectations).connect(to: reconciler)
        nodes.onChange { change in
            if let old = change.old, let new = change.new, old.labels == new.labels,
                old.spec["taints"] == new.spec["taints"]
            {
                return
            }
            for set in sets.list() { reconciler.enqueue(set.key) }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let set = sets.get(key) else { return .done }
        guard let selector = set.podSelector else {
            recorder.record(
                set, .warning, reason: "SelectingAll",
                message: "This daemon set is selecting all pods. A non-empty selector is required.")
            return .done
        }
        let isCacheCurrent = control.isCacheCurrent(for: key)
        let claim = Claim(owner: set, selector: selector, candidates: pods.candidates(for: set))
        let owned = try await Adoption(client: client, owners: .daemonSets, resource: .pods).perform(claim, by: set)
        let revisionClaim = Claim(owner: set, selector: selector, candidates: revisions.candidates(for: set))
        let known = try await Adoption(client: client, owners: .daemonSets, resource: .controllerRevisions)
            .perform(revisionClaim, by: set)
        let history = RevisionHistory(owner: set, hashLabel: DaemonSetLabel.hash, revisions: known)
        let keeper = RevisionKeeper(client: client, owners: .daemonSets)
        let revision = set.isTerminating ? history.current().revision : try await keeper.settle(history)
        let machine = DaemonSetMachine(
            set: set, nodes: nodes.list(), pods: owned, hash: revision.labels[DaemonSetLabel.hash] ?? "",
            now: clock.now())
        let decision = isCacheCurrent ? machine.decide() : .init()
        var failure: (any Error)?
        do { try await perform(decision, machine, on: set) } catch { failure = error }
        let status = machine.status()
        if status != set.status {
            var set = set
            set.status = status
            try await client.update(.daemonSets, set, subresource: "status")
        }
        if let failure { throw failure }
        if !set.isTerminating {
            let surplus = history.surplus(
                limit: machine.wishes.historyLimit, live: machine.liveRevisions(among: history.revisions))
            try await keeper.remove(surplus)
        }
        if !isCacheCurrent { return .again(after: .seconds(ExpectationsMachine.timeoutSeconds + 1)) }
        return machine.nextLook().map { .again(after: $0) } ?? .done
    }

    private func perform(
        _ decision: DaemonSetMachine.Decision, _ machine: DaemonSetMachine, on set: Object
    ) async throws {
        for pod in decision.ended {
            let node = DaemonSetWishes.node(of: pod) ?? ""
            if pod.podPhase == "Failed" {
                recorder.record(
                    set, .warning, reason: "FailedDaemonPod",
                    message: "Found failed daemon pod \(pod.key) on node \(node), will try to kill it")
            } else {
                recorder.record(
                    set, .normal, reason: "SucceededDaemonPod",
                    message: "Found succeeded daemon pod \(pod.key) on node \(node), will try to delete it")
            }
        }
        let deletions = Array(decision.delete.prefix(PodControl.burstLimit))
        if !deletions.isEmpty { try await control.delete(deletions, of: set) }
        let pods = decision.create.prefix(PodControl.burstLimit).map { machine.wishes.pod(for: $0, hash: machine.hash) }
        if pods.isEmpty { return }
        if let failure = await control.create(pods, for: set).failure { throw failure }
    }
}
