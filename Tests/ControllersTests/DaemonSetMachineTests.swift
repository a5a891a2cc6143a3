// DaemonSets by script: where daemons belong, and how they are replaced.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct DaemonSetMachineTests {
    private func machine(
        _ spec: JSON = [:], nodes: [Object], pods: [Object] = [], now: Timestamp = noon
    ) -> DaemonSetMachine {
        DaemonSetMachine(
            set: Thing.workload(.daemonSets, "web", spec), nodes: nodes, pods: pods, hash: "new", now: now)
    }

    private func daemon(_ name: String, on node: String, hash: String = "new", isReady: Bool = true) -> Object {
        var pod = Thing.pod(name)
        pod.labels[DaemonSetLabel.hash] = hash
        pod.spec["nodeName"] = .string(node)
        return isReady ? pod.running(readySince: noon) : pod.running()
    }

    private let three = [Thing.node("a"), Thing.node("b"), Thing.node("c")]

    @Test func everyNodeGetsOne() {
        let decision = machine(nodes: three, pods: [daemon("1", on: "a"), daemon("2", on: "a"), daemon("3", on: "z")])
            .decide()
        #expect(decision.create == ["b", "c"])
        #expect(decision.delete.map(\.name).sorted() == ["2", "3"])
        let pod = machine(nodes: three).wishes.pod(for: "b", hash: "new")
        #expect(DaemonSetWishes.node(of: pod) == "b")
        #expect(NodeSelection.matches(pod, three[1]) && !NodeSelection.matches(pod, three[0]))
        #expect(pod.spec["tolerations"]?.array?.count == 6)
    }

    @Test func selectorsAndTaintsChooseTheNodes() {
        let nodes = [
            Thing.node("plain"), Thing.node("ssd", labels: ["disk": "ssd"]),
            Thing.node(
                "kept", labels: ["disk": "ssd"], taints: [["key": "team", "value": "db", "effect": "NoSchedule"]]),
            Thing.node(
                "away", labels: ["disk": "ssd"], taints: [["key": "team", "value": "db", "effect": "NoExecute"]]),
            Thing.node(
                "cordoned", labels: ["disk": "ssd"],
                taints: [["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]]),
        ]
        var template = Thing.template()
        template["spec", "nodeSelector"] = ["disk": "ssd"]
        let pods = [daemon("1", on: "plain"), daemon("2", on: "kept"), daemon("3", on: "away")]
        let machine = machine(["template": template], nodes: nodes, pods: pods)
        let decision = machine.decide()
        #expect(decision.create == ["ssd", "cordoned"])
        #expect(decision.delete.map(\.name).sorted() == ["1", "3"])
        let status = machine.status()
        #expect(status["desiredNumberScheduled"] == 2)
        #expect(status["currentNumberScheduled"] == 0)
        #expect(status["numberMisscheduled"] == 3)
        #expect(status["numberUnavailable"] == 2)
    }

    @Test func replacesOnlyAsManyAsMayBeMissing() {
        let old = three.map { daemon("old-\($0.name)", on: $0.name, hash: "old") }
        #expect(machine(nodes: three, pods: old).decide().delete.count == 1)
        let two: JSON = ["updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": "50%"]]]
        #expect(machine(two, nodes: three, pods: old).decide().delete.count == 2)
        // One is being replaced: the next waits until it is available.
        let waiting = [daemon("new-a", on: "a", isReady: false), old[1], old[2]]
        #expect(machine(nodes: three, pods: waiting).decide() == .init())
        // A broken old one goes beside that.
        let broken = [
            daemon("new-a", on: "a", isReady: false), daemon("x", on: "b", hash: "old", isReady: false), old[2],
        ]
        #expect(machine(nodes: three, pods: broken).decide().delete.map(\.name) == ["x"])
        let manual: JSON = ["updateStrategy": ["type": "OnDelete"]]
        #expect(machine(manual, nodes: three, pods: old).decide() == .init())
    }

    @Test func surgesBesideTheOldOne() {
        let surge: JSON = [
            "updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 1, "maxUnavailable": 0]]
        ]
        let old = three.map { daemon("old-\($0.name)", on: $0.name, hash: "old") }
        #expect(machine(surge, nodes: three, pods: old).decide().create == ["a"])
        let both = old + [daemon("new-a", on: "a", isReady: false)]
        #expect(machine(surge, nodes: three, pods: both).decide() == .init())
        let ready = old + [daemon("new-a", on: "a")]
        #expect(machine(surge, nodes: three, pods: ready).decide().delete.map(\.name) == ["old-a"])
    }

    @Test func oneThatEndsMakesRoomAfterAWhile() {
        let failed = daemon("1", on: "a", isReady: false).running("Failed")
        let node = [Thing.node("a")]
        let early = machine(nodes: node, pods: [failed], now: noon + .seconds(1))
        #expect(early.decide() == .init())
        #expect(early.nextLook() == .seconds(4))
        let decision = machine(nodes: node, pods: [failed], now: noon + .seconds(5)).decide()
        #expect(decision.delete.map(\.name) == ["1"])
        #expect(decision.ended.map(\.name) == ["1"])
    }

    @Test func countsForRolloutStatus() {
        let pods = [daemon("1", on: "a"), daemon("2", on: "b", hash: "old"), daemon("3", on: "c", isReady: false)]
        let status = machine(["minReadySeconds": 0], nodes: three, pods: pods).status()
        #expect(status["desiredNumberScheduled"] == 3)
        #expect(status["updatedNumberScheduled"] == 2)
        #expect(status["numberReady"] == 2)
        #expect(status["numberAvailable"] == 2)
        #expect(status["numberUnavailable"] == 1)
        #expect(status["observedGeneration"] == 1)
    }
}
