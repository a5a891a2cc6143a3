// ReplicaSets by script: how many pods come, which ones go, and whose they are.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct ReplicaSetMachineTests {
    private func set(_ replicas: Int) -> Object { Thing.workload(.replicaSets, "web", ["replicas": JSON(replicas)]) }

    @Test func createsWhatIsMissing() {
        let pods = [Thing.pod("a"), Thing.pod("b").going(), Thing.pod("c").running("Failed")]
        let machine = ReplicaSetMachine(replicaSet: set(3), owned: pods, now: noon)
        #expect(machine.action() == .create(2))
        let pod = ReplicaSetMachine.pod(for: set(3))
        #expect(pod["metadata", "generateName"] == "web-")
        #expect(pod.controllerReference?.kind == "ReplicaSet")
        #expect(ReplicaSetMachine(replicaSet: set(3).going(), owned: [], now: noon).action() == nil)
    }

    @Test func theLeastMissedGoFirst() {
        var unbound = Thing.pod("unbound").running("Pending")
        unbound.spec["nodeName"] = nil
        var cheap = Thing.pod("cheap").running(readySince: noon)
        cheap.annotations["controller.kubernetes.io/pod-deletion-cost"] = "-5"
        let earlier = noon - .seconds(600)
        let pods = [
            Thing.pod("old", at: earlier).running(readySince: earlier), Thing.pod("pending").running("Pending"), cheap,
            unbound, Thing.pod("fresh").running(readySince: noon), Thing.pod("unready").running(),
        ]
        let order = ReplicaSetMachine.inOrderOfDeletion(pods).map(\.name)
        #expect(order == ["unbound", "pending", "unready", "cheap", "fresh", "old"])
        let machine = ReplicaSetMachine(replicaSet: set(4), owned: pods, now: noon)
        guard case .delete(let doomed) = machine.action() else {
            Issue.record("nothing is deleted")
            return
        }
        #expect(doomed.map(\.name) == ["unbound", "pending"])
    }

    @Test func availableMeansReadyForLongEnough() {
        var set = set(2)
        set.spec["minReadySeconds"] = 30
        let pods = [
            Thing.pod("a").running(readySince: noon - .seconds(40)),
            Thing.pod("b").running(readySince: noon - .seconds(10)),
        ]
        let machine = ReplicaSetMachine(replicaSet: set, owned: pods, now: noon)
        let status = machine.status(failure: ("FailedCreate", "no room"))
        #expect(status["readyReplicas"] == 2)
        #expect(status["availableReplicas"] == 1)
        #expect(status["fullyLabeledReplicas"] == 2)
        #expect(Object(["status": status]).condition("ReplicaFailure")?["message"] == "no room")
        #expect(machine.nextAvailability() == .seconds(20))
    }

    @Test func claimsByReferenceAndSelector() throws {
        let owner = set(1)
        let other = set(1).stored(uid: "another")
        var stranger = Thing.pod("relabelled").owned(by: owner)
        stranger.labels = ["app": "debug"]
        let pods = [
            Thing.pod("mine").owned(by: owner), Thing.pod("theirs").owned(by: other), Thing.pod("orphan"), stranger,
            Thing.pod("going").going(),
        ]
        let claim = Claim(owner: owner, selector: try LabelSelector(owner.spec["selector"] ?? .null), candidates: pods)
        #expect(claim.owned.map(\.name) == ["mine"])
        #expect(claim.adopt.map(\.name) == ["orphan"])
        #expect(claim.release.map(\.name) == ["relabelled"])
        let last = Claim(owner: owner.going(), selector: LabelSelector(matchLabels: ["app": "web"]), candidates: pods)
        #expect(last.adopt.isEmpty && last.release.isEmpty)
        #expect(last.owned.map(\.name) == ["mine", "relabelled"])
    }

    @Test func expectationsHoldUntilSeen() {
        var machine = ExpectationsMachine()
        let key = ObjectKey(namespace: "shop", name: "web")
        func areMet(_ now: Timestamp = noon) -> Bool { machine.areMet(for: key, now: now) }
        machine.willCreate(2, for: key, now: noon)
        machine.willDelete(["x"], for: key, now: noon)
        machine.creationObserved(for: key)
        #expect(!areMet())
        machine.creationObserved(for: key)
        machine.creationObserved(for: key)
        #expect(!areMet())
        machine.deletionObserved("x", for: key)
        #expect(areMet())
        machine.willCreate(1, for: key, now: noon)
        #expect(!areMet(noon + .seconds(300)))
        #expect(areMet(noon + .seconds(301)))
    }
}
