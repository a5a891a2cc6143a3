// Measures what the containers of this machine use, a few times a minute.

import ContainerRuntimes
import Formats
import Glibc
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `UsageMachine`: asks the runtime what its containers use, and the kernel about the machine. Holds the
/// newest report only.
package final class UsageMeter: Sendable {
    /// Between two looks; also the window of the averages.
    package static let period = Duration.seconds(10)

    /// What one container uses, on average over the window.
    package struct Entry: Sendable, Hashable {
        package var pod: ObjectKey
        package var container: String
        package var cpuNanocores: Int64
        package var memoryBytes: Int64
    }

    package struct Report: Sendable, Hashable {
        package var cpuNanocores: Int64
        package var memoryBytes: Int64
        package var entries: [Entry]
        package var time: Timestamp
        package var windowSeconds: Int
    }

    private let runtime: any ContainerRuntime
    private let clock: WallClock
    private let logger: Logger
    private let newest = Mutex<Report?>(nil)

    package init(runtime: any ContainerRuntime, clock: WallClock = .system, logger: Logger) {
        self.runtime = runtime
        self.clock = clock
        self.logger = logger
    }

    /// Nil before the first window is over.
    package var report: Report? { newest.withLock { $0 } }

    /// Measures until cancelled.
    package func run() async throws {
        var machine = UsageMachine()
        let began = ContinuousClock.now
        while true {
            do {
                let containers = try await containers()
                let report = machine.looked(
                    containers: containers, machine: Self.machine(), time: ContinuousClock.now - began)
                if let report { publish(report) }
            } catch {
                logger.warning("cannot measure what containers use", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.period)
        }
    }

    private func publish(_ report: UsageMachine.Report) {
        let entries = report.pods.flatMap { pod, containers in
            containers.map { name, reading in
                Entry(
                    pod: pod, container: name, cpuNanocores: reading.cpuNanocores, memoryBytes: reading.memoryBytes)
            }
        }
        let time = clock.now()
        newest.withLock {
            $0 = Report(
                cpuNanocores: report.total.cpuNanocores, memoryBytes: report.total.memoryBytes, entries: entries,
                time: time, windowSeconds: report.seconds)
        }
    }

    private func containers() async throws(Problem) -> [UsageMachine.Container] {
        var pods: [String: ObjectKey] = [:]
        for sandbox in try await runtime.sandboxes() {
            pods[sandbox.id] = ObjectKey(namespace: sandbox.namespace, name: sandbox.name)
        }
        return await runtime.use().compactMap { use in
            pods[use.sandboxID].map {
                .init(
                    id: use.id, pod: $0, name: use.name, cpuNanoseconds: use.cpuNanoseconds,
                    memoryBytes: use.workingSetBytes)
            }
        }
    }

    private static func machine() -> UsageMachine.Machine {
        // `cpu user nice system idle iowait irq softirq steal …`
        let line = (Files.text("/proc/stat") ?? "").prefix { $0 != "\n" }
        let times = line.split(separator: " ").dropFirst().compactMap { Int64($0) }
        let idle = times.count > 4 ? times[3] + times[4] : 0
        // What is counted for guests is in the user time already.
        let busy = UInt64(max(0, times.prefix(8).reduce(0, +) - idle))
        let tick = 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let memory = NodeDescription.fields(of: Files.text("/proc/meminfo") ?? "", separator: ":")
        func kibibytes(_ name: String) -> Int64 {
            memory[name]?.split(separator: " ").first.flatMap { Int64($0) } ?? 0
        }
        return .init(
            busyNanoseconds: busy * tick, usedBytes: (kibibytes("MemTotal") - kibibytes("MemAvailable")) * 1024)
    }
}
