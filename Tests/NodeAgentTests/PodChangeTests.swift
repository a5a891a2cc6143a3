// What happens to a pod that runs: its resources change, its volumes overflow, the clock is set.

import Formats
import Objects
import Testing

@testable import NodeAgent

@Suite struct PodChangeTests {
    private func resources(_ cpu: String, _ memory: String = "64Mi") -> JSON {
        ["requests": ["cpu": .string(cpu), "memory": .string(memory)]]
    }

    private func script(_ more: JSON = [:]) -> PodScript {
        var container: JSON = ["resources": resources("100m")]
        for member in more.object ?? JSONObject() { container[member.key] = member.value }
        var script = PodScript(PodScript.pod([PodScript.container("main", container)]))
        script.bringUp()
        return script
    }

    private func wish(_ wanted: JSON, _ script: inout PodScript) {
        var pod = script.machine.pod
        var container = pod.spec["containers"]?.array?.first ?? [:]
        container["resources"] = wanted
        pod.spec["containers"] = .array([container])
        script.machine.podChanged(pod, at: script.now)
    }

    private func judged(_ actions: [PodAction]) -> [JSON] {
        for case .judgeResize(let containers) in actions { return containers }
        return []
    }

    @Test func resourcesThatFitAreSetWithoutARestart() {
        var script = script()
        wish(resources("200m"), &script)
        let asked = judged(script.actions())
        #expect(asked.first?["resources"] == resources("200m"))
        #expect(script.actions() == [], "asked once")
        script.machine.resizeJudged(asked, .fits, at: script.now)
        #expect(script.actions() == [.resizeContainer(name: "main", id: "main-0", resources: resources("200m"))])
        #expect(script.condition("PodResizeInProgress") == "True")
        #expect(script.status()["containerStatuses"]?.array?[0]["allocatedResources", "cpu"] == "200m")
        script.machine.containerResized("main", to: resources("200m"), failure: nil, at: script.now)
        #expect(script.actions() == [])
        #expect(script.events.last?.reason == "ResizeCompleted")
        #expect(script.condition("PodResizeInProgress").isEmpty)
        #expect(script.status()["containerStatuses"]?.array?[0]["restartCount"] == 0)
        wish(resources("0.2"), &script)
        #expect(script.actions() == [], "another spelling of the same is no wish")
    }

