// Limits and use of containers through the kernel's control groups, version 1 and 2.

import Glibc
import Objects

/// The hierarchies of this machine that can be written, and a place of our own in each.
///
/// A container's group is `<mount>/<name>/<pod>/<container>`. Version 1 has a mount per controller
/// (kernel `Documentation/admin-guide/cgroup-v1`), version 2 one for all (`cgroup-v2.rst`).
struct ControlGroups: Sendable, Hashable {
    static let periodMicroseconds = 100_000
    /// How often the removal of a group is tried whose last process is just going.
    static let removalAttempts = 50

    let isUnified: Bool
    /// By controller; in version 2 all have the same.
    let mounts: [String: String]
    /// The directory that holds everything of ours.
    let name: String

    private static let controllers = ["cpu", "cpuacct", "memory", "pids"]

    /// What the mounts of this machine offer; nil when no memory controller can be written.
    static func found(mountInfo: String, name: String) -> ControlGroups? {
        var mounts: [String: String] = [:]
        var unified: String?
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 3 < fields.count else { continue }
            let point = String(fields[4])
            switch fields[dash + 1] {
            case "cgroup":
                for option in fields[dash + 3].split(separator: ",") where controllers.contains(String(option)) {
                    if mounts[String(option)] == nil { mounts[String(option)] = point }
                }
            case "cgroup2": unified = unified ?? point
            default: break
            }
        }
        if mounts["memory"] != nil { return writable(ControlGroups(isUnified: false, mounts: mounts, name: name)) }
        guard let unified else { return nil }
        let offered = text(unified + "/cgroup.controllers").split { $0 == " " || $0 == "\n" }.map(String.init)
        guard offered.contains("memory"), offered.contains("cpu") else { return nil }
        let all = Dictionary(uniqueKeysWithValues: controllers.map { ($0, unified) })
        return writable(ControlGroups(isUnified: true, mounts: all, name: name))
    }

    private static func writable(_ groups: ControlGroups) -> ControlGroups? {
        do throws(Problem) {
            for place in groups.places { try groups.make(place + "/" + groups.name) }
            return groups
        } catch {
            return nil
        }
    }

    /// The mount points, each once.
    private var places: [String] { Array(Set(mounts.values)).sorted() }

    private func path(_ controller: String, _ pod: String, _ container: String) -> String? {
        mounts[controller].map { "\($0)/\(name)/\(pod)/\(container)" }
    }

    // MARK: Life

    /// Makes a container's groups with its limits; the files that a process enters them by.
    func make(pod: String, container: String, _ resources: ContainerConfig.Resources) throws(Problem) -> [String] {
        for place in places {
            try make("\(place)/\(name)/\(pod)")
            try make("\(place)/\(name)/\(pod)/\(container)")
        }
        try set(settings(resources), pod: pod, container: container)
        // A container is killed as a whole, as upstream's kubelet asks for; version 1 kills one process.
        if isUnified, let path = path("memory", pod, container) { try write("1", to: path + "/memory.oom.group") }
        return entries(pod: pod, container: container)
    }

    /// Keeps a running container to other limits.
    ///
    /// A memory limit below what is in use is refused: version 2 would kill the container for it.
    func update(
        pod: String, container: String, from old: ContainerConfig.Resources, to new: ContainerConfig.Resources
    ) throws(Problem) {
        if let limit = new.memoryLimitBytes, limit != old.memoryLimitBytes,
            let use = use(pod: pod, container: container),
            use.workingSetBytes > UInt64(max(0, limit))
        {
            throw Problem(
                .conflict, "attempting to set memory limit (\(limit)) below current usage (\(use.workingSetBytes))")
        }
        var settings: [Setting] = []
        if new.memoryLimitBytes == nil, old.memoryLimitBytes != nil {
            settings.append(("memory", isUnified ? "memory.max" : "memory.limit_in_bytes", isUnified ? "max" : "-1"))
        }
        if new.cpuLimitMillicores == nil, old.cpuLimitMillicores != nil {
            settings.append(
                isUnified ? ("cpu", "cpu.max", "max \(Self.periodMicroseconds)") : ("cpu", "cpu.cfs_quota_us", "-1"))
        }
        try set(settings + self.settings(new), pod: pod, container: container)
    }

    private func set(_ settings: [Setting], pod: String, container: String) throws(Problem) {
        for (controller, file, value) in settings {
            guard let path = path(controller, pod, container) else {
                throw Problem(.invalid, "this machine has no \(controller) control group, so the limit cannot be kept")
            }
            try write(value, to: path + "/" + file)
        }
    }

    /// The files that a process enters a container's groups by.
    func entries(pod: String, container: String) -> [String] {
        places.map { "\($0)/\(name)/\(pod)/\(container)/cgroup.procs" }
    }

    /// A controller, its file and what is written there.
    private typealias Setting = (String, String, String)

    private func settings(_ resources: ContainerConfig.Resources) -> [Setting] {
        var settings: [Setting] = []
        if let limit = resources.memoryLimitBytes {
            settings.append(("memory", isUnified ? "memory.max" : "memory.limit_in_bytes", String(limit)))
        }
        if let limit = resources.cpuLimitMillicores {
            // The kernel takes no less than a millisecond.
            let quota = max(1000, limit * Self.periodMicroseconds / 1000)
            if isUnified {
                settings.append(("cpu", "cpu.max", "\(quota) \(Self.periodMicroseconds)"))
            } else {
                settings.append(("cpu", "cpu.cfs_period_us", String(Self.periodMicroseconds)))
                settings.append(("cpu", "cpu.cfs_quota_us", String(quota)))
            }
        }
        if let request = resources.cpuRequestMillicores, mounts["cpu"] != nil {
            let shares = min(262_144, max(2, request * 1024 / 1000))
            // As every runtime turns shares into weights (1 to 10000).
            settings.append(
                isUnified
                    ? ("cpu", "cpu.weight", String(1 + (shares - 2) * 9999 / 262_142))
                    : ("cpu", "cpu.shares", String(shares)))
        }
        return settings
    }

    private func make(_ path: String) throws(Problem) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw Problem(.internalError, "control group \(path): \(systemMessage(errno))")
        }
        guard isUnified, let slash = path.lastIndex(of: "/") else { return }
        // A controller works in a group only when its parent says so.
        try write("+cpu +memory +pids", to: path[..<slash] + "/cgroup.subtree_control")
    }

    private func write(_ value: String, to path: String) throws(Problem) {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw Problem(.internalError, "\(path): \(systemMessage(errno))") }
        defer { close(file) }
        guard Descriptor.write(file, Array(value.utf8)) else {
            throw Problem(.internalError, "\(path) = \(value): \(systemMessage(errno))")
        }
    }

    /// Removes a container's groups; what should still be in them is killed.
    func remove(pod: String, container: String) {
        for place in places { Self.remove("\(place)/\(name)/\(pod)/\(container)") }
    }

    func remove(pod: String) {
        for place in places {
            let path = "\(place)/\(name)/\(pod)"
            for container in Self.groups(in: path) { Self.remove(path + "/" + container) }
            Self.remove(path)
        }
    }

    func removeAll() {
        for place in places {
            for pod in Self.groups(in: place + "/" + name) { remove(pod: pod) }
            Self.remove(place + "/" + name)
        }
    }

    private static func groups(in path: String) -> [String] {
        Files.names(in: path).filter { Files.isDirectory(path + "/" + $0) }
    }

    private static func remove(_ path: String) {
        for _ in 0..<removalAttempts {
            if rmdir(path) == 0 || errno == ENOENT { return }
            for pid in text(path + "/cgroup.procs").split(separator: "\n").compactMap({ Int32($0) }) where pid > 1 {
                kill(pid, SIGKILL)
            }
            usleep(10_000)
        }
    }

    // MARK: What happened in it

    /// Whether the kernel has killed a process of the container for want of memory.
    func hasRunOutOfMemory(pod: String, container: String) -> Bool {
        guard let path = path("memory", pod, container) else { return false }
        let text = Self.text(path + (isUnified ? "/memory.events" : "/memory.oom_control"))
        return (Self.number("oom_kill", in: text) ?? 0) > 0
    }

    /// Nanoseconds of processor time so far, and bytes in use that the kernel could not just drop.
    func use(pod: String, container: String) -> (cpuNanoseconds: UInt64, workingSetBytes: UInt64)? {
        guard let memory = path("memory", pod, container) else { return nil }
        let cpu: UInt64?
        if isUnified {
            cpu = Self.number("usage_usec", in: Self.text(memory + "/cpu.stat")).map { $0 * 1000 }
        } else {
            cpu = path("cpuacct", pod, container).flatMap {
                UInt64(Self.text($0 + "/cpuacct.usage").prefix(while: \.isNumber))
            }
        }
        let current = Self.text(memory + (isUnified ? "/memory.current" : "/memory.usage_in_bytes")).prefix(
            while: \.isNumber)
        guard let cpu, let used = UInt64(current) else { return nil }
        let statistics = Self.text(memory + "/memory.stat")
        let idle = Self.number(isUnified ? "inactive_file" : "total_inactive_file", in: statistics) ?? 0
        return (cpu, used > idle ? used - idle : 0)
    }

    private static func text(_ path: String) -> String { String(decoding: Files.read(path) ?? [], as: UTF8.self) }

    private static func number(_ name: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == name { return UInt64(fields[1]) }
        }
        return nil
    }
}
