// Decides which claim gets which volume, when one is made, and what becomes of it afterwards.

import Formats
import Objects

/// One look at a claim or a volume among all others, after `kubernetes/pkg/controller/volume/persistentvolume`.
struct VolumeMachine: Sendable {
    /// The provisioner that this program itself is: directories of this machine.
    static let provisioner = "mangrove.dev/local-path"

    enum Action: Sendable, Equatable {
        case updateClaim(Object)
        case updateClaimStatus(Object)
        case updateVolume(Object)
        case updateVolumeStatus(Object)
        /// Makes a directory and this volume on it.
        case provision(Object, for: Object)
        /// Removes the directory of a volume, and the volume.
        case reclaim(Object)
        case tell(Object, isWarning: Bool, reason: String, message: String)
    }

    let volumes: [Object]
    let classes: StorageClasses
    /// Pods by the claims they use are looked up here: every pod of the claim's namespace that has not ended.
    let pods: [Object]

    // MARK: Claims

    func actions(forClaim claim: Object) -> [Action] {
        let wishes = ClaimWishes(claim: claim)
        let users = pods.filter { $0.podClaims.contains(claim.name) }
        if claim.isTerminating {
            guard claim.finalizers.contains(VolumeMark.claimProtection), users.isEmpty else { return [] }
            var free = claim
            free.finalizers.removeAll { $0 == VolumeMark.claimProtection }
            return [.updateClaim(free)]
        }
        if !claim.finalizers.contains(VolumeMark.claimProtection) {
            var kept = claim
            kept.finalizers.append(VolumeMark.claimProtection)
            return [.updateClaim(kept)]
        }
        if !wishes.volumeName.isEmpty { return settle(wishes) }
        if wishes.className == nil, let standard = classes.standard {
            var classed = claim
            classed.spec["storageClassName"] = .string(standard.name)
            return [.updateClaim(classed)]
        }
        return pending(claim) + find(wishes, users)
    }

    private func pending(_ claim: Object) -> [Action] {
        if claim.status["phase"]?.string == "Pending" { return [] }
        var claim = claim
        claim.status["phase"] = "Pending"
        return [.updateClaimStatus(claim)]
    }

    /// A claim that has no volume yet.
    private func find(_ wishes: ClaimWishes, _ users: [Object]) -> [Action] {
        let claim = wishes.claim
        if let kept = volumes.first(where: { $0.isVolume(of: claim) && !$0.isTerminating }) {
            return bind(kept, to: wishes)
        }
        let storage = wishes.className.flatMap { classes[$0] }
        if storage?.waitsForConsumer == true, wishes.selectedNode == nil {
            if let waiting = users.first {
                return [
                    .tell(
                        claim, isWarning: false, reason: "WaitForPodScheduled",
                        message: "waiting for pod \(waiting.name) to be scheduled")
                ]
            }
            return [
                .tell(
                    claim, isWarning: false, reason: "WaitForFirstConsumer",
                    message: "waiting for first consumer to be created before binding")
            ]
        }
        let free = volumes.filter {
            $0.volumeOwner == nil && ($0.spec["storageClassName"]?.string ?? "") == wishes.className ?? ""
                && wishes.fits($0) && isReachable($0, from: wishes.selectedNode)
        }
        if let best = free.min(by: { ($0.volumeSize, $0.name) < ($1.volumeSize, $1.name) }) {
            return bind(best, to: wishes)
        }
        guard let storage, storage.provisioner != "kubernetes.io/no-provisioner" else {
            let message =
                wishes.className.map { $0.isEmpty || classes[$0] != nil } ?? true
                ? "no persistent volumes available for this claim and no storage class is set"
                : "storageclass.storage.k8s.io \"\(wishes.className ?? "")\" not found"
            let reason = message.hasPrefix("no") ? "FailedBinding" : "ProvisioningFailed"
            return [.tell(claim, isWarning: reason == "ProvisioningFailed", reason: reason, message: message)]
        }
        return provision(wishes, storage)
    }

    /// Whether a volume can be used on a node, as far as one is chosen.
    private func isReachable(_ volume: Object, from node: String?) -> Bool {
        guard let node, let required = volume.spec["nodeAffinity", "required"] else { return true }
        var place = Object(.nodes, name: node)
        place.labels = ["kubernetes.io/hostname": node]
        return NodeSelection.matches(required, place)
    }

