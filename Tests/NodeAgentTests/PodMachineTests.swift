// A pod's life as scripts: what happened, and what the machine asks for.

import Formats
import Objects
import Testing

@testable import NodeAgent

@Suite struct PodMachineTests {
    typealias Script = PodScript

    @Test func nothingIsDoneBeforeTheRuntimeWasLookedAt() {
        var script = Script(Script.pod())
        #expect(script.actions() == [])
        script.see([], sandbox: .absent)
        #expect(script.actions() == [.startSandbox(isAdopted: false)])
        #expect(script.actions() == [], "what has begun is not asked for again")
    }

    @Test func mainContainersStartTogetherAndThePodIsReadyWhenTheyRun() {
        var script = Script(Script.pod([Script.container("a"), Script.container("b")]))
        script.see([], sandbox: .absent)
        _ = script.actions()
        #expect(script.status()["phase"] == "Pending")
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        #expect(
            script.actions() == [
                .startContainer(name: "a", attempt: 0, replacing: nil),
                .startContainer(name: "b", attempt: 0, replacing: nil),
            ])
        script.see([script.record("a"), script.record("b")])
        script.machine.containerStarted("a", failure: nil, at: script.now)
        #expect(script.condition("Ready") == "False ContainersNotReady")
        script.machine.containerStarted("b", failure: nil, at: script.now)
        #expect(script.condition("Ready") == "True")
        #expect(script.status()["phase"] == "Running")
        #expect(script.status()["podIP"] == "10.88.0.5")
    }

    @Test func initContainersRunOneAfterTheOther() {
        var script = Script(Script.pod(initial: [Script.container("first"), Script.container("second")]))
        script.see([], sandbox: .absent)
        _ = script.actions()
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        #expect(script.actions() == [.startContainer(name: "first", attempt: 0, replacing: nil)])
        script.run("first", attempt: 0)
        #expect(script.actions() == [])
        #expect(script.condition("Initialized") == "False ContainersNotInitialized")
        let done = script.record("first", phase: .ended)
        script.see([done])
        #expect(script.actions() == [.startContainer(name: "second", attempt: 0, replacing: nil)])
        script.see([done, script.record("second", phase: .ended)])
        script.machine.containerStarted("second", failure: nil, at: script.now)
        #expect(script.actions() == [.startContainer(name: "main", attempt: 0, replacing: nil)])
        #expect(script.condition("Initialized") == "True")
    }

    @Test func aFailedInitContainerIsTriedAgainWithBackOffOrEndsThePod() {
        var again = Script(Script.pod(initial: [Script.container("prepare")]))
        again.bringUp()
        again.end("prepare", code: 1)
        #expect(again.actions() == [.startContainer(name: "prepare", attempt: 1, replacing: nil)])
        again.run("prepare", attempt: 1)
        again.end("prepare", attempt: 1, code: 1)
        #expect(again.actions() == [], "the second restart waits")
        #expect(again.status()["initContainerStatuses"]?.array?[0]["state", "waiting", "reason"] == "CrashLoopBackOff")

        var never = Script(Script.pod(initial: [Script.container("prepare")], restart: "Never"))
        never.bringUp()
        never.end("prepare", code: 1)
        #expect(never.actions() == [.removeSandbox])
        #expect(never.status()["phase"] == "Failed")
    }

    @Test func aSidecarStartsBeforeWhatFollowsAndIsStoppedLast() {
        let sidecar = Script.container(
            "proxy", ["restartPolicy": "Always", "startupProbe": ["tcpSocket": ["port": 80], "periodSeconds": 1]])
        var script = Script(Script.pod(initial: [sidecar, Script.container("prepare")]))
        script.see([], sandbox: .absent)
        _ = script.actions()
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        #expect(script.actions() == [.startContainer(name: "proxy", attempt: 0, replacing: nil)])
        script.run("proxy", attempt: 0)
        #expect(script.actions() == [.probe(container: "proxy", id: "proxy-0", kind: .startup)])
        script.machine.probed(container: "proxy", id: "proxy-0", kind: .startup, .success, at: script.now)
        #expect(script.actions() == [.startContainer(name: "prepare", attempt: 0, replacing: nil)])
        let proxy = script.record("proxy")
        let prepared = script.record("prepare", phase: .ended)
        script.see([proxy, prepared])
        script.machine.containerStarted("prepare", failure: nil, at: script.now)
        #expect(script.actions() == [.startContainer(name: "main", attempt: 0, replacing: nil)])
        script.see([proxy, prepared, script.record("main")])
        script.machine.containerStarted("main", failure: nil, at: script.now)

        script.delete(withdrawn: true)
        script.machine.proxyWithdrew()
        _ = script.actions()
        script.machine.proxyWithdrew()
        #expect(stops(script.actions()) == ["main"])
        script.see([proxy, prepared, script.record("main", phase: .ended, code: 143)])
        script.machine.containerStopped("main", at: script.now)
        #expect(stops(script.actions()) == ["proxy"])
    }

    @Test func aCrashingContainerBacksOffAndSaysSo() {
        var script = Script(Script.pod())
        script.bringUp()
        script.end("main", code: 3)
        #expect(script.containerState()?["terminated", "exitCode"] == 3)
        #expect(
            script.actions() == [.startContainer(name: "main", attempt: 1, replacing: nil)], "the first comes at once")
        script.run("main", attempt: 1)
        script.pass(1)
        script.end("main", attempt: 1, code: 3)
        #expect(script.actions() == [])
        #expect(
            script.containerState()?["waiting", "message"]
                == "back-off 10s restarting failed container=main pod=web_shop(u1)")
        #expect(script.status()["containerStatuses"]?.array?[0]["lastState", "terminated", "exitCode"] == 3)
        #expect(script.events.filter { $0.reason == "BackOff" }.count == 1)
        #expect(script.machine.nextDeadline(after: script.now) == script.now + .seconds(10))
        script.pass(9)
        #expect(script.actions() == [])
        script.pass(1)
        #expect(
            script.actions() == [
                .startContainer(name: "main", attempt: 2, replacing: nil), .removeContainer(id: "main-0"),
            ], "of the runs that ended only the last is kept")
    }

    @Test func theRestartPolicyDecidesWhoRunsAgain() {
        var onFailure = Script(Script.pod(restart: "OnFailure"))
        onFailure.bringUp()
        onFailure.end("main", code: 0)
        #expect(onFailure.actions() == [.removeSandbox])
        #expect(onFailure.status()["phase"] == "Succeeded")
        #expect(onFailure.condition("Ready") == "False PodCompleted")

        var never = Script(Script.pod([Script.container("a"), Script.container("b")], restart: "Never"))
        never.bringUp()
        never.see([never.record("a", phase: .ended, code: 1), never.record("b")])
        #expect(never.actions() == [], "one still runs")
        #expect(never.status()["phase"] == "Running")
        never.see([never.record("a", phase: .ended, code: 1), never.record("b", phase: .ended)])
        #expect(never.actions() == [.removeSandbox])
        #expect(never.status()["phase"] == "Failed")
    }

    @Test func aFailedLivenessProbeStopsAndTheContainerStartsAgain() {
        let probe: JSON = [
            "tcpSocket": ["port": 80], "failureThreshold": 2, "periodSeconds": 1, "terminationGracePeriodSeconds": 4,
        ]
        var script = Script(Script.pod([Script.container("main", ["livenessProbe": probe])]))
        script.bringUp()
        script.machine.probed(container: "main", id: "main-0", kind: .liveness, .failure("refused"), at: script.now)
        #expect(stops(script.actions()) == [])
        script.machine.probed(container: "main", id: "main-0", kind: .liveness, .failure("refused"), at: script.now)
        #expect(script.actions() == [.stopContainer(name: "main", id: "main-0", grace: .seconds(4))])
        #expect(script.events.map(\.reason).suffix(3) == ["Unhealthy", "Unhealthy", "Killing"])
        script.end("main", code: 143)
        script.machine.containerStopped("main", at: script.now)
        #expect(script.actions() == [.startContainer(name: "main", attempt: 1, replacing: nil)])
    }

    @Test func readinessAsksOnlyAfterStartupAndOnlyMovesTheCondition() {
        let container = Script.container(
            "main",
            [
                "startupProbe": ["tcpSocket": ["port": 80], "periodSeconds": 1],
                "readinessProbe": ["tcpSocket": ["port": 80], "periodSeconds": 1],
            ])
        var script = Script(Script.pod([container]))
        script.see([], sandbox: .absent)
        _ = script.actions()
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        _ = script.actions()
        script.run("main", attempt: 0)
        #expect(script.actions() == [.probe(container: "main", id: "main-0", kind: .startup)])
        script.machine.probed(container: "main", id: "main-0", kind: .startup, .success, at: script.now)
        #expect(script.actions() == [.probe(container: "main", id: "main-0", kind: .readiness)])
        #expect(script.condition("Ready") == "False ContainersNotReady")
        script.machine.probed(container: "main", id: "main-0", kind: .readiness, .success, at: script.now)
        #expect(script.condition("Ready") == "True")
    }

    @Test func readinessGatesHoldThePodBack() {
        var script = Script(
            Script.pod { $0["spec", "readinessGates"] = [["conditionType": "shop.example/open"]] })
        script.bringUp()
        #expect(script.condition("ContainersReady") == "True")
        #expect(script.condition("Ready") == "False ReadinessGatesNotReady")
        var pod = script.machine.pod
        pod["status", "conditions"] = [["type": "shop.example/open", "status": "True"]]
        script.machine.podChanged(pod, at: script.now)
        #expect(script.condition("Ready") == "True")
    }

    @Test func acknowledgedBeforeGone() {
        var script = Script(Script.pod())
        script.bringUp()
        script.delete()
        #expect(script.actions() == [.awaitWithdrawal(address: "10.88.0.5")])
        script.machine.proxyWithdrew()
        #expect(script.actions() == [], "consumers have not acknowledged")
        script.pass(10)
        script.delete(graceSeconds: 20, withdrawn: true)
        #expect(script.actions() == [.stopContainer(name: "main", id: "main-0", grace: .seconds(20))])
        script.end("main", code: 0)
        script.machine.containerStopped("main", at: script.now)
        #expect(script.actions() == [.removeSandbox])
        script.machine.sandboxRemoved(failure: nil, at: script.now)
        #expect(script.actions() == [.deletePod])
        script.machine.podDeleted(failure: nil, at: script.now)
        #expect(script.machine.isGone && script.machine.isForgotten)
    }

    @Test func aPodThatNobodyAcknowledgesIsStoppedWhenItsGraceIsUsedUp() {
        var script = Script(Script.pod())
        script.bringUp()
        script.delete(graceSeconds: 5)
        _ = script.actions()
        #expect(script.machine.nextDeadline(after: script.now) == script.now + .seconds(5))
        script.pass(5)
        #expect(script.actions() == [.stopContainer(name: "main", id: "main-0", grace: .seconds(2))])
        #expect(script.events.last?.reason == "Killing")
        #expect(script.events.contains { $0.reason == "WithdrawalTimedOut" })
    }

    @Test func aCrashWhileLeavingIsNotRepaired() {
        var script = Script(Script.pod())
        script.bringUp()
        script.delete()
        _ = script.actions()
        script.end("main", code: 1)
        #expect(script.actions() == [.removeSandbox])
    }

    @Test func whatRunsIsAdoptedWithItsReadiness() {
        let pod = Script.pod([
            Script.container("main", ["readinessProbe": ["tcpSocket": ["port": 80], "periodSeconds": 5]])
        ]) { pod in
            pod.status = [
                "phase": "Running", "podIP": "10.88.0.5",
                "containerStatuses": [
                    [
                        "name": "main", "containerID": "process://main-2", "restartCount": 2, "started": true,
                        "ready": true,
                        "state": ["running": ["startedAt": "2023-11-14T22:13:20Z"]],
                    ]
                ],
            ]
        }
        var script = Script(pod)
        script.see([script.record("main", attempt: 2)])
        #expect(
            script.actions() == [
                .startSandbox(isAdopted: true)
            ])
        #expect(script.status()["containerStatuses"]?.array?[0]["ready"] == true)
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        #expect(script.actions() == [.probe(container: "main", id: "main-2", kind: .readiness)])
        #expect(script.condition("Ready") == "True")
        #expect(script.status()["containerStatuses"]?.array?[0]["restartCount"] == 2)
    }

    @Test func aLostSandboxIsMadeAnewAndInitContainersRunAgain() {
        var script = Script(Script.pod(initial: [Script.container("prepare")]))
        script.bringUp()
        script.see([script.record("prepare", phase: .ended)])
        _ = script.actions()
        script.see([script.record("prepare", phase: .ended), script.record("main")])
        script.machine.containerStarted("main", failure: nil, at: script.now)
        script.see([], sandbox: .broken)
        #expect(script.actions() == [.startSandbox(isAdopted: false)])
        #expect(script.events.last?.reason == "SandboxChanged")
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        script.see([])
        #expect(script.actions() == [.startContainer(name: "prepare", attempt: 1, replacing: nil)])
    }

    @Test func aContainerThatCannotBeMadeIsTriedAgainAfterAWhile() {
        var script = Script(Script.pod())
        script.see([], sandbox: .absent)
        _ = script.actions()
        script.machine.sandboxStarted(.success("10.88.0.5"), at: script.now)
        _ = script.actions()
        let failure = StartFailure("CreateContainerConfigError", "configmap \"x\" not found")
        script.machine.containerStarted("main", failure: failure, at: script.now)
        #expect(script.actions() == [])
        #expect(script.containerState()?["waiting", "reason"] == "CreateContainerConfigError")
        script.pass(5)
        #expect(script.actions() == [.startContainer(name: "main", attempt: 0, replacing: nil)])
    }

    @Test func aForeignImageWaitsAndSaysWhatIsMissing() {
        var script = Script(Script.pod([["name": "main", "image": "nginx:1.27"]]))
        script.see([], sandbox: .absent)
        #expect(script.actions() == [])
        #expect(script.events.map(\.reason) == ["NoContainerRuntime"])
        #expect(script.containerState()?["waiting", "reason"] == "NoContainerRuntime")
        #expect(script.actions() == [])
        #expect(script.events.count == 1, "it is said once")
    }

    @Test func anEphemeralContainerRunsOnceAndChangesNothingElse() {
        var script = Script(Script.pod())
        script.bringUp()
        var pod = script.machine.pod
        pod["spec", "ephemeralContainers"] = [["name": "debugger", "image": "host", "command": ["sh"]]]
        script.machine.podChanged(pod, at: script.now)
        #expect(script.actions() == [.startContainer(name: "debugger", attempt: 0, replacing: nil)])
        let main = script.record("main")
        script.see([main, script.record("debugger")])
        script.machine.containerStarted("debugger", failure: nil, at: script.now)
        #expect(script.condition("Ready") == "True")
        script.see([main, script.record("debugger", phase: .ended, code: 1)])
        #expect(script.actions() == [], "it is not started again")
        #expect(script.status()["phase"] == "Running")
        #expect(script.condition("Ready") == "True")
        #expect(script.status()["ephemeralContainerStatuses"]?.array?[0]["state", "terminated", "exitCode"] == 1)
    }

    @Test func aPodThatIsActiveForTooLongFails() {
        var script = Script(Script.pod { $0["spec", "activeDeadlineSeconds"] = 60 })
        script.bringUp()
        #expect(script.machine.nextDeadline(after: script.now) == script.now + .seconds(60))
        script.pass(59)
        #expect(script.actions() == [])
        script.pass(1)
        #expect(stops(script.actions()) == ["main"])
        #expect(script.events.contains { $0.reason == "DeadlineExceeded" })
        script.end("main", code: 143)
        script.machine.containerStopped("main", at: script.now)
        #expect(script.actions() == [.removeSandbox], "and nothing starts again")
        #expect(script.status()["phase"] == "Failed")
        #expect(script.status()["reason"] == "DeadlineExceeded")
        // The next agent remembers.
        var pod = script.machine.pod
        pod.status = script.status()
        var later = Script(pod, at: script.now)
        later.see([], sandbox: .absent)
        #expect(later.actions() == [.removeSandbox])
        #expect(later.status()["reason"] == "DeadlineExceeded")
    }

    private func stops(_ actions: [PodAction]) -> [String] {
        actions.compactMap { action in
            guard case .stopContainer(let name, _, _) = action else { return nil }
            return name
        }
    }
}