    @Test func aPolicyMayAskForARestart() {
        var script = script(["resizePolicy": [["resourceName": "memory", "restartPolicy": "RestartContainer"]]])
        wish(resources("100m", "128Mi"), &script)
        script.machine.resizeJudged(judged(script.actions()), .fits, at: script.now)
        guard case .stopContainer("main", "main-0", _)? = script.actions().first else {
            Issue.record("the container was not stopped")
            return
        }
        script.end("main", code: 143)
        script.machine.containerStopped("main", at: script.now)
        #expect(
            script.actions() == [.startContainer(name: "main", attempt: 1, replacing: nil)], "at once, with no back-off"
        )
        script.run("main", attempt: 1)
        #expect(script.actions() == [] && script.condition("PodResizeInProgress").isEmpty)
    }

    @Test func whatDoesNotFitIsSaidAndTriedAgainOnlyIfItMayFitLater() {
        var script = script()
        wish(resources("2"), &script)
        script.machine.resizeJudged(judged(script.actions()), .deferred("full"), at: script.now)
        #expect(script.condition("PodResizePending") == "True Deferred")
        #expect(script.actions() == [])
        script.pass(PodMachine.resizeRetrySeconds)
        let again = judged(script.actions())
        #expect(!again.isEmpty)
        script.machine.resizeJudged(again, .infeasible("never"), at: script.now)
        #expect(script.condition("PodResizePending") == "True Infeasible")
        script.pass(600)
        #expect(script.actions() == [])
        wish(resources("100m"), &script)
        #expect(script.actions() == [] && script.condition("PodResizePending").isEmpty, "the wish was taken back")
    }

    @Test func aLimitThatTheKernelRefusesIsTriedAgain() {
        var script = script()
        wish(resources("200m"), &script)
        script.machine.resizeJudged(judged(script.actions()), .fits, at: script.now)
        _ = script.actions()
        script.machine.containerResized("main", to: resources("200m"), failure: "below usage", at: script.now)
        #expect(script.actions() == [])
        #expect(script.condition("PodResizeInProgress") == "True Error")
        script.pass(PodMachine.resizeRetrySeconds)
        #expect(script.actions() == [.resizeContainer(name: "main", id: "main-0", resources: resources("200m"))])
    }

    @Test func roomIsWhatOthersLeave() {
        var other = PodScript.pod([PodScript.container("a", ["resources": ["requests": ["cpu": "1500m"]]])])
        let room = ResizeRoom(processors: 2000, memoryBytes: 1 << 30, others: [other])
        func verdict(_ cpu: String) -> ResizeVerdict { room.verdict(on: [["resources": resources(cpu)]]) }
        #expect(verdict("500m") == .fits)
        #expect(
            verdict("600m")
                == .deferred("Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000"))
        #expect(verdict("3") == .infeasible("Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000"))
        other.status["phase"] = "Succeeded"
        let empty = ResizeRoom(processors: 2000, memoryBytes: 1 << 30, others: [other])
        #expect(empty.verdict(on: [["resources": resources("2")]]) == .fits)
    }

    @Test func aVolumeThatOverflowsEndsThePod() {
        var script = script()
        script.machine.evicted(message: "too much", at: script.now)
        guard case .stopContainer("main", "main-0", let grace)? = script.actions().first else {
            Issue.record("the container was not stopped")
            return
        }
        #expect(grace == .seconds(PodMachine.leastStopSeconds))
        script.end("main", code: 143)
        script.machine.containerStopped("main", at: script.now)
        _ = script.actions()
        script.machine.sandboxRemoved(failure: nil, at: script.now)
        _ = script.actions()
        let status = script.status()
        #expect(status["phase"] == "Failed" && status["reason"] == "Evicted" && status["message"] == "too much")
        #expect(script.condition("DisruptionTarget") == "True TerminationByKubelet")
    }

    @Test func settingTheClockChangesNoSpan() {
        for hours in [-5, 5] {
            let step = Duration.seconds(hours * 3600)
            var script = script(["livenessProbe": ["tcpSocket": ["port": 80], "periodSeconds": 10]])
            _ = script.actions()
            script.machine.probed(container: "main", id: "main-0", kind: .liveness, .success, at: script.now)
            #expect(script.actions() == [])
            script.now = script.now + step
            script.machine.clockMoved(by: step)
            #expect(script.actions() == [], "the next question is not due yet")
            script.pass(10)
            #expect(script.actions() == [.probe(container: "main", id: "main-0", kind: .liveness)])
            // On its way out, the grace period stays what it was.
            script.delete(graceSeconds: 30)
            _ = script.actions()
            script.now = script.now + step
            script.machine.clockMoved(by: step)
            #expect(script.actions() == [])
            script.pass(29)
            #expect(script.actions() == [])
            script.pass(1)
            #expect(script.actions().count == 1, "the grace is over")
        }
    }

    @Test func theClockIsComparedWithOneThatRunsEvenly() {
        var watch = ClockWatch()
        let noon = Timestamp(secondsSinceEpoch: 1_750_000_000)
        #expect(watch.looked(wall: noon, steady: .seconds(1)) == nil)
        #expect(watch.looked(wall: noon + .seconds(60), steady: .seconds(61)) == nil)
        #expect(watch.looked(wall: noon + .seconds(3660), steady: .seconds(62)) == .seconds(3599))
        #expect(watch.looked(wall: noon, steady: .seconds(63)) == .seconds(-3661))
        #expect(
            watch.looked(wall: noon + .milliseconds(1900), steady: .seconds(64)) == nil,
            "clocks are corrected all the time")
    }
}