    private func provision(_ wishes: ClaimWishes, _ storage: Object) -> [Action] {
        let claim = wishes.claim
        if storage.provisioner != Self.provisioner {
            var marked = claim
            marked.annotations[VolumeMark.provisioner] = storage.provisioner
            let note = Action.tell(
                claim, isWarning: false, reason: "ExternalProvisioning",
                message: "Waiting for a volume to be created either by the external provisioner "
                    + "'\(storage.provisioner)' or manually by the system administrator. If volume creation is delayed, "
                    + "please verify that the provisioner is running and correctly registered.")
            return marked == claim ? [note] : [.updateClaim(marked), note]
        }
        if wishes.volumeMode == "Block" {
            return [
                .tell(
                    claim, isWarning: true, reason: "ProvisioningFailed",
                    message: "failed to provision volume with StorageClass \"\(storage.name)\": "
                        + "block volumes are not provisioned on local directories")
            ]
        }
        var volume = Object(.persistentVolumes, name: "pvc-\(claim.uid)")
        volume.annotations[VolumeMark.provisionedBy] = Self.provisioner
        volume.finalizers = [VolumeMark.volumeProtection]
        volume.spec = [
            "capacity": ["storage": claim.spec["resources", "requests", "storage"] ?? "0"],
            "accessModes": claim.spec["accessModes"] ?? ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "storageClassName": .string(storage.name),
            "persistentVolumeReclaimPolicy": storage["reclaimPolicy"] ?? "Delete", "claimRef": wishes.reference,
        ]
        if let node = wishes.selectedNode {
            volume.spec["nodeAffinity"] = [
                "required": [
                    "nodeSelectorTerms": [
                        [
                            "matchExpressions": [
                                ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string(node)]]
                            ]
                        ]
                    ]
                ]
            ]
        }
        return [.provision(volume, for: claim)]
    }

    // MARK: Binding

    /// The volume first, then the claim: a crash in between leaves a volume that is found as the claim's.
    private func bind(_ volume: Object, to wishes: ClaimWishes) -> [Action] {
        var actions: [Action] = []
        if volume.volumeOwner?.uid != wishes.claim.uid {
            var taken = volume
            taken.spec["claimRef"] = wishes.reference
            taken.annotations[VolumeMark.boundByController] = "yes"
            actions.append(.updateVolume(taken))
        }
        var claim = wishes.claim
        claim.spec["volumeName"] = .string(volume.name)
        claim.annotations[VolumeMark.bindCompleted] = "yes"
        claim.annotations[VolumeMark.boundByController] = "yes"
        return actions + [.updateClaim(claim)]
    }

    /// A claim that names its volume.
    private func settle(_ wishes: ClaimWishes) -> [Action] {
        let claim = wishes.claim
        guard let volume = volumes.first(where: { $0.name == wishes.volumeName }) else {
            return wishes.isBindCompleted
                ? lose(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
                : pending(claim)
        }
        if volume.volumeOwner == nil || (volume.isVolume(of: claim) && volume.volumeOwner?.uid == nil) {
            return bind(volume, to: wishes)
        }
        guard volume.volumeOwner?.uid == claim.uid else {
            return wishes.isBindCompleted
                ? lose(
                    claim, "ClaimMisbound",
                    "Two claims are bound to the same volume, this one is bound incorrectly")
                : pending(claim)
        }
        if !wishes.isBindCompleted { return bind(volume, to: wishes) }
        var bound = claim
        bound.status["phase"] = "Bound"
        bound.status["accessModes"] = volume.spec["accessModes"]
        bound.status["capacity"] = volume.spec["capacity"]
        return bound == claim ? [] : [.updateClaimStatus(bound)]
    }

    private func lose(_ claim: Object, _ reason: String, _ message: String) -> [Action] {
        if claim.status["phase"]?.string == "Lost" { return [] }
        var lost = claim
        lost.status["phase"] = "Lost"
        return [.updateClaimStatus(lost), .tell(claim, isWarning: true, reason: reason, message: message)]
    }

    // MARK: Volumes

    /// `claim` is the one that the volume names, if it is there.
    func actions(forVolume volume: Object, claim: Object?) -> [Action] {
        let isClaimed = volume.volumeOwner.map { $0.uid == nil || $0.uid == claim?.uid } ?? false
        let isInUse = volume.volumeOwner?.uid != nil && isClaimed && claim != nil
        if volume.isTerminating {
            guard volume.finalizers.contains(VolumeMark.volumeProtection), !isInUse else { return [] }
            var free = volume
            free.finalizers.removeAll { $0 == VolumeMark.volumeProtection }
            return [.updateVolume(free)]
        }
        if !volume.finalizers.contains(VolumeMark.volumeProtection) {
            var kept = volume
            kept.finalizers.append(VolumeMark.volumeProtection)
            return [.updateVolume(kept)]
        }
        guard let owner = volume.volumeOwner, owner.uid != nil else { return phase("Available", of: volume) }
        if isInUse { return phase("Bound", of: volume) }
        let released = phase("Released", of: volume)
        if !released.isEmpty { return released }
        guard volume.spec["persistentVolumeReclaimPolicy"]?.string == "Delete" else { return [] }
        if volume.annotations[VolumeMark.provisionedBy] == Self.provisioner { return [.reclaim(volume)] }
        return [
            .tell(
                volume, isWarning: true, reason: "VolumeFailedDelete",
                message: "no volume plugin that is able to delete volume \"\(volume.name)\" is known")
        ]
    }

    private func phase(_ phase: String, of volume: Object) -> [Action] {
        if volume.volumePhase == phase { return [] }
        var changed = volume
        changed.status["phase"] = .string(phase)
        return [.updateVolumeStatus(changed)]
    }
}
