// Containers of image `host`: programs of this machine on a copy-on-write view of its files, one shim per pod.

import CLinux
import Formats
import Glibc
import Logging
import NIO
import Objects
import Synchronization

/// The runtime for `image: host`.
///
/// All it knows is in its directory and in the shims; `adopt()` finds them again after a restart. It holds a connection
/// to every shim, which tells it of every change, so listing is answered from memory. Needs root and Linux 5.12.
package final class ProcessRuntime: ContainerRuntime {
    /// The one image that this runtime runs.
    package static let image = "host"

    struct Pod: Sendable {
        var status: SandboxStatus
        var link: ShimLink?
        var containers: [String: ContainerStatus] = [:]
        var isBeingRemoved = false
    }

    let directory: String
    private let executable: String
    private let hidden: [String]
    let groups: ControlGroups?
    /// Whether limits of containers are kept on this machine.
    package var keepsLimits: Bool { groups != nil }
    let logger: Logger
    private let makeID: @Sendable () -> String
    let pods = Mutex<[String: Pod]>([:])
    private let events = EventQueue()

    /// `directory` is the runtime's own; `hidden` are further directories that containers must not see. `executable` is
    /// the program whose main file calls `ShimProgram` first; nil means this one.
    package init(
        directory: String, executable: String? = nil, hidden: [String] = [], logger: Logger,
        makeID: (@Sendable () -> String)? = nil
    ) throws(Problem) {
        guard getuid() == 0 else {
            throw Problem(.forbidden, "pods with image host need root: start mangrove as root")
        }
        let fileSystems = String(decoding: Files.read("/proc/filesystems") ?? [], as: UTF8.self)
        guard fileSystems.contains("overlay") else {
            throw Problem(
                .notImplemented,
                "pods with image host need the overlay file system, which this kernel does not have (modprobe overlay); "
                    + "the API, the catalogue and Nacos work without")
        }
        guard directory.hasPrefix("/"), !directory.contains(where: { ":,\\".contains($0) }) else {
            throw Problem(.invalid, "\(directory): an absolute path without colon, comma and backslash is needed")
        }
        guard let program = executable ?? Files.resolved(link: "/proc/self/exe") else {
            throw Problem(.internalError, "/proc/self/exe cannot be read: is /proc mounted?")
        }
        self.directory = directory
        self.executable = program
        self.hidden = [directory] + hidden
        self.logger = logger
        self.makeID = makeID ?? { Self.randomID() }
        let mountInfo = String(decoding: Files.read("/proc/self/mountinfo") ?? [], as: UTF8.self)
        groups = ControlGroups.found(mountInfo: mountInfo, name: Self.groupName(directory))
        if groups == nil {
            logger.warning(
                "no control groups can be written here: cpu and memory limits of pods are not kept; everything else works"
            )
        }
        try Files.makeDirectory(directory + "/pods", mode: 0o755)
        chmod(directory, 0o700)
    }

    // MARK: Sandboxes

    package func runSandbox(_ config: SandboxConfig) async throws(Problem) -> SandboxStatus {
        guard !config.id.isEmpty, !config.id.hasPrefix("."), config.id.allSatisfy({ $0.isPathSafe }) else {
            throw Problem(.invalid, "\"\(config.id)\" cannot name a sandbox")
        }
        let known = pods.withLock { $0[config.id] }
        if let known {
            guard known.status.state == .ready else {
                throw Problem(.alreadyExists, "sandbox \(config.id) has stopped and must be removed first")
            }
            return known.status
        }
        let home = PodDirectory(path: podPath(config.id))
        try await clear(home)
        do throws(Problem) {
            return try await start(config, in: home)
        } catch {
            let log = String(decoding: (Files.read(home.logFile) ?? []).suffix(1024), as: UTF8.self)
            let pod = pods.withLock { $0.removeValue(forKey: config.id) }
            await pod?.link?.close()
            try await clear(home)
            throw Problem(error.reason, "sandbox of pod \(config.namespace)/\(config.name): \(error.message) \(log)")
        }
    }

    private func start(_ config: SandboxConfig, in home: PodDirectory) async throws(Problem) -> SandboxStatus {
        try Files.makeDirectory(home.etc(""), mode: 0o755)
        try Files.makeDirectory(home.statuses)
        chmod(home.path, 0o700)
        try Files.makeDirectory(config.logDirectory)
        try Files.write(home.etc("hostname"), Array((config.hostname + "\n").utf8), mode: 0o644)
        if let text = config.resolvConf { try Files.write(home.etc("resolv.conf"), Array(text.utf8), mode: 0o644) }
        if let text = config.hosts { try Files.write(home.etc("hosts"), Array(text.utf8), mode: 0o644) }
        let record: JSON = [
            "config": config.json, "createdAt": .integer(SystemTime.wall),
            "hidden": .array(hidden.map { .string($0) }), "groups": groups.map { .string($0.name) } ?? .null,
        ]
        try Files.write(home.configFile, record.bytes)

        var ours: Int32 = -1
        var theirs: Int32 = -1
        try checked(clinux_socket_pair(&ours, &theirs), "socketpair")
        let pid = spawnShim(home, socket: theirs)
        close(theirs)
        if pid < 0 { close(ours) }
        try checked(pid, "\(executable) \(ShimProgram.command)")
        return try await connect(config.id, socket: ours, pid: pid, record)
    }

    private func spawnShim(_ home: PodDirectory, socket: Int32) -> Int32 {
        let log = Glibc.open(home.logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { return -errno }
        defer { close(log) }
        let spec: OpaquePointer = clinux_spec_new()
        defer { clinux_spec_free(spec) }
        for argument in [executable, ShimProgram.command, home.path] { clinux_spec_argument(spec, argument) }
        clinux_spec_environment(spec, "PATH=\(ContainerLauncher.defaultPath)")
        return clinux_spawn_detached(spec, socket, log)
    }

    /// Makes a shim's pod known, with all its containers.
    func connect(
        _ id: String, socket: Int32, pid: Int32, _ record: JSON
    ) async throws(Problem) -> SandboxStatus {
        var status = try Self.status(record)
        status.state = .ready
        status.pid = pid
        if record["config", "hostNetwork"]?.bool != true { status.networkNamespace = "/proc/\(pid)/ns/net" }
        let fresh = Pod(status: status)
        pods.withLock { $0[id] = fresh }
        let link = try await ShimLink.open(
            socket: socket, changed: { [weak self] in self?.changed($0) }, closed: { [weak self] in self?.closed(id) })
        pods.withLock { $0[id]?.link = link }
        let picture = try await link.ask(.list)
        for container in picture["containers"]?.array ?? [] {
            let status = try ContainerStatus(json: container)
            pods.withLock { pods in
                // What the shim told unasked is newer.
                if pods[id]?.containers[status.id] == nil { pods[id]?.containers[status.id] = status }
            }
        }
        let isStopped = picture["stopped"]?.bool == true
        return pods.withLock { pods in
            if isStopped { pods[id]?.status.state = .notReady }
            return pods[id]?.status ?? status
        }
    }

    package func stopSandbox(_ id: String) async throws(Problem) {
        guard let link = pods.withLock({ $0[id]?.link }) else { return }
        try await link.ask(.stopAll)
        pods.withLock { $0[id]?.status.state = .notReady }
    }

    package func removeSandbox(_ id: String) async throws(Problem) {
        let pod = pods.withLock { pods in
            pods[id]?.isBeingRemoved = true
            return pods[id]
        }
        guard let pod else { return }
        if let link = pod.link {
            do throws(Problem) {
                try await link.ask(.end)
                await link.waitUntilClosed()
            } catch  where error.reason == .serviceUnavailable {
                logger.debug("the shim was gone already", metadata: ["sandbox": "\(id)"])
            }
        }
        try await clear(PodDirectory(path: podPath(id)))
        groups?.remove(pod: id)
        pods.withLock { $0[id] = nil }
    }

    package func sandboxes() async throws(Problem) -> [SandboxStatus] {
        pods.withLock { pods in pods.keys.sorted().compactMap { pods[$0]?.status } }
    }

    // MARK: Containers

    package func createContainer(sandbox: String, _ config: ContainerConfig) async throws(Problem) -> String {
        guard config.image == Self.image else {
            throw Problem(
                .notImplemented, "image \(config.image) needs containerd; this runtime runs image \(Self.image) only")
        }
        let pod = pods.withLock { $0[sandbox] }
        guard let link = pod?.link, pod?.status.state == .ready else {
            throw Problem(.notFound, "sandbox \(sandbox) is not ready")
        }
        let id = makeID()
        try await link.ask(.create(id: id, config))
        return id
    }

    package func startContainer(_ id: String) async throws(Problem) {
        guard let link = link(ofContainer: id) else { throw Problem(.notFound, "container \(id) does not exist") }
        try await link.ask(.start(id: id))
    }

    package func stopContainer(_ id: String, timeout: Duration) async throws(Problem) {
        guard let link = link(ofContainer: id) else { return }
        let milliseconds = max(0, timeout.wholeMilliseconds)
        try await link.ask(
            .stop(id: id, timeoutMilliseconds: milliseconds), extra: .milliseconds(Int64(milliseconds)))
    }

    package func removeContainer(_ id: String) async throws(Problem) {
        if let link = link(ofContainer: id) { try await link.ask(.remove(id: id)) }
        pods.withLock { pods in
            for sandbox in pods.keys { pods[sandbox]?.containers[id] = nil }
        }
    }

    package func updateContainer(_ id: String, _ resources: ContainerConfig.Resources) async throws(Problem) {
        guard let link = link(ofContainer: id) else { throw Problem(.notFound, "container \(id) does not exist") }
        try await link.ask(.update(id: id, resources))
    }

    package func containers() async throws(Problem) -> [ContainerStatus] {
        pods.withLock { pods in
            pods.values.flatMap(\.containers.values).sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        }
    }

    package func execute(_ id: String, command: [String], timeout: Duration) async throws(Problem) -> ExecResult {
        guard let link = link(ofContainer: id) else { throw Problem(.notFound, "container \(id) does not exist") }
        let milliseconds = max(1, timeout.wholeMilliseconds)
        let answer = try await link.ask(
            .execute(id: id, command: command, timeoutMilliseconds: milliseconds),
            extra: .milliseconds(Int64(milliseconds)))
        return ExecResult(json: answer)
    }

    package func use() async -> [ContainerUse] {
        let running = pods.withLock { pods in pods.values.flatMap(\.containers.values).filter { $0.state == .running } }
        return running.map { status in
            let use = groups?.use(pod: status.sandboxID, container: status.id) ?? ProcessUse.of(initPid: status.pid)
            return ContainerUse(
                id: status.id, sandboxID: status.sandboxID, name: status.name, cpuNanoseconds: use.cpuNanoseconds,
                workingSetBytes: use.workingSetBytes)
        }
    }

    package func writtenBytes(sandbox: String) async -> [String: Int64] {
        guard let pod = pods.withLock({ $0[sandbox] }), pod.status.pid > 0 else { return [:] }
        // As the shim sees it: it may keep them in memory, which is mounted for it alone.
        let home = PodDirectory(path: "/proc/\(pod.status.pid)/root" + podPath(sandbox))
        var sums: [String: Int64] = [:]
        for status in pod.containers.values {
            await Task.yield()
            sums[status.name, default: 0] += ProcessUse.bytes(below: home.container(status.id))
        }
        return sums
    }

    package func nextEvents() async -> [RuntimeEvent] { await events.next() }

    func link(ofContainer id: String) -> ShimLink? {
        pods.withLock { pods in pods.values.first { $0.containers[id] != nil }?.link }
    }

    // MARK: What shims tell

    private func changed(_ status: ContainerStatus) {
        pods.withLock { $0[status.sandboxID]?.containers[status.id] = status }
        switch status.state {
        case .created: return
        case .running: events.add(.containerStarted(status))
        case .exited: events.add(.containerExited(status))
        }
    }

    private func closed(_ id: String) {
        let now = SystemTime.wall
        let lost = pods.withLock { pods -> [ContainerStatus]? in
            guard var pod = pods[id], !pod.isBeingRemoved else { return nil }
            let lost = pod.containers.values.filter { $0.state != .exited }.map { $0.lost(at: now) }
            for status in lost { pod.containers[status.id] = status }
            pod.link = nil
            pod.status.state = .notReady
            pod.status.pid = 0
            pod.status.networkNamespace = nil
            pods[id] = pod
            return lost
        }
        guard let lost else { return }
        logger.error("a pod's shim has died", metadata: ["sandbox": "\(id)"])
        for status in lost { events.add(.containerExited(status)) }
        events.add(.sandboxDied(id))
    }

    func podPath(_ id: String) -> String { directory + "/pods/" + id }

    static func status(_ record: JSON) throws(Problem) -> SandboxStatus {
        let config = try SandboxConfig(json: record["config"] ?? .null)
        return SandboxStatus(
            id: config.id, namespace: config.namespace, name: config.name, state: .notReady,
            createdAt: Int64(record["createdAt"]?.integer ?? 0), networkNamespace: nil, pid: 0, labels: config.labels,
            annotations: config.annotations)
    }

    /// A name for the groups of everything in this directory, so that two platforms on one machine keep apart.
    private static func groupName(_ directory: String) -> String {
        let hash = directory.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "mangrove-" + String(hash, radix: 16)
    }

    private static func randomID() -> String {
        (0..<4).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int {
        Int(clamping: components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000)
    }
}

extension Character {
    fileprivate var isPathSafe: Bool { isASCII && (isLetter || isNumber || self == "-" || self == "." || self == "_") }
}
