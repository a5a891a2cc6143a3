// StatefulSets by script: a small world carries out what the machine decides and lets pods start and stop.

import Formats
import Objects
import Testing

@testable import Controllers

private struct World {
    var set: Object
    var pods: [Object] = []
    var claims: [Object] = []
    var revisions: [Object] = []
    var now = noon
    var log: [String] = []
    /// Images whose pods never become ready.
    var broken: Set<String> = []

    init(_ replicas: Int, _ spec: JSON = [:]) {
        set = Thing.workload(.statefulSets, "db", spec)
        set.spec["replicas"] = JSON(replicas)
        set.spec["serviceName"] = "db"
    }

    mutating func use(image: String) { set.spec["template"] = Thing.template(image, app: "db") }

    private mutating func update() -> Object {
        let history = RevisionHistory(owner: set, hashLabel: StatefulSetLabel.hash, revisions: revisions)
        let (revision, action) = history.current()
        switch action {
        case .create: revisions.append(revision.stored(uid: revision.name, at: now))
        case .renumber(let changed): revisions = revisions.map { $0.name == changed.name ? changed : $0 }
        case nil: break
        }
        return revisions.first { $0.name == revision.name } ?? revision
    }

    /// One decision, carried out; then every pod that starts becomes ready and every pod that goes is gone.
    mutating func step() -> [String] {
        let update = update()
        let current = revisions.first { $0.name == set.status["currentRevision"]?.string } ?? update
        let machine = StatefulSetMachine(
            set: set, pods: pods, claims: claims, currentRevision: current, updateRevision: update, now: now)
        let words = machine.actions().map { perform($0) }
        set.status = machine.status()
        log += words
        return words
    }

    mutating func live() {
        pods = pods.filter { !$0.isTerminating }.map { pod in
            let image = pod.spec["containers"]?.array?.first?["image"]?.string ?? ""
            return pod.isPodReady || broken.contains(image) ? pod : pod.running(readySince: now)
        }
        now = now + .seconds(1)
    }

    mutating func settle(_ check: (World) -> Void = { _ in }) {
        for _ in 0..<100 {
            let before = set.status
            let words = step()
            check(self)
            let hadGoing = pods.contains(where: \.isTerminating)
            live()
            if words.isEmpty, !hadGoing, set.status == before { return }
        }
        Issue.record("does not come to rest: \(log.suffix(8))")
    }

    private mutating func perform(_ action: StatefulSetMachine.Action) -> String {
        switch action {
        case .ensureClaims(let wanted):
            claims += wanted.map { $0.stored() }
            return "claim " + wanted.map(\.name).joined(separator: ",")
        case .createPod(let pod):
            var pod = pod.stored(uid: "\(pod.name)-\(log.count)", at: now).running("Pending")
            pod.spec["nodeName"] = "here"
            pods.append(pod)
            return "create \(pod.name)"
        case .deletePod(let pod, _):
            pods = pods.map { $0.uid == pod.uid ? $0.going(now) : $0 }
            return "delete \(pod.name)"
        case .setClaimOwners(let name, let owners):
            claims = claims.map { claim in
                var claim = claim
                if claim.name == name { claim.ownerReferences = owners }
                return claim
            }
            return "owners \(name) " + owners.map(\.kind).joined(separator: ",")
        case .label(let pod):
            pods = pods.map { $0.uid == pod.uid ? pod : $0 }
            return "label \(pod.name)"
        }
    }

    var images: [String: String] {
        Dictionary(
            uniqueKeysWithValues: pods.map {
                ($0.name, $0.spec["containers"]?.array?.first?["image"]?.string ?? "")
            })
    }
}

@Suite struct StatefulSetMachineTests {
    @Test func podsComeInOrderAndGoInReverse() {
        var world = World(3)
        world.settle { world in
            #expect(world.pods.filter { !$0.isPodReady }.count <= 1)
        }
        #expect(world.log == ["create db-0", "create db-1", "create db-2"])
        let pod = world.pods[1]
        #expect(pod.spec["hostname"] == "db-1")
        #expect(pod.spec["subdomain"] == "db")
        #expect(pod.labels["apps.kubernetes.io/pod-index"] == "1")
        #expect(pod.labels["statefulset.kubernetes.io/pod-name"] == "db-1")
        #expect(pod.labels["controller-revision-hash"] == world.set.status["updateRevision"]?.string)
        #expect(world.set.status["readyReplicas"] == 3)
        #expect(world.set.status["currentReplicas"] == 3)
        world.log = []
        world.set.spec["replicas"] = 0
        world.settle()
        #expect(world.log == ["delete db-2", "delete db-1", "delete db-0"])
        #expect(world.set.status["readyReplicas"] == nil)
        #expect(world.set.status["replicas"] == 0)
    }

    @Test func parallelPodsComeAtOnceFromAnyOrdinal() {
        var world = World(3, ["podManagementPolicy": "Parallel", "ordinals": ["start": 5]])
        #expect(world.step() == ["create db-5", "create db-6", "create db-7"])
        world.live()
        world.settle()
        world.set.spec["replicas"] = 1
        #expect(world.step() == ["delete db-7", "delete db-6"])
    }

