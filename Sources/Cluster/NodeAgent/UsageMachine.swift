// Works out what each container uses from what the kernel says of every process.

import Formats
import Objects

/// One line of `/proc/<pid>/stat` and `statm`.
struct ProcessSample: Sendable, Hashable {
    var parent: Int32
    /// CPU time of the process and of its children that have ended, in clock ticks.
    var ticks: Int64
    var residentPages: Int64
    var sharedPages: Int64

    init(parent: Int32, ticks: Int64, residentPages: Int64, sharedPages: Int64) {
        self.parent = parent
        self.ticks = ticks
        self.residentPages = residentPages
        self.sharedPages = sharedPages
    }

    /// Nil where the texts are not what proc(5) says.
    init?(stat: String, statm: String) {
        // The name is in parentheses and may hold anything, also parentheses.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        let pages = statm.split(separator: " ")
        // After the name: state ppid … utime (11) stime cutime cstime.
        guard fields.count > 14, pages.count > 2, let parent = Int32(fields[1]) else { return nil }
        let times = fields[11...14].compactMap { Int64($0) }
        guard times.count == 4, let resident = Int64(pages[1]), let shared = Int64(pages[2]) else { return nil }
        self.init(parent: parent, ticks: times.reduce(0, +), residentPages: resident, sharedPages: shared)
    }
}

/// Usage as averages between two looks.
struct UsageMachine: Sendable {
    struct Container: Sendable, Hashable {
        var id: String
        var pod: ObjectKey
        var name: String
        var pid: Int32
    }

    /// The whole machine: busy CPU time in ticks, and memory that is not free for the taking.
    struct Machine: Sendable, Hashable {
        var busyTicks: Int64
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

    let ticksPerSecond: Int64
    let pageBytes: Int64
    private var last: (time: Duration, ticks: [String: Int64], busy: Int64)?

    init(ticksPerSecond: Int64, pageBytes: Int64) {
        self.ticksPerSecond = ticksPerSecond
        self.pageBytes = pageBytes
    }

    /// A look at everything; answers what was used since the look before. `time` runs evenly.
    mutating func looked(
        containers: [Container], processes: [Int32: ProcessSample], machine: Machine, time: Duration
    ) -> Report? {
        let owners = Self.owners(of: processes, containers: containers)
        var ticks: [String: Int64] = [:]
        var memory: [String: (own: Int64, shared: Int64)] = [:]
        for (pid, sample) in processes {
            guard let id = owners[pid] else { continue }
            ticks[id, default: 0] += sample.ticks
            let before = memory[id] ?? (0, 0)
            // Pages that processes share (program text, libraries) count once, as the largest of them has it.
            memory[id] = (
                before.own + sample.residentPages - sample.sharedPages, max(before.shared, sample.sharedPages)
            )
        }
        defer { last = (time, ticks, machine.busyTicks) }
        guard let last, time > last.time else { return nil }
        let span = time - last.time
        func rate(_ ticks: Int64) -> Int64 {
            Int64(Double(max(0, ticks)) / Double(ticksPerSecond) / (span / .seconds(1)) * 1_000_000_000)
        }
        var pods: [ObjectKey: [String: Reading]] = [:]
        for container in containers {
            // One that began in between has no full window yet.
            guard let now = ticks[container.id], let before = last.ticks[container.id] else { continue }
            let pages = memory[container.id].map { $0.own + $0.shared } ?? 0
            pods[container.pod, default: [:]][container.name] = Reading(
                cpuNanocores: rate(now - before), memoryBytes: pages * pageBytes)
        }
        let total = Reading(cpuNanocores: rate(machine.busyTicks - last.busy), memoryBytes: machine.usedBytes)
        return Report(total: total, pods: pods, seconds: max(1, Int(span / .seconds(1))))
    }

    /// The container that each process belongs to: that of its nearest ancestor that is a container's first process.
    private static func owners(of processes: [Int32: ProcessSample], containers: [Container]) -> [Int32: String] {
        var owners: [Int32: String] = [:]
        for container in containers where container.pid > 0 { owners[container.pid] = container.id }
        let first = Set(owners.keys)
        for pid in processes.keys {
            var path: [Int32] = []
            var ancestor = pid
            // A process cannot be its own ancestor, but the samples were not taken at one moment.
            while !first.contains(ancestor), path.count < 256, let parent = processes[ancestor]?.parent, parent > 0 {
                path.append(ancestor)
                ancestor = parent
            }
            guard first.contains(ancestor), let owner = owners[ancestor] else { continue }
            for each in path { owners[each] = owner }
        }
        return owners
    }
}
