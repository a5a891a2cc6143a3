// Binds claims to volumes, and makes and removes the local directories behind them.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// Where provisioned volumes are on this machine.
package protocol VolumeStore: Sendable {
    /// Makes the directory of a volume, or finds it made; answers its path.
    func make(_ name: String) async throws(Problem) -> String
    /// Removes the directory of a volume with everything in it; one that is gone is no failure. By name, so that a path
    /// that somebody wrote into a volume is never removed.
    func remove(_ name: String) async throws(Problem)
}

/// The shell of `VolumeMachine`. Without a `VolumeStore` claims bind to volumes that people made, and nothing is
/// provisioned.
package struct VolumeController: Sendable {
    enum Key: Hashable, Sendable {
        case claim(ObjectKey)
        case volume(String)
        case defaultClass
    }

    static let className = "local-path"
    private static let noStore = Problem(
        .serviceUnavailable, "this machine runs no pods, so it keeps no volumes")

    let client: KubernetesClient
    let claims: Informer
    let volumes: Informer
    let classes: Informer
    let pods: Informer
    let store: (any VolumeStore)?
    let recorder: EventRecorder
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<Key> {
        // One worker: each binding must see the one before.
        let reconciler = Reconciler<Key>(name: "volume", workers: 1, logger: logger, reconcile: reconcile)
        claims.onChange { change in
            reconciler.enqueue(.claim(change.key))
            let name = change.latest?.spec["volumeName"]?.string ?? ""
            if !name.isEmpty { reconciler.enqueue(.volume(name)) }
        }
        volumes.onChange { change in
            reconciler.enqueue(.volume(change.key.name))
            if let owner = change.latest?.volumeOwner { reconciler.enqueue(.claim(owner.key)) }
            // A volume that became free may be what a claim waits for.
            if change.new?.volumeOwner == nil { enqueuePending(reconciler) }
        }
        classes.onChange { _ in enqueuePending(reconciler) }
        pods.onChange { change in
            let isNewOrEnded = change.old == nil || change.new.map(\.isPodFinished) ?? true
            for name in change.latest?.podClaims ?? [] where isNewOrEnded {
                reconciler.enqueue(.claim(ObjectKey(namespace: change.key.namespace, name: name)))
            }
        }
        return reconciler
    }

    private func enqueuePending(_ reconciler: Reconciler<Key>) {
        for claim in claims.list() where claim.status["phase"]?.string != "Bound" {
            reconciler.enqueue(.claim(claim.key))
        }
    }

    /// Makes the class `local-path` when there is no class at all, so that claims work from the first minute.
    private func ensureClass() async throws {
        guard store != nil, classes.list().isEmpty else { return }
        var storage = Object(.storageClasses, name: Self.className)
        storage.annotations = [VolumeMark.defaultClass: "true"]
        storage["provisioner"] = .string(VolumeMachine.provisioner)
        storage["reclaimPolicy"] = "Delete"
        storage["volumeBindingMode"] = "WaitForFirstConsumer"
        do {
            try await client.create(.storageClasses, storage)
        } catch let problem as Problem where problem.reason == .alreadyExists {
            return
        }
    }

    func reconcile(_ key: Key) async throws -> Outcome {
        switch key {
        case .defaultClass: try await ensureClass()
        case .claim(let key):
            guard let claim = claims.get(key) else { return .done }
            let users = pods.list(namespace: key.namespace).filter { !$0.isPodFinished }
            for action in machine(users).actions(forClaim: claim) { try await perform(action) }
        case .volume(let name):
            guard let volume = volumes.get(ObjectKey(name: name)) else { return .done }
            var claim = volume.volumeOwner.flatMap { claims.get($0.key) }
            if claim == nil, let owner = volume.volumeOwner, owner.uid != nil {
                // Data hangs on this: a claim is believed to be gone only after a live look.
                claim = try await client.find(.persistentVolumeClaims, owner.key)
            }
            for action in machine([]).actions(forVolume: volume, claim: claim) { try await perform(action) }
        }
        return .done
    }

    private func machine(_ pods: [Object]) -> VolumeMachine {
        VolumeMachine(volumes: volumes.list(), classes: StorageClasses(all: classes.list()), pods: pods)
    }

    private func perform(_ action: VolumeMachine.Action) async throws {
        switch action {
        case .updateClaim(let claim): try await client.update(.persistentVolumeClaims, claim)
        case .updateClaimStatus(let claim):
            try await client.update(.persistentVolumeClaims, claim, subresource: "status")
        case .updateVolume(let volume): try await client.update(.persistentVolumes, volume)
        case .updateVolumeStatus(let volume):
            try await client.update(.persistentVolumes, volume, subresource: "status")
        case .provision(let volume, let claim): try await provision(volume, for: claim)
        case .reclaim(let volume): try await reclaim(volume)
        case .tell(let object, let isWarning, let reason, let message):
            recorder.record(object, isWarning ? .warning : .normal, reason: reason, message: message)
        }
    }

    private func provision(_ wanted: Object, for claim: Object) async throws {
        var volume = wanted
        do {
            guard let store else { throw Self.noStore }
            let path = try await store.make(volume.name)
            volume.spec["hostPath"] = ["path": .string(path), "type": "DirectoryOrCreate"]
            try await client.create(.persistentVolumes, volume)
        } catch let problem as Problem where problem.reason == .alreadyExists {
            return
        } catch {
            let storage = volume.spec["storageClassName"]?.string ?? ""
            recorder.record(
                claim, .warning, reason: "ProvisioningFailed",
                message: "failed to provision volume with StorageClass \"\(storage)\": \(error)")
            throw error
        }
        recorder.record(
            claim, .normal, reason: "ProvisioningSucceeded",
            message: "Successfully provisioned volume \(volume.name)")
    }

    private func reclaim(_ volume: Object) async throws {
        do {
            guard let store else { throw Self.noStore }
            try await store.remove(volume.name)
            try await client.delete(.persistentVolumes, volume.key, uid: volume.uid)
        } catch let problem as Problem where problem.code == 404 {
            return
        } catch {
            recorder.record(volume, .warning, reason: "VolumeFailedDelete", message: "\(error)")
            throw error
        }
    }
}
