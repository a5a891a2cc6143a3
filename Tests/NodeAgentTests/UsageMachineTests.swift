// What containers use, worked out from what the runtime counts.

import Objects
import Testing

@testable import NodeAgent

@Suite struct UsageMachineTests {
    @Test func aNodeRunsShortOfProcesses() {
        func isShort(_ there: Int, _ limits: [String]) -> Bool {
            NodeDescription.isShort(ofProcesses: "0.20 0.18 0.12 1/\(there) 11206", limits: limits)
        }
        #expect(!isShort(900, ["1000", "4000"]))
        #expect(isShort(960, ["1000", "4000"]) && isShort(3990, ["4194304", "4000"]))
        #expect(!isShort(960, ["", "unknown"]), "who cannot tell does not complain")
        #expect(!NodeDescription.isShort(ofProcesses: "", limits: ["1"]))
    }

    private func web(_ id: String = "c1", cpuSeconds: UInt64, memory: UInt64 = 1 << 20) -> UsageMachine.Container {
        UsageMachine.Container(
            id: id, pod: ObjectKey(namespace: "shop", name: "web"), name: "main",
            cpuNanoseconds: cpuSeconds * 1_000_000_000, memoryBytes: memory)
    }

    @Test func usageIsWhatWasAddedSinceTheLastLook() {
        var machine = UsageMachine()
        let idle = UsageMachine.Machine(busyNanoseconds: 10_000_000_000, usedBytes: 1 << 30)
        #expect(machine.looked(containers: [web(cpuSeconds: 1)], machine: idle, time: .seconds(10)) == nil)
        let busy = UsageMachine.Machine(busyNanoseconds: 30_000_000_000, usedBytes: 2 << 30)
        let report = machine.looked(containers: [web(cpuSeconds: 3, memory: 5)], machine: busy, time: .seconds(20))
        let reading = report?.pods[ObjectKey(namespace: "shop", name: "web")]?["main"]
        // Two seconds in ten: a fifth of a processor.
        #expect(reading == .init(cpuNanocores: 200_000_000, memoryBytes: 5))
        #expect(report?.total == .init(cpuNanocores: 2_000_000_000, memoryBytes: 2 << 30))
        #expect(report?.seconds == 10)
    }

    @Test func aFreshRunHasNoWindowYetAndTimeNeverRunsBack() {
        var machine = UsageMachine()
        let still = UsageMachine.Machine(busyNanoseconds: 5, usedBytes: 0)
        _ = machine.looked(containers: [], machine: still, time: .seconds(1))
        let first = machine.looked(containers: [web(cpuSeconds: 9)], machine: still, time: .seconds(2))
        #expect(first?.pods.isEmpty == true)
        let less = machine.looked(containers: [web(cpuSeconds: 8)], machine: still, time: .seconds(3))
        #expect(less?.pods.values.first?["main"]?.cpuNanocores == 0)
        let another = machine.looked(containers: [web("c2", cpuSeconds: 8)], machine: still, time: .seconds(4))
        #expect(another?.pods.isEmpty == true, "a restarted container counts from its own start")
    }
}
