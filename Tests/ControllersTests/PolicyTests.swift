// Disruption budgets, the health of nodes, and autoscalers by script.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct DisruptionMachineTests {
    private func budget(_ spec: JSON) -> Object {
        var budget = Object(.podDisruptionBudgets, namespace: "shop", name: "web")
        budget.spec = spec
        budget.spec["selector"] = ["matchLabels": ["app": "web"]]
        return budget.stored()
    }

    private func status(_ spec: JSON, ready: Int, of total: Int, scale: Int = 0) -> JSON {
        let pods = (0..<total).map { Thing.pod("web-\($0)").running(readySince: $0 < ready ? noon : nil) }
        return DisruptionMachine(budget: budget(spec), pods: pods, now: noon).status(scale: scale)
    }

    @Test(
        arguments: [
            (["minAvailable": 2], 3, 3, 1), (["minAvailable": 3], 3, 3, 0), (["minAvailable": 2], 1, 3, 0),
            (["maxUnavailable": 1], 3, 3, 1), (["maxUnavailable": 1], 2, 3, 0), (["maxUnavailable": "50%"], 3, 3, 2),
            (["minAvailable": "50%"], 3, 3, 1), (["minAvailable": "100%"], 3, 3, 0),
        ] as [(JSON, Int, Int, Int)])
    func allowsWhatTheBudgetLeaves(spec: JSON, ready: Int, total: Int, allowed: Int) {
        let status = status(spec, ready: ready, of: total, scale: total)
        #expect(status["disruptionsAllowed"]?.integer == allowed)
        #expect(status["currentHealthy"]?.integer == ready)
        #expect(status["expectedPods"]?.integer == total)
        let condition = Object(["status": status]).condition("DisruptionAllowed")
        #expect(condition?["reason"]?.string == (allowed > 0 ? "SufficientPods" : "InsufficientPods"))
    }

    @Test func evictionsUnderWayCountAsGone() {
        var budget = budget(["minAvailable": 1])
        budget.status["disruptedPods"] = [
            "web-0": .string(noon.rfc3339), "web-1": .string((noon - .seconds(130)).rfc3339),
            "gone": .string(noon.rfc3339),
        ]
        let pods = (0..<3).map { Thing.pod("web-\($0)").running(readySince: noon) }
        let machine = DisruptionMachine(budget: budget, pods: pods, now: noon + .seconds(20))
        let status = machine.status(scale: 0)
        #expect(status["currentHealthy"] == 2)
        #expect(status["disruptionsAllowed"] == 1)
        #expect(status["disruptedPods"]?.object?.keys == ["web-0"])
        #expect(machine.nextLook() == .seconds(100))
        let failed = machine.status(failure: "found no controllers for pod \"x\"")
        #expect(failed["disruptionsAllowed"] == 0)
        #expect(Object(["status": failed]).condition("DisruptionAllowed")?["reason"] == "SyncFailed")
    }

    @Test func anEmptySelectorMeansAllAndNoneMeansNone() {
        var budget = budget([:])
        budget.spec["selector"] = [:]
        #expect(DisruptionMachine.selects(budget, Thing.pod("x")))
        budget.spec["selector"] = nil
        #expect(!DisruptionMachine.selects(budget, Thing.pod("x")))
    }
}

@Suite struct NodeHealthMachineTests {
    private func node(_ beat: Int = 0, status: String = "True") -> Object {
        var node = Thing.node("a")
        node.status["conditions"] = [
            [
                "type": "Ready", "status": .string(status),
                "lastHeartbeatTime": .string((noon + .seconds(beat)).rfc3339),
            ],
            ["type": "MemoryPressure", "status": "False"],
        ]
        return node
    }

    private func lease(_ beat: Int) -> Object {
        var lease = Object(.leases, namespace: "kube-node-lease", name: "a")
        lease.spec = ["renewTime": .string((noon + .seconds(beat)).rfc3339Micro)]
        return lease
    }

