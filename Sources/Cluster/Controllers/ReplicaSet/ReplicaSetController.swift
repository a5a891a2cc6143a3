// Keeps as many pods of each ReplicaSet (or ReplicationController) as it asks for.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `ReplicaSetMachine`. One instance serves ReplicaSets, another ReplicationControllers, which differ in
/// the form of their selector only.
package struct ReplicaSetController: Sendable {
    let client: KubernetesClient
    let sets: Informer
    let pods: Informer
    let clock: WallClock
    let logger: Logger
    private let control: PodControl

    init(
        client: KubernetesClient, sets: Informer, pods: Informer, recorder: EventRecorder, clock: WallClock,
        logger: Logger
    ) {
        self.client = client
        self.sets = sets
        self.pods = pods
        self.clock = clock
        self.logger = logger
        control = PodControl(client: client, recorder: recorder, clock: clock)
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(
            name: sets.resource.kind.lowercased(), logger: logger, reconcile: reconcile)
        PodSightings(owners: sets, pods: pods, expectations: control.expectations).connect(to: reconciler)
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let set = sets.get(key), let selector = set.podSelector else { return .done }
        let isCacheCurrent = control.isCacheCurrent(for: key)
        let claim = Claim(
            owner: set, selector: selector, candidates: pods.candidates(for: set).filter { !$0.isPodFinished })
        let owned = try await Adoption(client: client, owners: sets.resource, resource: .pods).perform(claim, by: set)
        let machine = ReplicaSetMachine(replicaSet: set, owned: owned, now: clock.now())
        var failure: (any Error)?
        var reason = ""
        if isCacheCurrent, let action = machine.action() {
            switch action {
            case .create(let count):
                reason = "FailedCreate"
                let pod = ReplicaSetMachine.pod(for: set)
                failure = await control.create(Array(repeating: pod, count: count), for: set).failure
            case .delete(let pods):
                reason = "FailedDelete"
                do { try await control.delete(pods, of: set) } catch { failure = error }
            }
        }
        let status = machine.status(failure: failure.map { (reason, "\($0)") })
        if status != set.status {
            var set = set
            set.status = status
            try await client.update(sets.resource, set, subresource: "status")
        }
        if let failure { throw failure }
        // A sighting that never comes (a pod that came and went between two lists) must not hold the set for ever.
        if !isCacheCurrent { return .again(after: .seconds(ExpectationsMachine.timeoutSeconds + 1)) }
        return machine.nextAvailability().map { .again(after: $0) } ?? .done
    }
}
