// Deployments by script: a small world plays the ReplicaSet controller and its pods, and invariants hold at every step.

import Formats
import Objects
import Testing

@testable import Controllers

/// A Deployment with its sets. Each step lets the machine decide, carries that out, and moves some pods on.
private struct World {
    var deployment: Object
    var sets: [Object] = []
    var now = noon
    /// Images whose pods never become available.
    var broken: Set<String> = []
    var log: [String] = []
    private var serial = 0

    init(replicas: Int, _ spec: JSON = [:]) {
        deployment = Thing.workload(.deployments, "web", spec)
        deployment.spec["replicas"] = JSON(replicas)
    }

    mutating func change(_ edit: (inout JSON) -> Void) {
        edit(&deployment.spec)
        deployment.tree["metadata", "generation"] = JSON(deployment.generation + 1)
    }

    mutating func use(image: String) {
        change { $0["template"] = Thing.template(image) }
    }

    var newest: Object? { sets.max { $0.revision < $1.revision } }
    var total: Int { sets.map { $0.statusCount("replicas") }.reduce(0, +) }
    var wanted: Int { sets.map(\.desiredReplicas).reduce(0, +) }
    var available: Int { sets.map { $0.statusCount("availableReplicas") }.reduce(0, +) }
    func set(_ image: String) -> Object? {
        sets.first { TemplateHash.plain($0.spec["template"] ?? .null) == Thing.template(image) }
    }

    /// One decision and what follows from it. Answers whether anything was done.
    @discardableResult
    mutating func step(pods: [Object] = []) -> Bool {
        var machine = DeploymentMachine(deployment: deployment, sets: sets, pods: pods, now: now)
        let actions = machine.decide()
        for action in actions { perform(action) }
        let moved = movePods()
        now = now + .seconds(1)
        return !actions.isEmpty || moved
    }

    mutating func settle(_ check: (World) -> Void = { _ in }) {
        for _ in 0..<200 {
            let moved = step()
            check(self)
            if !moved { return }
        }
        Issue.record("the rollout does not come to rest: \(log.suffix(6))")
    }

    private mutating func perform(_ action: DeploymentMachine.Action) {
        switch action {
        case .setRevision(let revision): deployment.annotations[DeploymentAnnotation.revision] = revision
        case .createSet(let set):
            serial += 1
            sets.append(set.stored(at: now))
            log.append("create \(set.desiredReplicas)")
        case .annotateSet(let set): replace(set)
        case .scaleSet(let set, let before):
            replace(set)
            if before != set.desiredReplicas { log.append("\(before)->\(set.desiredReplicas)") }
        case .deleteSet(let set): sets.removeAll { $0.name == set.name }
        case .updateStatus(let status): deployment.status = status
        }
    }

    private mutating func replace(_ set: Object) {
        guard let index = sets.firstIndex(where: { $0.name == set.name }) else { return }
        sets[index] = set
    }

    /// Pods follow their set at once; one more of each set becomes available in each step.
    private mutating func movePods() -> Bool {
        var moved = false
        for index in sets.indices {
            let set = sets[index]
            var ready = min(set.statusCount("availableReplicas"), set.desiredReplicas)
            let image = set.spec["template"]?["spec", "containers"]?.array?.first?["image"]?.string ?? ""
            if ready < set.desiredReplicas, !broken.contains(image) { ready += 1 }
            let status: JSON = [
                "replicas": JSON(set.desiredReplicas), "readyReplicas": JSON(ready), "availableReplicas": JSON(ready),
                "observedGeneration": JSON(set.generation),
            ]
            if sets[index].status != status {
                sets[index].status = status
                moved = true
            }
        }
        return moved
    }

    /// Status and reason of a condition.
    func condition(_ type: String) -> String {
        let condition = deployment.condition(type)
        return "\(condition?["status"]?.string ?? "") \(condition?["reason"]?.string ?? "")"
    }

    func replicas(of image: String) -> Int? { set(image)?.desiredReplicas }
}

