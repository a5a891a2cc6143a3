// What containers use, worked out from samples of processes.

import Formats
import Objects
import Testing

@testable import NodeAgent

@Suite struct UsageMachineTests {
    private let web = UsageMachine.Container(
        id: "c1", pod: ObjectKey(namespace: "shop", name: "web"), name: "main", pid: 100)

    private func process(_ parent: Int32, ticks: Int64, pages: Int64 = 10, shared: Int64 = 4) -> ProcessSample {
        ProcessSample(parent: parent, ticks: ticks, residentPages: pages, sharedPages: shared)
    }

    @Test func aContainerIsItsFirstProcessAndAllBelowIt() {
        var machine = UsageMachine(ticksPerSecond: 100, pageBytes: 4096)
        var processes: [Int32: ProcessSample] = [
            1: process(0, ticks: 9999), 100: process(1, ticks: 50), 101: process(100, ticks: 50),
            102: process(101, ticks: 0), 200: process(1, ticks: 5),
        ]
        let idle = UsageMachine.Machine(busyTicks: 1000, usedBytes: 1 << 30)
        #expect(machine.looked(containers: [web], processes: processes, machine: idle, time: .seconds(10)) == nil)
        processes[101] = process(100, ticks: 250)
        let busy = UsageMachine.Machine(busyTicks: 3000, usedBytes: 1 << 30)
        let report = machine.looked(containers: [web], processes: processes, machine: busy, time: .seconds(20))
        let reading = report?.pods[web.pod]?["main"]
        // 200 ticks of 10 ms in 10 s: a fifth of a processor.
        #expect(reading?.cpuNanocores == 200_000_000)
        // Three processes with six pages of their own, and four that they share.
        #expect(reading?.memoryBytes == Int64(22 * 4096))
        #expect(report?.total.cpuNanocores == 2_000_000_000)
        #expect(report?.seconds == 10)
    }

    @Test func aFreshContainerHasNoWindowYetAndTicksNeverRunBack() {
        var machine = UsageMachine(ticksPerSecond: 100, pageBytes: 4096)
        let still = UsageMachine.Machine(busyTicks: 0, usedBytes: 0)
        _ = machine.looked(containers: [], processes: [100: process(1, ticks: 10)], machine: still, time: .seconds(1))
        let first = machine.looked(
            containers: [web], processes: [100: process(1, ticks: 10)], machine: still, time: .seconds(2))
        #expect(first?.pods.isEmpty == true)
        // A child ended unseen: less time than before is no negative use.
        let second = machine.looked(
            containers: [web], processes: [100: process(1, ticks: 3)], machine: still, time: .seconds(3))
        #expect(second?.pods[web.pod]?["main"]?.cpuNanocores == 0)
    }

    @Test func readsWhatTheKernelWrites() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 0 0 11 22 33 44 20 0 1 0 100 1000 10 18446744073709551615"
        let sample = ProcessSample(stat: stat, statm: "1000 300 120 5 0 90 0")
        #expect(sample == process(7, ticks: 110, pages: 300, shared: 120))
        #expect(ProcessSample(stat: "42 (x", statm: "1 2 3") == nil)
        #expect(ProcessSample(stat: "42 (x) S 7", statm: "1 2 3") == nil)
        #expect(ProcessSample(stat: stat, statm: "") == nil)
    }
}
