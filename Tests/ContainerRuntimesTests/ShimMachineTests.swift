// The shim's decisions, as scripts of events and the actions that must follow.

import Formats
import Objects
import Testing

@testable import ContainerRuntimes

@Suite struct ShimMachineTests {
    private static let sandbox = SandboxConfig(
        id: "u1", namespace: "default", name: "web", hostname: "web", logDirectory: "/logs")
    private static let config = ContainerConfig(name: "c", image: "host", command: ["true"], logPath: "c/0.log")

    private func ticket(_ number: Int) -> ShimMachine.Ticket { ShimMachine.Ticket(client: 7, number: number) }
    private func time(_ milliseconds: Int64) -> ShimMachine.Moment {
        ShimMachine.Moment(wall: 1000 + milliseconds, monotonic: milliseconds * 1_000_000)
    }

    /// A machine with the container `a` running.
    private func running() -> ShimMachine {
        var machine = ShimMachine(sandbox: Self.sandbox)
        _ = machine.requested(.create(id: "a", Self.config), by: ticket(1), at: time(0))
        #expect(machine.requested(.start(id: "a"), by: ticket(2), at: time(1)) == [.launch("a")])
        let actions = machine.started("a", pid: 42, at: time(2))
        guard actions.count == 2, case .announce(let status) = actions[0] else {
            Issue.record("\(actions)")
            return machine
        }
        #expect(status.state == .running && status.pid == 42 && status.logPath == "/logs/c/0.log")
        #expect(actions[1] == .answer(ticket(2), .null))
        return machine
    }

    @Test func stopIsAnsweredWhenTheContainerHasEnded() {
        var machine = running()
        let stop = machine.requested(.stop(id: "a", timeoutMilliseconds: 500), by: ticket(3), at: time(10))
        #expect(stop == [.signal(container: "a", 15)])
        #expect(machine.nextDeadline == 510_000_000)
        let ended = machine.ended("a", exitCode: 0, at: time(20))
        #expect(ended.last == .answer(ticket(3), .null))
        #expect(machine.nextDeadline == nil)
    }

    @Test func aStubbornContainerIsKilledOnceWhenTheTimeIsOver() {
        var machine = running()
        _ = machine.requested(.stop(id: "a", timeoutMilliseconds: 500), by: ticket(3), at: time(10))
        #expect(machine.timePassed(to: time(509)) == [])
        #expect(machine.timePassed(to: time(510)) == [.signal(container: "a", 9)])
        #expect(machine.timePassed(to: time(600)) == [])
    }

    @Test func aProgramThatCannotBeExecutedIsAStartError() {
        var machine = ShimMachine(sandbox: Self.sandbox)
        _ = machine.requested(.create(id: "a", Self.config), by: ticket(1), at: time(0))
        _ = machine.requested(.start(id: "a"), by: ticket(2), at: time(1))
        machine.failed("a", "exec: \"x\": executable file not found in $PATH")
        let actions = machine.ended("a", exitCode: 128, at: time(2))
        guard case .announce(let status) = actions.first, case .refuse(let who, _) = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(status.state == .exited && status.exitCode == 128 && status.reason == "StartError")
        #expect(who == ticket(2))
    }