    @Test func aPodThatIsNotReadyHoldsTheOthers() {
        var world = World(2)
        world.broken = ["web:1"]
        #expect(world.step() == ["create db-0"])
        world.live()
        #expect(world.step().isEmpty)
        // Its end makes room for its successor, and only its end.
        world.pods[0] = world.pods[0].running("Failed")
        #expect(world.step() == ["delete db-0"])
        #expect(world.step().isEmpty)
        world.live()
        #expect(world.step() == ["create db-0"])
    }

    @Test func updatesGoFromTheTopOneAtATime() {
        var world = World(3)
        world.settle()
        let first = world.set.status["currentRevision"]
        world.log = []
        world.use(image: "2")
        world.settle { #expect($0.pods.filter { $0.isPodReady && !$0.isTerminating }.count >= 2) }
        #expect(
            world.log == [
                "delete db-2", "create db-2", "delete db-1", "create db-1", "delete db-0", "create db-0",
            ])
        #expect(Set(world.images.values) == ["web:2"])
        #expect(world.set.status["currentRevision"] == world.set.status["updateRevision"])
        #expect(world.set.status["currentRevision"] != first)
        #expect(world.set.status["updatedReplicas"] == 3)
        // The old template comes back under a new number, not as a third revision.
        world.use(image: "1")
        world.settle()
        #expect(world.revisions.map(\.revisionNumber).sorted() == [2, 3])
        #expect(world.set.status["currentRevision"] == first)
    }

    @Test func thePartitionKeepsLowerPodsAsTheyWere() {
        var world = World(3, ["updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["partition": 2]]])
        world.settle()
        world.use(image: "2")
        world.settle()
        #expect(world.images == ["db-0": "web:1", "db-1": "web:1", "db-2": "web:2"])
        #expect(world.set.status["updatedReplicas"] == 1)
        #expect(world.set.status["currentReplicas"] == 2)
        // Also when they come again.
        world.pods.removeAll { $0.name == "db-0" }
        world.settle()
        #expect(world.images["db-0"] == "web:1")
        world.set.spec["updateStrategy", "rollingUpdate", "partition"] = 0
        world.settle()
        #expect(Set(world.images.values) == ["web:2"])
    }

    @Test func aFailingVersionStopsAtTheFirstPod() {
        var world = World(3)
        world.settle()
        world.broken = ["web:2"]
        world.use(image: "2")
        world.settle()
        #expect(world.images == ["db-0": "web:1", "db-1": "web:1", "db-2": "web:2"])
        #expect(world.set.status["readyReplicas"] == 2)
    }

    @Test func onDeleteWaitsForPeople() {
        var world = World(2, ["updateStrategy": ["type": "OnDelete"]])
        world.settle()
        world.use(image: "2")
        world.settle()
        #expect(Set(world.images.values) == ["web:1"])
        world.pods.removeAll { $0.name == "db-1" }
        world.settle()
        #expect(world.images == ["db-0": "web:1", "db-1": "web:2"])
    }

    @Test func parallelUpdatesMayTakeSeveral() {
        var world = World(
            5,
            [
                "podManagementPolicy": "Parallel",
                "updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": "40%"]],
            ])
        world.settle()
        world.use(image: "2")
        #expect(world.step() == ["delete db-4", "delete db-3"])
        world.live()
        world.settle { #expect($0.pods.filter { $0.isPodReady && !$0.isTerminating }.count >= 3) }
        #expect(Set(world.images.values) == ["web:2"])
    }

    @Test func claimsOutliveTheirPodsUnlessThePolicySaysOtherwise() {
        let templates: JSON = [["metadata": ["name": "data"], "spec": ["accessModes": ["ReadWriteOnce"]]]]
        var world = World(2, ["volumeClaimTemplates": templates])
        world.settle()
        #expect(world.log == ["claim data-db-0", "create db-0", "claim data-db-1", "create db-1"])
        let volume = world.pods[0].spec["volumes"]?.array?.first
        #expect(volume?["persistentVolumeClaim", "claimName"] == "data-db-0")
        #expect(world.claims[0].labels == ["app": "db"])
        #expect(world.claims[0].ownerReferences.isEmpty)
        world.log = []
        world.set.spec["persistentVolumeClaimRetentionPolicy"] = ["whenDeleted": "Delete", "whenScaled": "Delete"]
        world.settle()
        #expect(world.log == ["owners data-db-0 StatefulSet", "owners data-db-1 StatefulSet"])
        world.log = []
        world.set.spec["replicas"] = 1
        world.settle()
        #expect(world.log == ["owners data-db-1 Pod", "delete db-1"])
        // A claim that is on its way out must not be given to a new pod.
        world.claims = world.claims.map { $0.name == "data-db-1" ? $0.going() : $0 }
        world.set.spec["replicas"] = 2
        world.log = []
        world.settle()
        #expect(world.log.isEmpty)
    }

    @Test func surplusRevisionsGoButNotTheLivingOnes() {
        var world = World(1)
        for image in 1...5 {
            world.use(image: "\(image)")
            world.settle()
        }
        let history = RevisionHistory(owner: world.set, hashLabel: StatefulSetLabel.hash, revisions: world.revisions)
        let live: Set<String> = [world.set.status["updateRevision"]?.string ?? ""]
        #expect(history.surplus(limit: 2, live: live).map(\.revisionNumber) == [1, 2])
    }
}