@Suite struct DeploymentMachineTests {
    @Test func aFirstRolloutEndsComplete() {
        var world = World(replicas: 3)
        world.settle()
        #expect(world.log == ["create 3"])
        #expect(world.deployment.annotations[DeploymentAnnotation.revision] == "1")
        #expect(world.deployment.status["availableReplicas"] == 3)
        #expect(world.condition("Progressing") == "True NewReplicaSetAvailable")
        #expect(world.condition("Available") == "True MinimumReplicasAvailable")
        let message = world.deployment.condition("Progressing")?["message"]?.string
        #expect(message == "ReplicaSet \"\(world.sets[0].name)\" has successfully progressed.")
        #expect(
            world.sets[0].labels[TemplateHash.label] == world.sets[0].name.split(separator: "-").last.map(String.init))
    }

    /// Every combination of small limits: never more pods than the surge allows, never fewer available than promised.
    @Test(arguments: [1, 2, 5, 10])
    func limitsHoldInEveryStep(replicas: Int) {
        for (surge, unavailable) in [(0, 1), (1, 0), (1, 1), (3, 2), (0, 5)] {
            var world = World(
                replicas: replicas,
                [
                    "strategy": [
                        "type": "RollingUpdate",
                        "rollingUpdate": ["maxSurge": JSON(surge), "maxUnavailable": JSON(unavailable)],
                    ]
                ])
            world.settle()
            world.use(image: "2")
            world.settle { world in
                #expect(world.wanted <= replicas + surge, "\(surge)/\(unavailable): \(world.log)")
                #expect(world.available >= replicas - unavailable, "\(surge)/\(unavailable): \(world.log)")
            }
            #expect(world.set("1")?.desiredReplicas == 0)
            #expect(world.set("2")?.statusCount("availableReplicas") == replicas)
            #expect(world.condition("Progressing") == "True NewReplicaSetAvailable")
        }
    }

    @Test func aFailingVersionDoesNotTakeOver() {
        var world = World(replicas: 4)
        world.broken = ["web:2"]
        world.settle()
        world.use(image: "2")
        world.settle { #expect($0.available >= 3) }
        #expect(world.set("1")?.desiredReplicas == 3)
        #expect(world.set("2")?.desiredReplicas == 2)
        #expect(world.condition("Progressing") == "True ReplicaSetUpdated")
        world.now = world.now + .seconds(601)
        world.settle()
        #expect(world.condition("Progressing") == "False ProgressDeadlineExceeded")
        #expect(world.condition("Available") == "True MinimumReplicasAvailable")
        // `kubectl rollout undo` puts the old template back: its set returns under a new revision.
        world.use(image: "1")
        world.settle { #expect($0.available >= 3) }
        #expect(world.deployment.annotations[DeploymentAnnotation.revision] == "3")
        #expect(world.set("1")?.annotations[DeploymentAnnotation.revisionHistory] == "1")
        #expect(world.set("2")?.desiredReplicas == 0)
        #expect(world.condition("Progressing") == "True NewReplicaSetAvailable")
    }

    @Test func recreateWaitsForTheLastOldPod() {
        var world = World(replicas: 2, ["strategy": ["type": "Recreate"]])
        world.settle()
        world.use(image: "2")
        let old = Thing.pod("old").owned(by: world.sets[0]).running(readySince: noon)
        for _ in 0..<5 { world.step(pods: [old]) }
        #expect(world.sets.count == 1)
        #expect(world.sets[0].desiredReplicas == 0)
        for _ in 0..<8 { world.step() }
        #expect(world.set("2")?.statusCount("availableReplicas") == 2)
    }

    @Test func aPausedRolloutStaysAndScalesInProportion() {
        var world = World(
            replicas: 10,
            [
                "strategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 3, "maxUnavailable": 2]]
            ])
        world.settle()
        world.use(image: "2")
        world.broken = ["web:2"]
        world.settle()
        #expect([world.replicas(of: "1"), world.replicas(of: "2")] == [8, 5])
        world.change { $0["paused"] = true }
        world.settle()
        #expect(world.condition("Progressing") == "Unknown DeploymentPaused")
        // The example of upstream's documentation: 5 more replicas go 3 to the old set and 2 to the new one.
        world.change { $0["replicas"] = 15 }
        world.settle()
        #expect([world.replicas(of: "1"), world.replicas(of: "2")] == [11, 7])
        world.change { $0["paused"] = nil }
        world.broken = []
        world.settle()
        #expect(world.set("2")?.statusCount("availableReplicas") == 15)
    }

    @Test func historyIsLimited() {
        var world = World(replicas: 1, ["revisionHistoryLimit": 2])
        for version in 1...6 {
            world.use(image: "\(version)")
            world.settle()
        }
        #expect(world.sets.compactMap { $0.revision }.sorted() == [4, 5, 6])
        #expect(world.deployment.annotations[DeploymentAnnotation.revision] == "6")
    }

    @Test func aCollisionChangesTheName() {
        let deployment = Thing.workload(.deployments)
        var again = deployment
        again.status["collisionCount"] = 1
        func name(_ deployment: Object) -> String? {
            var machine = DeploymentMachine(deployment: deployment, sets: [], pods: [], now: noon)
            for case .createSet(let set) in machine.decide() { return set.name }
            return nil
        }
        #expect(name(deployment) != nil)
        #expect(name(deployment) != name(again))
    }

    @Test func aSetsFailureIsTheDeploymentsFailure() {
        var world = World(replicas: 2)
        world.step()
        world.sets[0].status["conditions"] = [
            ["type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"]
        ]
        var machine = DeploymentMachine(deployment: world.deployment, sets: world.sets, pods: [], now: world.now)
        guard case .updateStatus(let status) = machine.decide().last else {
            Issue.record("no status")
            return
        }
        let failure = Object(["status": status]).condition("ReplicaFailure")
        #expect(failure?["reason"] == "FailedCreate")
        #expect(failure?["message"] == "exceeded quota")
    }
}