    @Test func removalOfARunningContainerKillsItFirst() {
        var machine = running()
        #expect(
            machine.requested(.remove(id: "a"), by: ticket(3), at: time(5)) == [.signal(container: "a", 9)])
        let actions = machine.ended("a", exitCode: 137, at: time(6))
        #expect(actions.suffix(2) == [.discard("a"), .answer(ticket(3), .null)])
        #expect(machine.config(of: "a") == nil)
    }

    @Test func theEndWaitsForEveryContainer() {
        var machine = running()
        #expect(machine.requested(.end, by: ticket(3), at: time(5)) == [.signal(container: "a", 9)])
        #expect(machine.ended("a", exitCode: 137, at: time(6)).suffix(2) == [.answer(ticket(3), .null), .end])
    }

    @Test func nothingIsCreatedInAStoppedSandbox() {
        var machine = ShimMachine(sandbox: Self.sandbox)
        #expect(machine.requested(.stopAll, by: ticket(1), at: time(0)) == [.answer(ticket(1), .null)])
        let actions = machine.requested(.create(id: "a", Self.config), by: ticket(2), at: time(1))
        guard case .refuse(_, let problem) = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(problem.reason == .conflict)
    }

    @Test func aCommandThatTakesTooLongIsKilledAndTimesOut() {
        var machine = running()
        let request = ShimRequest.execute(id: "a", command: ["sleep", "9"], timeoutMilliseconds: 100)
        #expect(
            machine.requested(request, by: ticket(3), at: time(0))
                == [.execute(1, container: "a", command: ["sleep", "9"])])
        #expect(machine.timePassed(to: time(100)) == [.kill(execution: 1)])
        guard case .refuse(_, let problem) = machine.executionEnded(1, ExecResult(exitCode: 137)).first else {
            Issue.record("no refusal")
            return
        }
        #expect(problem.reason == .timeout)
    }
}

@Suite struct ShimTextTests {
    @Test func linesAreWrittenInCRIFormat() {
        var lines = LogLines(stream: "stdout")
        let moment = Timestamp(secondsSinceEpoch: 0, nanoseconds: 5)
        let first = lines.received(Array("hello\nwor".utf8), at: moment)
        #expect(String(decoding: first, as: UTF8.self) == "\(moment.rfc3339Nano) stdout F hello\n")
        let second = lines.received(Array("ld\n\n".utf8), at: moment)
        #expect(
            String(decoding: second, as: UTF8.self)
                == "\(moment.rfc3339Nano) stdout F world\n\(moment.rfc3339Nano) stdout F \n")
        _ = lines.received(Array("tail".utf8), at: moment)
        #expect(String(decoding: lines.ended(at: moment), as: UTF8.self) == "\(moment.rfc3339Nano) stdout P tail\n")
        let long = lines.received([UInt8](repeating: 120, count: LogLines.lengthLimit + 1), at: moment)
        #expect(long.count { $0 == UInt8(ascii: "\n") } == 1)
    }

    @Test func framesSurviveAnyCut() throws {
        let config = ContainerConfig(
            name: "c", attempt: 2, image: "host", command: ["sh", "-c"], arguments: ["é"], workingDirectory: "/srv",
            environment: ["A": "1"], mounts: [.init(hostPath: "/a", containerPath: "/b", readOnly: true)],
            logPath: "c/2.log", labels: ["l": "v"], user: 7, group: 8, supplementalGroups: [9], privileged: true,
            resources: .init(cpuLimitMillicores: 500, memoryLimitBytes: 1 << 20))
        let request = ShimRequest.create(id: "x", config)
        let bytes = ShimFrames.frame(request.json(number: 3)) + ShimFrames.frame(ShimRequest.end.json(number: 4))
        for size in [1, 3, 5, 1000] {
            var frames = ShimFrames()
            var found: [ShimRequest] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                for message in try frames.received(bytes[start..<min(start + size, bytes.count)]) {
                    found.append(try ShimRequest(json: message))
                }
            }
            #expect(found == [request, .end])
        }
        var frames = ShimFrames()
        #expect(throws: Problem.self) { try frames.received([0xff, 0xff, 0xff, 0xff]) }
    }

    @Test func theKernelsMountsAndHiddenOnesGetNoOverlay() {
        let text = """
            22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
            23 22 0:5 / /proc rw - proc proc rw
            24 22 0:6 / /dev/shm rw - tmpfs tmpfs rw
            25 22 0:7 / /home/a\\040b rw shared:3 - ext4 /dev/vdb rw
            26 22 0:8 / /var/lib/m/pods/x/shm rw - tmpfs tmpfs rw
            27 22 0:9 / /run/cg rw - cgroup2 cgroup rw
            28 22 0:7 / /home/a\\040b rw - tmpfs tmpfs rw
            """
        #expect(HostMounts.layers(mountInfo: text, hidden: ["/var/lib/m"]) == ["/home/a b"])
    }
}
