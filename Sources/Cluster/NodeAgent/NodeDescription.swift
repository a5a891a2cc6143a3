// What a node says of itself: size, system, addresses and health.

import Formats
import Glibc
import Objects

/// What the machine has; neither changes while it runs.
enum NodeSize {
    static let processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    static let memoryBytes: Int64 = {
        let fields = NodeDescription.fields(of: Files.text("/proc/meminfo") ?? "", separator: ":")
        return NodeDescription.bytes(fields["MemTotal"]) ?? 0
    }()
}

/// The facts of a Node's status, read from the machine.
struct NodeDescription: Sendable, Hashable {
    /// Less free memory than this is pressure (the kubelet's `memory.available` threshold).
    static let leastFreeMemoryBytes: Int64 = 100 << 20
    /// A smaller part of free disk than this is pressure (`nodefs.available`).
    static let leastFreeDiskPercent = 10
    /// A smaller part of free process numbers than this is pressure (`pid.available`).
    static let leastFreeProcessesPercent = 5

    let configuration: NodeIdentity
    let processors: Int
    let memoryBytes: Int64
    let diskBytes: Int64
    let isShortOfMemory: Bool
    let isShortOfDisk: Bool
    let isShortOfProcesses: Bool
    let osImage: String
    let kernelVersion: String
    let machineID: String
    let bootID: String

    /// The part of the configuration that the Node shows.
    struct NodeIdentity: Sendable, Hashable {
        var name: String
        var address: String
        var version: String
        var maximumPods: Int
    }

    init(_ configuration: NodeConfiguration) {
        self.configuration = NodeIdentity(
            name: configuration.nodeName, address: configuration.nodeAddress,
            version: configuration.kubernetesVersion, maximumPods: configuration.maximumPods)
        processors = NodeSize.processors
        let memory = Self.fields(of: Files.text("/proc/meminfo") ?? "", separator: ":")
        memoryBytes = NodeSize.memoryBytes
        isShortOfMemory = (Self.bytes(memory["MemAvailable"]) ?? .max) < Self.leastFreeMemoryBytes
        var disk = statvfs()
        let hasDisk = statvfs(configuration.directory, &disk) == 0 && disk.f_blocks > 0
        diskBytes = hasDisk ? Int64(clamping: UInt64(disk.f_blocks) * UInt64(disk.f_frsize)) : 0
        isShortOfDisk = hasDisk && disk.f_bavail * 100 / disk.f_blocks < Self.leastFreeDiskPercent
        isShortOfProcesses = Self.isShort(
            ofProcesses: Self.line("/proc/loadavg"),
            limits: ["pid_max", "threads-max"].map { Self.line("/proc/sys/kernel/\($0)") })
        osImage = Self.fields(of: Files.text("/etc/os-release") ?? "", separator: "=")["PRETTY_NAME"] ?? "Linux"
        kernelVersion = Self.line("/proc/sys/kernel/osrelease")
        machineID = Self.line("/etc/machine-id")
        bootID = Self.line("/proc/sys/kernel/random/boot_id")
    }

    static var architecture: String {
        #if arch(x86_64)
        "amd64"
        #elseif arch(arm64)
        "arm64"
        #else
        "unknown"
        #endif
    }

    var labels: [String: String] {
        [
            "kubernetes.io/hostname": configuration.name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": Self.architecture, "node-role.kubernetes.io/control-plane": "",
        ]
    }

    /// The status; conditions keep the time of their last change from the Node as it was.
    func status(over old: Object, at now: Timestamp) -> JSON {
        let memory = "\(memoryBytes / 1024)Ki"
        let allocatable = "\(max(0, memoryBytes - Self.leastFreeMemoryBytes) / 1024)Ki"
        var capacity: JSON = ["cpu": .string(String(processors)), "memory": .string(memory)]
        capacity["ephemeral-storage"] = .string("\(diskBytes / 1024)Ki")
        capacity["pods"] = .string(String(configuration.maximumPods))
        var rest = capacity
        rest["memory"] = .string(allocatable)
        rest["ephemeral-storage"] = .string(String(diskBytes / 10 * 9))
        return [
            "capacity": capacity, "allocatable": rest,
            "addresses": [
                ["type": "InternalIP", "address": .string(configuration.address)],
                ["type": "Hostname", "address": .string(configuration.name)],
            ],
            "conditions": .array(conditions(over: old, at: now)),
            "nodeInfo": [
                "machineID": .string(machineID), "systemUUID": .string(machineID), "bootID": .string(bootID),
                "kernelVersion": .string(kernelVersion), "osImage": .string(osImage), "operatingSystem": "linux",
                "architecture": .string(Self.architecture), "containerRuntimeVersion": "process://1.0",
                "kubeletVersion": .string(configuration.version), "kubeProxyVersion": .string(configuration.version),
            ],
        ]
    }

    private func conditions(over old: Object, at now: Timestamp) -> [JSON] {
        let facts: [(type: String, isTrue: Bool, reason: String, message: String)] = [
            (
                "MemoryPressure", isShortOfMemory,
                isShortOfMemory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                "kubelet has \(isShortOfMemory ? "insufficient" : "sufficient") memory available"
            ),
            (
                "DiskPressure", isShortOfDisk, isShortOfDisk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                "kubelet has \(isShortOfDisk ? "" : "no ")disk pressure"
            ),
            (
                "PIDPressure", isShortOfProcesses,
                isShortOfProcesses ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
                "kubelet has \(isShortOfProcesses ? "in" : "")sufficient PID available"
            ),
            ("Ready", true, "KubeletReady", "kubelet is posting ready status"),
        ]
        return facts.map { fact in
            let status = fact.isTrue ? "True" : "False"
            let before = old.condition(fact.type)
            let changed = before?["status"]?.string == status ? before?["lastTransitionTime"]?.string : nil
            return [
                "type": .string(fact.type), "status": .string(status), "reason": .string(fact.reason),
                "message": .string(fact.message), "lastHeartbeatTime": .string(now.rfc3339),
                "lastTransitionTime": .string(changed ?? now.rfc3339),
            ]
        }
    }

    // MARK: Reading

    /// `loadavg` is `0.20 0.18 0.12 1/80 11206`: the fourth says how many threads run of how many there are
    /// (proc_loadavg(5)).
    static func isShort(ofProcesses loadavg: String, limits: [String]) -> Bool {
        let words = loadavg.split(separator: " ")
        guard words.count > 3, let there = words[3].split(separator: "/").last.flatMap({ Int($0) }),
            let most = limits.compactMap({ Int($0) }).min(), most > 0
        else { return false }
        return (most - there) * 100 / most < leastFreeProcessesPercent
    }

    private static func line(_ path: String) -> String {
        String((Files.text(path) ?? "").prefix { $0 != "\n" })
    }

    /// `NAME<separator>value` lines, without quotes and spaces around the values.
    static func fields(of text: String, separator: Character) -> [String: String] {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let at = line.firstIndex(of: separator) else { continue }
            var value = line[line.index(after: at)...]
            while let first = value.first, first == " " || first == "\"" { value.removeFirst() }
            while let last = value.last, last == " " || last == "\"" { value.removeLast() }
            fields[String(line[..<at])] = String(value)
        }
        return fields
    }

    /// `16336384 kB` as bytes.
    static func bytes(_ text: String?) -> Int64? {
        text?.split(separator: " ").first.flatMap { Int64($0) }.map { $0 * 1024 }
    }
}