    @Test func silenceIsMeasuredFromTheLastSignSeen() {
        var machine = NodeHealthMachine()
        // The lease is an hour old when this controller begins: only what it sees itself counts.
        let first = machine.looked(at: node(), lease: lease(-3600), time: .seconds(5), now: noon)
        #expect(first.status == nil)
        #expect(first.nextLook == .seconds(51))
        #expect(machine.looked(at: node(), lease: lease(-3600), time: .seconds(55), now: noon).status == nil)
        #expect(machine.looked(at: node(), lease: lease(1), time: .seconds(55), now: noon).status == nil)
        #expect(machine.looked(at: node(), lease: lease(1), time: .seconds(104), now: noon).status == nil)
        let lost = machine.looked(at: node(), lease: lease(1), time: .seconds(106), now: noon)
        let silent = Object(["status": lost.status ?? .null])
        #expect(silent.condition("Ready")?["status"] == "Unknown")
        #expect(silent.condition("Ready")?["reason"] == "NodeStatusUnknown")
        #expect(silent.condition("MemoryPressure")?["status"] == "Unknown")
        #expect(lost.hasFallen)
        #expect(lost.taints?.map { $0["effect"] } == ["NoSchedule", "NoExecute"])
        #expect(lost.taints?.first?["key"] == "node.kubernetes.io/unreachable")
        // It speaks again.
        var back = node(200)
        back.spec["taints"] = .array(lost.taints ?? [])
        let found = machine.looked(at: back, lease: lease(200), time: .seconds(200), now: noon)
        #expect(found.taints == [])
        #expect(found.status == nil)
    }

    @Test func theFirstLookIsToldOfAndAGoneNodeHasAWhileToComeBack() {
        var machine = NodeHealthMachine()
        #expect(machine.looked(at: node(), lease: nil, time: .seconds(1), now: noon).isNew)
        #expect(!machine.looked(at: node(), lease: nil, time: .seconds(2), now: noon).isNew)
        let waits = [10, 30, 50, 60].map { machine.missed("a", time: .seconds($0)) }
        #expect(waits == [.seconds(40), .seconds(20), .zero, .zero])
        // It came back: its next absence begins anew.
        #expect(machine.looked(at: node(), lease: nil, time: .seconds(61), now: noon).isNew)
        let again = machine.missed("a", time: .seconds(70))
        #expect(again == .seconds(40))
    }

