// Keeps the status of PodDisruptionBudgets true, which is what evictions are allowed by.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `DisruptionMachine`.
package struct DisruptionController: Sendable {
    let client: KubernetesClient
    let budgets: Informer
    let pods: Informer
    /// Owners that have a scale: Deployments over ReplicaSets, and these themselves.
    let scaled: [Informer]
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "disruption", logger: logger, reconcile: reconcile)
        budgets.onChange { reconciler.enqueue($0.key) }
        pods.onChange { change in
            for budget in budgets.list(namespace: change.key.namespace) {
                let seen = [change.old, change.new].compactMap { $0 }
                if seen.contains(where: { DisruptionMachine.selects(budget, $0) }) { reconciler.enqueue(budget.key) }
            }
        }
        for informer in scaled {
            informer.onChange { change in
                guard change.old?.desiredReplicas != change.new?.desiredReplicas else { return }
                for budget in budgets.list(namespace: change.key.namespace) { reconciler.enqueue(budget.key) }
            }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let budget = budgets.get(key), !budget.isTerminating else { return .done }
        let selected = pods.list(namespace: key.namespace).filter { DisruptionMachine.selects(budget, $0) }
        let machine = DisruptionMachine(budget: budget, pods: selected, now: clock.now())
        if selected.isEmpty {
            recorder.record(budget, .normal, reason: "NoPods", message: "No matching pods found")
        }
        var status: JSON
        do throws(Problem) {
            status = machine.status(scale: machine.needsScale ? try scale(of: selected) : 0)
        } catch {
            recorder.record(
                budget, .warning, reason: "CalculateExpectedPodCountFailed",
                message: "Failed to calculate the number of expected pods: \(error.message)")
            status = machine.status(failure: error.message)
        }
        if status != budget.status {
            var budget = budget
            budget.status = status
            try await client.update(.podDisruptionBudgets, budget, subresource: "status")
        }
        return machine.nextLook().map { .again(after: max(.zero, $0) + .seconds(1)) } ?? .done
    }

    /// How many pods the owners of these want together. Each owner counts once.
    private func scale(of pods: [Object]) throws(Problem) -> Int {
        var counts: [String: Int] = [:]
        for pod in pods where !pod.isPodFinished {
            guard let reference = pod.controllerReference else {
                throw Problem(.unknown, "found no controllers for pod \"\(pod.name)\"")
            }
            guard var owner = find(reference, in: pod.namespace) else {
                throw Problem(
                    .unknown,
                    "\(reference.kind) \(reference.name) of pod \"\(pod.name)\" does not implement the scale subresource"
                )
            }
            if let above = owner.controllerReference, let top = find(above, in: pod.namespace) { owner = top }
            counts[owner.uid] = owner.desiredReplicas
        }
        return counts.values.reduce(0, +)
    }

    private func find(_ reference: OwnerReference, in namespace: String) -> Object? {
        let informer = scaled.first {
            $0.resource.kind == reference.kind && $0.resource.apiVersion == reference.apiVersion
        }
        let owner = informer?.get(ObjectKey(namespace: namespace, name: reference.name))
        return owner?.uid == reference.uid ? owner : nil
    }
}
