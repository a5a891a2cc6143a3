// Rolls Deployments: keeps their ReplicaSets as the machine decides.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `DeploymentMachine`.
package struct DeploymentController: Sendable {
    let client: KubernetesClient
    let deployments: Informer
    let sets: Informer
    let pods: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "deployment", logger: logger, reconcile: reconcile)
        deployments.onChange { reconciler.enqueue($0.key) }
        sets.onChange { change in
            for owner in owners(of: change) { reconciler.enqueue(owner) }
        }
        pods.onChange { change in
            // Recreate waits for the last old pod.
            guard change.new == nil || change.new?.isPodFinished == true, let pod = change.latest else { return }
            guard let owner = pod.controllerReference, owner.kind == "ReplicaSet" else { return }
            let set = sets.get(ObjectKey(namespace: pod.namespace, name: owner.name))
            if let deployment = self.owner(of: set) { reconciler.enqueue(deployment) }
        }
        return reconciler
    }

    private func owner(of set: Object?) -> ObjectKey? {
        guard let set, let reference = set.controllerReference, reference.kind == "Deployment" else { return nil }
        return ObjectKey(namespace: set.namespace, name: reference.name)
    }

    private func owners(of change: Change) -> Set<ObjectKey> {
        var owners: Set<ObjectKey> = []
        for set in [change.old, change.new] {
            if let key = owner(of: set) { owners.insert(key) }
        }
        if let set = change.new, set.controllerReference == nil {
            for deployment in deployments.list(namespace: set.namespace) {
                let selector = try? LabelSelector(deployment.spec["selector"] ?? .null)
                if selector?.isEmpty == false, selector?.matches(set.labels) == true { owners.insert(deployment.key) }
            }
        }
        return owners
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let deployment = deployments.get(key) else { return .done }
        let selector = try LabelSelector(deployment.spec["selector"] ?? .null)
        if selector.isEmpty {
            recorder.record(
                deployment, .warning, reason: "SelectingAll",
                message: "This deployment is selecting all pods. A non-empty selector is required.")
            if deployment.statusCount("observedGeneration") < deployment.generation {
                var deployment = deployment
                deployment.status["observedGeneration"] = JSON(deployment.generation)
                try await client.update(.deployments, deployment, subresource: "status")
            }
            return .done
        }
        let claim = Claim(owner: deployment, selector: selector, candidates: sets.candidates(for: deployment))
        let owned = try await Adoption(client: client, owners: .deployments, resource: .replicaSets)
            .perform(claim, by: deployment)
        let pods = owned.flatMap { self.pods.indexed(OwnerIndex.name, $0.uid) }
        var machine = DeploymentMachine(deployment: deployment, sets: owned, pods: pods, now: clock.now())
        try await perform(machine.decide(), on: deployment)
        if let deadline = machine.timeToDeadline() { return .again(after: max(.zero, deadline) + .seconds(1)) }
        return .done
    }

    private func perform(_ actions: [DeploymentMachine.Action], on deployment: Object) async throws {
        // Every write moves the revision of what it wrote; the next write of the same object builds on it.
        var current = deployment
        var revisions: [String: String] = [:]
        func write(_ set: Object) async throws {
            var set = set
            if let revision = revisions[set.name] { set.resourceVersion = revision }
            revisions[set.name] = try await client.update(.replicaSets, set).resourceVersion
        }
        for action in actions {
            switch action {
            case .setRevision(let revision):
                current = try await client.patch(
                    .deployments, deployment.key, .merge,
                    ["metadata": ["annotations": [DeploymentAnnotation.revision: .string(revision)]]])
            case .createSet(let set): try await create(set, for: current)
            case .annotateSet(let set): try await write(set)
            case .scaleSet(let set, let before):
                try await write(set)
                announce(set, from: before, of: deployment)
            case .deleteSet(let set):
                try await client.delete(.replicaSets, set.key, propagation: .background, uid: set.uid)
            case .updateStatus(let status):
                current.status = status
                try await client.update(.deployments, current, subresource: "status")
            }
        }
    }

    private func create(_ set: Object, for deployment: Object) async throws {
        do {
            try await client.create(.replicaSets, set)
            announce(set, from: 0, of: deployment)
        } catch let problem as Problem where problem.reason == .alreadyExists {
            let other = try await client.get(.replicaSets, set.key)
            let isOurs = other.controllerReference?.uid == deployment.uid
            let plain = TemplateHash.plain(other.spec["template"] ?? .null)
            // It is the wanted one, which the cache has not shown yet.
            if isOurs, plain == TemplateHash.plain(set.spec["template"] ?? .null) { return }
            // The name is taken by another template: the next hash takes this count in.
            var deployment = deployment
            deployment.status["collisionCount"] = JSON(deployment.statusCount("collisionCount") + 1)
            try await client.update(.deployments, deployment, subresource: "status")
            throw problem
        } catch let problem as Problem {
            let message = "Failed to create new replica set \"\(set.name)\": \(problem.message)"
            recorder.record(deployment, .warning, reason: "ReplicaSetCreateError", message: message)
            guard deployment.progressDeadlineSeconds != nil else { throw problem }
            var conditions = Conditions(deployment.status, now: clock.now())
            conditions.set(
                "Progressing", "False", reason: "ReplicaSetCreateError", message: message, hasUpdateTime: true)
            var deployment = deployment
            deployment.status["conditions"] = conditions.json
            try await client.update(.deployments, deployment, subresource: "status")
            throw problem
        }
    }

    private func announce(_ set: Object, from before: Int, of deployment: Object) {
        let after = set.desiredReplicas
        if before == after { return }
        recorder.record(
            deployment, .normal, reason: "ScalingReplicaSet",
            message: "Scaled \(after > before ? "up" : "down") replica set \(set.name) from \(before) to \(after)")
    }
}
