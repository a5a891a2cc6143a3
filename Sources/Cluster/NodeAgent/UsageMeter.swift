// Measures what the containers of this machine use, a few times a minute.

import ContainerRuntimes
import Formats
import Glibc
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `UsageMachine`: reads the runtime's containers and `/proc`. Holds the newest report only.
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
        var machine = UsageMachine(
            ticksPerSecond: Int64(sysconf(Int32(_SC_CLK_TCK))), pageBytes: Int64(sysconf(Int32(_SC_PAGESIZE))))
        let began = ContinuousClock.now
        while true {
            do {
                let containers = try await containers()
                let report = machine.looked(
                    containers: containers, processes: Self.processes(), machine: Self.machine(),
                    time: ContinuousClock.now - began)
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
        return try await runtime.containers().compactMap { container in
            guard container.state == .running, container.pid > 0, let pod = pods[container.sandboxID] else {
                return nil
            }
            return .init(id: container.id, pod: pod, name: container.name, pid: container.pid)
        }
    }

    private static func processes() -> [Int32: ProcessSample] {
        var processes: [Int32: ProcessSample] = [:]
        for name in Files.names(in: "/proc") {
            // A process may end between the listing and the reading.
            guard let pid = Int32(name), let stat = Files.text("/proc/\(name)/stat"),
                let statm = Files.text("/proc/\(name)/statm"), let sample = ProcessSample(stat: stat, statm: statm)
            else { continue }
            processes[pid] = sample
        }
        return processes
    }

    private static func machine() -> UsageMachine.Machine {
        // `cpu user nice system idle iowait irq softirq steal …`
        let line = (Files.text("/proc/stat") ?? "").prefix { $0 != "\n" }
        let times = line.split(separator: " ").dropFirst().compactMap { Int64($0) }
        let idle = times.count > 4 ? times[3] + times[4] : 0
        // What is counted for guests is in the user time already.
        let busy = times.prefix(8).reduce(0, +) - idle
        let memory = NodeDescription.fields(of: Files.text("/proc/meminfo") ?? "", separator: ":")
        func kibibytes(_ name: String) -> Int64 {
            memory[name]?.split(separator: " ").first.flatMap { Int64($0) } ?? 0
        }
        return .init(busyTicks: busy, usedBytes: (kibibytes("MemTotal") - kibibytes("MemAvailable")) * 1024)
    }
}
