// Claims and volumes by script: who gets what, when one is made, and what is left behind.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct VolumeMachineTests {
    private func claim(_ name: String = "data", size: String = "1Gi", storage: String? = "local-path") -> Object {
        var claim = Object(.persistentVolumeClaims, namespace: "shop", name: name)
        claim.finalizers = [VolumeMark.claimProtection]
        claim.spec = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": .string(size)]]]
        if let storage { claim.spec["storageClassName"] = .string(storage) }
        claim.status = ["phase": "Pending"]
        return claim.stored()
    }

    private func volume(_ name: String, size: String, storage: String = "manual", modes: JSON = ["ReadWriteOnce"])
        -> Object
    {
        var volume = Object(.persistentVolumes, name: name)
        volume.finalizers = [VolumeMark.volumeProtection]
        volume.spec = [
            "capacity": ["storage": .string(size)], "accessModes": modes, "storageClassName": .string(storage),
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": ["path": "/srv/data"],
        ]
        var stored = volume.stored()
        stored.namespace = ""
        return stored
    }

    private func storage(_ name: String = "local-path", waits: Bool = true, isDefault: Bool = true) -> Object {
        var storage = Object(.storageClasses, name: name)
        storage["provisioner"] = .string(VolumeMachine.provisioner)
        storage["volumeBindingMode"] = waits ? "WaitForFirstConsumer" : "Immediate"
        if isDefault { storage.annotations = [VolumeMark.defaultClass: "true"] }
        return storage.stored()
    }

    private func actions(
        _ claim: Object, volumes: [Object] = [], classes: [Object] = [], pods: [Object] = []
    ) -> [VolumeMachine.Action] {
        VolumeMachine(volumes: volumes, classes: StorageClasses(all: classes), pods: pods).actions(forClaim: claim)
    }

    private func words(_ actions: [VolumeMachine.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .updateClaim(let claim): "claim \(claim.spec["volumeName"]?.string ?? "")"
            case .updateClaimStatus(let claim): "claim is \(claim.status["phase"]?.string ?? "")"
            case .updateVolume(let volume): "volume \(volume.name) for \(volume.volumeOwner?.key.name ?? "nobody")"
            case .updateVolumeStatus(let volume): "volume is \(volume.volumePhase)"
            case .provision(let volume, _): "provision \(volume.name)"
            case .reclaim(let volume): "reclaim \(volume.name)"
            case .tell(_, _, let reason, _): reason
            }
        }
    }

    @Test func takesTheSmallestThatFits() {
        let volumes = [
            volume("large", size: "10Gi"), volume("small", size: "500Mi"), volume("right", size: "2Gi"),
            volume("other", size: "1Gi", storage: "fast"), volume("shared", size: "1Gi", modes: ["ReadOnlyMany"]),
        ]
        #expect(words(actions(claim(storage: "manual"), volumes: volumes)) == ["volume right for data", "claim right"])
        // A crash in between: the volume is the claim's already.
        var taken = volumes[2]
        taken.spec["claimRef"] = ClaimWishes(claim: claim(storage: "manual")).reference
        #expect(words(actions(claim(storage: "manual"), volumes: [volumes[0], taken])) == ["claim right"])
    }

    @Test func waitsForItsFirstConsumerAndIsMadeWhereThatRuns() {
        var wish = claim()
        #expect(words(actions(wish, classes: [storage()])) == ["WaitForFirstConsumer"])
        var pod = Thing.pod("db-0")
        pod.spec["volumes"] = [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]]
        #expect(words(actions(wish, classes: [storage()], pods: [pod])) == ["WaitForPodScheduled"])
        wish.annotations[VolumeMark.selectedNode] = "here"
        guard case .provision(let made, _)? = actions(wish, classes: [storage()], pods: [pod]).first else {
            Issue.record("nothing was made")
            return
        }
        #expect(made.name == "pvc-\(wish.uid)")
        #expect(made.spec["capacity", "storage"] == "1Gi")
        #expect(made.spec["persistentVolumeReclaimPolicy"] == "Delete")
        let required = made.spec["nodeAffinity", "required"] ?? .null
        #expect(NodeSelection.matches(required, Thing.node("here")))
        #expect(!NodeSelection.matches(required, Thing.node("there")))
        #expect(words(actions(claim(), classes: [storage(waits: false)])) == ["provision pvc-uid-data"])
    }

    @Test func theDefaultClassIsGivenToThoseThatNameNone() {
        guard case .updateClaim(let classed)? = actions(claim(storage: nil), classes: [storage()]).first else {
            Issue.record("no class was given")
            return
        }
        #expect(classed.spec["storageClassName"] == "local-path")
        #expect(words(actions(claim(storage: nil))) == ["FailedBinding"])
        #expect(words(actions(claim(storage: ""), classes: [storage()])) == ["FailedBinding"])
        #expect(words(actions(claim(storage: "lost"), classes: [storage()])) == ["ProvisioningFailed"])
        var foreign = storage("cloud", waits: false, isDefault: false)
        foreign["provisioner"] = "ebs.csi.aws.com"
        #expect(words(actions(claim(storage: "cloud"), classes: [foreign])) == ["claim ", "ExternalProvisioning"])
    }

    @Test func aBoundClaimShowsItsVolumeAndALostOneSaysSo() {
        var bound = claim()
        bound.spec["volumeName"] = "right"
        bound.annotations[VolumeMark.bindCompleted] = "yes"
        var volume = volume("right", size: "2Gi")
        volume.spec["claimRef"] = ClaimWishes(claim: bound).reference
        guard case .updateClaimStatus(let shown)? = actions(bound, volumes: [volume]).first else {
            Issue.record("no status")
            return
        }
        #expect(shown.status["phase"] == "Bound")
        #expect(shown.status["capacity", "storage"] == "2Gi")
        #expect(actions(shown, volumes: [volume]).isEmpty)
        #expect(words(actions(bound)) == ["claim is Lost", "ClaimLost"])
        volume.spec["claimRef", "uid"] = "another"
        #expect(words(actions(bound, volumes: [volume])) == ["claim is Lost", "ClaimMisbound"])
    }

    @Test func aClaimInUseIsNotTakenAway() {
        var pod = Thing.pod("db-0")
        pod.spec["volumes"] = [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]]
        #expect(actions(claim().going(), pods: [pod]).isEmpty)
        guard case .updateClaim(let free)? = actions(claim().going()).first else {
            Issue.record("the claim is held")
            return
        }
        #expect(free.finalizers.isEmpty)
    }

    @Test func whatBecomesOfAVolumeWhoseClaimIsGone() {
        let machine = VolumeMachine(volumes: [], classes: StorageClasses(all: []), pods: [])
        var kept = volume("right", size: "2Gi")
        #expect(words(machine.actions(forVolume: kept, claim: nil)) == ["volume is Available"])
        kept.spec["claimRef"] = ClaimWishes(claim: claim()).reference
        #expect(words(machine.actions(forVolume: kept, claim: claim())) == ["volume is Bound"])
        // A new claim of the same name is not the old one.
        #expect(words(machine.actions(forVolume: kept, claim: claim().stored(uid: "new"))) == ["volume is Released"])
        kept.status["phase"] = "Released"
        #expect(machine.actions(forVolume: kept, claim: nil).isEmpty)
        kept.spec["persistentVolumeReclaimPolicy"] = "Delete"
        #expect(words(machine.actions(forVolume: kept, claim: nil)) == ["VolumeFailedDelete"])
        kept.annotations[VolumeMark.provisionedBy] = VolumeMachine.provisioner
        #expect(words(machine.actions(forVolume: kept, claim: nil)) == ["reclaim right"])
        #expect(words(machine.actions(forVolume: kept.going(), claim: nil)) == ["volume right for data"])
        #expect(machine.actions(forVolume: kept.going(), claim: claim()).isEmpty)
    }
}
