// Works out what each container uses from what the runtime counts since the container's start.

import Objects

/// Usage as averages between two looks.
struct UsageMachine: Sendable {
    struct Container: Sendable, Hashable {
        var id: String
        var pod: ObjectKey
        var name: String
        /// Since its start.
        var cpuNanoseconds: UInt64
        var memoryBytes: UInt64
    }

    /// The whole machine: busy CPU time, and memory that is not free for the taking.
    struct Machine: Sendable, Hashable {
        var busyNanoseconds: UInt64
        var usedBytes: Int64
    }

    struct Reading: Sendable, Hashable {
        var cpuNanocores: Int64
        var memoryBytes: Int64
    }

    struct Report: Sendable, Hashable {
        var total: Reading
        /// By pod, then by container.
        var pods: [ObjectKey: [String: Reading]]
        var seconds: Int
    }

    private var last: (time: Duration, used: [String: UInt64], busy: UInt64)?

    /// A look at everything; answers what was used since the look before. `time` runs evenly.
    mutating func looked(containers: [Container], machine: Machine, time: Duration) -> Report? {
        let used = Dictionary(containers.map { ($0.id, $0.cpuNanoseconds) }) { first, _ in first }
        defer { last = (time, used, machine.busyNanoseconds) }
        guard let last, time > last.time else { return nil }
        let span = time - last.time
        func rate(_ now: UInt64, _ before: UInt64) -> Int64 {
            now > before ? Int64(Double(now - before) / (span / .seconds(1))) : 0
        }
        var pods: [ObjectKey: [String: Reading]] = [:]
        for container in containers {
            // One that began in between has no full window yet.
            guard let before = last.used[container.id] else { continue }
            pods[container.pod, default: [:]][container.name] = Reading(
                cpuNanocores: rate(container.cpuNanoseconds, before),
                memoryBytes: Int64(clamping: container.memoryBytes))
        }
        let total = Reading(cpuNanocores: rate(machine.busyNanoseconds, last.busy), memoryBytes: machine.usedBytes)
        return Report(total: total, pods: pods, seconds: max(1, Int(span / .seconds(1))))
    }
}