    @Test func otherPeoplesTaintsStay() {
        var node = node(0, status: "False")
        node.spec["taints"] = [
            ["key": "team", "effect": "NoSchedule"], ["key": "node.kubernetes.io/unreachable", "effect": "NoExecute"],
        ]
        node.spec["unschedulable"] = true
        let keys = NodeHealthMachine.taints(of: node, now: noon).map { $0["key"]?.string ?? "" }
        #expect(
            keys == [
                "team", "node.kubernetes.io/not-ready", "node.kubernetes.io/not-ready",
                "node.kubernetes.io/unschedulable",
            ])
    }

    @Test func podsStayAsLongAsTheyTolerate() {
        let taint: JSON = [
            "key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": .string(noon.rfc3339),
        ]
        func stay(_ tolerations: JSON?, taint: JSON, after seconds: Int) -> Duration? {
            var pod = Thing.pod("x")
            pod.spec["tolerations"] = tolerations
            return NodeHealthMachine.stay(of: pod, taints: [taint], now: noon + .seconds(seconds))
        }
        #expect(stay(nil, taint: taint, after: 100) == .seconds(200))
        #expect(stay(nil, taint: taint, after: 301) == .zero)
        let some: JSON = [["key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 30]]
        #expect(stay(some, taint: taint, after: 10) == .seconds(20))
        #expect(stay([["operator": "Exists"]], taint: taint, after: 10_000) == nil)
        #expect(stay(nil, taint: ["key": "team", "effect": "NoExecute"], after: 0) == .zero)
    }
}

@Suite struct AutoscalerTests {
    private func pod(_ name: String, request: String? = "100m", age: Int = 1000, isReady: Bool = true) -> Object {
        let start = noon - .seconds(age)
        var pod = Thing.pod(name, at: start).running(readySince: isReady ? start : nil)
        pod.status["startTime"] = .string(start.rfc3339)
        if let request {
            pod.spec["containers"] = [["name": "main", "resources": ["requests": ["cpu": .string(request)]]]]
        }
        return pod
    }

    private func sample(_ milli: Int64, at moment: Timestamp = noon) -> PodUsageSample {
        PodUsageSample(
            containers: [ContainerUsage(name: "main", cpu: Quantity(milli: milli), memory: Quantity(1 << 20))],
            time: moment,
            window: .seconds(10))
    }

    private func propose(
        _ pods: [Object], _ usage: [Int64?], target: ReplicaCalculator.Target = .utilization(50)
    ) throws -> Int {
        var samples: [String: PodUsageSample] = [:]
        for (pod, milli) in zip(pods, usage) { if let milli { samples[pod.name] = sample(milli) } }
        let calculator = ReplicaCalculator(
            pods: pods, samples: samples, currentReplicas: pods.count, resource: "cpu", container: nil, now: noon)
        return try calculator.propose(target).replicas
    }

    @Test func followsTheRatio() throws {
        let three = [pod("a"), pod("b"), pod("c")]
        #expect(try propose(three, [100, 100, 100]) == 6)
        #expect(try propose(three, [54, 54, 54]) == 3)
        #expect(try propose(three, [10, 10, 10]) == 1)
        #expect(try propose(three, [60, 60, 60], target: .average(20)) == 9)
    }

    @Test func whatIsNotKnownSlowsTheChange() throws {
        let three = [pod("a"), pod("b"), pod("c")]
        // Growing: the missing one counts as idle. Shrinking: as full.
        #expect(try propose(three, [100, 100, nil]) == 4)
        #expect(try propose(three, [20, 20, nil]) == 3)
        // One that starts now says nothing about the load.
        let starting = [pod("a"), pod("b"), pod("c", age: 5, isReady: false)]
        #expect(try propose(starting, [100, 100, 500]) == 4)
        #expect(throws: Problem.self) { try propose(three, [nil, nil, nil]) }
        #expect(throws: Problem.self) { try propose([pod("a", request: nil)], [10]) }
    }

    private func autoscaler(_ behavior: JSON? = nil) -> Object {
        var autoscaler = Object(.horizontalPodAutoscalers, namespace: "shop", name: "web")
        autoscaler.spec = ["minReplicas": 2, "maxReplicas": 20]
        autoscaler.spec["behavior"] = behavior
        return autoscaler.stored()
    }

    @Test func growsFastAndShrinksLate() {
        var machine = ScalingMachine()
        let scaler = autoscaler()
        var now = noon
        // Twice as many or four more, whichever is more, within 15 s.
        var limited = machine.limit(20, current: 3, autoscaler: scaler, now: now)
        #expect(limited.replicas == 7)
        #expect(limited.limit?.reason == "ScaleUpLimit")
        machine.scaled(by: 4, now: now)
        now = now + .seconds(16)
        limited = machine.limit(30, current: 7, autoscaler: scaler, now: now)
        #expect(limited.replicas == 14)
        machine.scaled(by: 7, now: now)
        now = now + .seconds(16)
        limited = machine.limit(30, current: 14, autoscaler: scaler, now: now)
        #expect(limited.replicas == 20)
        #expect(limited.limit?.reason == "TooManyReplicas")
        machine.scaled(by: 6, now: now)
        // Less is wanted now, but five minutes ago more was.
        now = now + .seconds(60)
        limited = machine.limit(1, current: 20, autoscaler: scaler, now: now)
        #expect(limited.replicas == 20)
        #expect(limited.able.reason == "ScaleDownStabilized")
        now = now + .seconds(301)
        limited = machine.limit(1, current: 20, autoscaler: scaler, now: now)
        #expect(limited.replicas == 2)
        #expect(limited.limit?.reason == "TooFewReplicas")
    }

    @Test func behaviorMaySlowOrForbid() {
        var machine = ScalingMachine()
        let careful = autoscaler([
            "scaleUp": ["policies": [["type": "Pods", "value": 1, "periodSeconds": 60]]],
            "scaleDown": ["selectPolicy": "Disabled", "stabilizationWindowSeconds": 0],
        ])
        #expect(machine.limit(10, current: 3, autoscaler: careful, now: noon).replicas == 4)
        machine.scaled(by: 1, now: noon)
        #expect(machine.limit(10, current: 4, autoscaler: careful, now: noon + .seconds(30)).replicas == 4)
        #expect(machine.limit(10, current: 4, autoscaler: careful, now: noon + .seconds(61)).replicas == 5)
        #expect(machine.limit(2, current: 5, autoscaler: careful, now: noon + .seconds(999)).replicas == 5)
    }

    @Test func aMetricThatCannotBeReadKeepsWhatIsThere() {
        var scaler = autoscaler()
        scaler.spec["metrics"] = [
            [
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]],
            ],
            ["type": "External", "external": ["metric": ["name": "queue"]]],
        ]
        let pods = [pod("a"), pod("b")]
        func look(_ milli: Int64) -> AutoscalerLook.Outcome {
            AutoscalerLook(
                autoscaler: scaler, pods: pods, samples: ["a": sample(milli), "b": sample(milli)], currentReplicas: 2,
                now: noon
            ).outcome()
        }
        #expect(look(100).replicas == 4)
        #expect(look(100).current.first?["resource", "current", "averageUtilization"] == 100)
        #expect(look(10).replicas == nil)
        #expect(look(10).failure?.reason == "FailedGetExternalMetric")
    }
}
