// Unsafe: a directory entry's name is read within the closure that lends it.
// Real containers of this machine's files: needs root and the built `mangrove` beside the test runner.

import ContainerRuntimes
import Glibc
import Logging
import Objects
import Testing

/// Whether this process may make namespaces; root in a confined container may not.
private let canMakeNamespaces: Bool = {
    let can = getuid() == 0 && system("unshare --mount --net --pid --ipc --uts --fork true 2> /dev/null") == 0
    if !can { print("ProcessRuntimeTests are skipped: this user may not make namespaces here") }
    return can
}()

@Suite(.enabled(if: canMakeNamespaces), .serialized) struct ProcessRuntimeTests {
    private let root = "/var/tmp/mangrove-runtime-tests-\(getpid())-\(UInt32.random(in: 0 ... .max))"

    private func runtime() throws -> ProcessRuntime {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try ProcessRuntime(directory: root + "/runtime", executable: program(), logger: logger)
    }

    /// `mangrove` beside the test runner.
    private func program() -> String {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let runner = String(decoding: path.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return runner.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/mangrove"
    }

    private func sandbox(_ id: String) -> SandboxConfig {
        SandboxConfig(
            id: id, namespace: "default", name: "pod-\(id)", hostname: "pod-\(id)", logDirectory: root + "/logs/\(id)",
            resolvConf: "nameserver 10.96.0.10\n")
    }

    private func shell(_ script: String, mounts: [ContainerConfig.Mount] = []) -> ContainerConfig {
        ContainerConfig(
            name: "main", image: "host", command: ["sh", "-c", script], environment: ["GREETING": "hello"],
            mounts: mounts, logPath: "main/0.log")
    }

    /// The container's final state.
    private func exit(of id: String, _ runtime: ProcessRuntime) async throws -> ContainerStatus {
        while true {
            if let status = try await runtime.containers().first(where: { $0.id == id }), status.state == .exited {
                return status
            }
            for event in await runtime.nextEvents() {
                if case .containerExited(let status) = event, status.id == id { return status }
            }
        }
    }

    /// What the container wrote, without times.
    private func log(_ status: ContainerStatus) -> [String] {
        text(status.logPath).split(separator: "\n").map { line in
            line.split(separator: " ", maxSplits: 1).last.map(String.init) ?? ""
        }
    }

    private func text(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    @Test func whatIsBelowAVolumeIsMadeThereAndNeverElsewhere() async throws {
        let runtime = try runtime()
        _ = system(
            "mkdir -p \(root)/volume/there \(root)/memory /tmp/mangrove-outside; ln -sfn /tmp \(root)/volume/out")
        var pod = sandbox("below")
        pod.memoryVolumes = [.init(path: root + "/memory", sizeBytes: 1 << 20)]
        _ = try await runtime.runSandbox(pod)
        func start(_ mount: ContainerConfig.Mount, _ script: String) async throws -> ContainerStatus {
            let id = try await runtime.createContainer(sandbox: "below", shell(script, mounts: [mount]))
            try? await runtime.startContainer(id)
            let end = try await exit(of: id, runtime)
            return end
        }
        let disk = ContainerConfig.Mount(hostPath: root + "/volume", below: "a/b", containerPath: "/data")
        #expect(try await start(disk, "echo x > /data/file").exitCode == 0)
        #expect(text(root + "/volume/a/b/file") == "x\n")
        let memory = ContainerConfig.Mount(hostPath: root + "/memory", below: "in/side", containerPath: "/data")
        #expect(
            try await start(memory, "df --output=size /data | tail -1 | grep -w 1024 && touch /data/y").exitCode == 0)
        #expect(!exists(root + "/memory/in"), "only the sandbox sees it")
        let escape = ContainerConfig.Mount(
            hostPath: root + "/volume", below: "out/mangrove-outside", containerPath: "/data")
        let refused = try await start(escape, "true")
        #expect(refused.exitCode == 128 && refused.reason == "StartError", "\(refused)")
        try await runtime.removeEverything()
        _ = system("rm -r \(root)/volume \(root)/memory /tmp/mangrove-outside")
        expectNothingLeft()
    }

    @Test func limitsOfARunningContainerChange() async throws {
        let runtime = try runtime()
        guard runtime.keepsLimits else { return print("no control groups can be written here: limits are not tried") }
        _ = try await runtime.runSandbox(sandbox("limits"))
        var config = shell("exec sleep 1000")
        config.resources = .init(cpuLimitMillicores: 500, memoryLimitBytes: 64 << 20)
        let id = try await runtime.createContainer(sandbox: "limits", config)
        try await runtime.startContainer(id)
        try await runtime.updateContainer(id, .init(cpuLimitMillicores: 250, memoryLimitBytes: 128 << 20))
        await #expect(throws: Problem.self) { try await runtime.updateContainer(id, .init(memoryLimitBytes: 4096)) }
        let group = (try await runtime.containers().first).map { text("/proc/\($0.pid)/cgroup") } ?? ""
        let path = group.split(separator: "\n").first { $0.contains(":memory:") }?.split(separator: ":").last ?? ""
        if !path.isEmpty {
            #expect(text("/sys/fs/cgroup/memory\(path)/memory.limit_in_bytes") == "\(128 << 20)\n")
            #expect(text("/sys/fs/cgroup/cpu\(path)/cpu.cfs_quota_us") == "25000\n")
        }
        try await runtime.removeEverything()
        expectNothingLeft()
    }

    /// Nothing is left: no directory, no mount, no process with this directory in its command line.
    private func expectNothingLeft() {
        #expect(!exists(root + "/runtime"))
        #expect(!text("/proc/self/mountinfo").contains(root))
        let processes = names(in: "/proc").filter { $0.allSatisfy(\.isNumber) }
        #expect(processes.filter { text("/proc/\($0)/cmdline").contains(root) } == [])
        system("rm -rf \(root)")
    }

    @Test(.timeLimit(.minutes(10))) func aProgramRunsInItsOwnWorld() async throws {
        let runtime = try runtime()
        try await runtime.adopt()
        let status = try await runtime.runSandbox(sandbox("a"))
        #expect(status.networkNamespace == "/proc/\(status.pid)/ns/net")
        mkdir(root + "/data", 0o755)
        let script = """
            echo $GREETING; hostname; cat /etc/resolv.conf; echo bad >&2; touch /root/mangrove-test-file; echo $$
            ls -A \(root)/runtime | wc -l; cat /proc/1/comm; touch /data/x || echo read-only; pwd; exit 7
            """
        let id = try await runtime.createContainer(
            sandbox: "a",
            shell(
                script, mounts: [.init(hostPath: root + "/data", containerPath: "/data", readOnly: true)]))
        try await runtime.startContainer(id)
        let end = try await exit(of: id, runtime)
        #expect(end.exitCode == 7)
        #expect(end.reason == "Error")
        let lines = log(end)
        #expect(
            lines.filter { $0.hasPrefix("stdout F ") }.map { $0.dropFirst(9) } == [
                "hello", "pod-a", "nameserver 10.96.0.10", "2", "0", "pod-init", "read-only", "/",
            ])
        #expect(lines.contains("stderr F bad"))
        #expect(!exists("/root/mangrove-test-file"))
        try await runtime.removeSandbox("a")
        #expect(!text("/proc/\(status.pid)/cmdline").contains(root))
        try await runtime.removeEverything()
        expectNothingLeft()
    }

    @Test(.timeLimit(.minutes(10))) func programsDieByTermAndStubbornOnesByKill() async throws {
        let runtime = try runtime()
        _ = try await runtime.runSandbox(sandbox("b"))
        let gentle = try await runtime.createContainer(sandbox: "b", shell("exec sleep 1000"))
        let stubborn = try await runtime.createContainer(
            sandbox: "b", shell("trap '' TERM; echo ready; while :; do sleep 1000; done"))
        try await runtime.startContainer(gentle)
        try await runtime.startContainer(stubborn)
        try await runtime.stopContainer(gentle, timeout: .seconds(30))
        try await runtime.stopContainer(stubborn, timeout: .milliseconds(300))
        let codes = try await runtime.containers().map(\.exitCode)
        #expect(codes == [143, 137])
        try await runtime.removeContainer(gentle)
        #expect(try await runtime.containers().map(\.id) == [stubborn])
        try await runtime.removeEverything()
        expectNothingLeft()
    }

    @Test(.timeLimit(.minutes(10))) func commandsRunInsideARunningContainer() async throws {
        let runtime = try runtime()
        _ = try await runtime.runSandbox(sandbox("c"))
        let id = try await runtime.createContainer(sandbox: "c", shell("echo inside > /tmp/mark; exec sleep 1000"))
        try await runtime.startContainer(id)
        let script = "until [ -s /tmp/mark ]; do :; done; cat /tmp/mark; echo no >&2; hostname; exit 3"
        let result = try await runtime.execute(id, command: ["sh", "-c", script], timeout: .seconds(20))
        #expect(result.exitCode == 3)
        #expect(String(decoding: result.standardOutput, as: UTF8.self) == "inside\npod-c\n")
        #expect(String(decoding: result.standardError, as: UTF8.self) == "no\n")
        let slow = await #expect(throws: Problem.self) {
            try await runtime.execute(id, command: ["sleep", "1000"], timeout: .milliseconds(100))
        }
        #expect(slow?.reason == .timeout)
        let missing = await #expect(throws: Problem.self) {
            try await runtime.execute(id, command: ["no-such-program"], timeout: .seconds(20))
        }
        #expect(missing?.message.contains("executable file not found in $PATH") == true)
        try await runtime.removeEverything()
        expectNothingLeft()
    }

    @Test(.timeLimit(.minutes(10))) func whatCannotStartSaysWhy() async throws {
        let runtime = try runtime()
        _ = try await runtime.runSandbox(sandbox("d"))
        let config = ContainerConfig(name: "main", image: "host", command: ["/no/such"], logPath: "main/0.log")
        let id = try await runtime.createContainer(sandbox: "d", config)
        let problem = await #expect(throws: Problem.self) { try await runtime.startContainer(id) }
        #expect(problem?.message == "exec: \"/no/such\": No such file or directory")
        let status = try await runtime.containers().first
        #expect(status?.exitCode == 128 && status?.reason == "StartError")
        let image = ContainerConfig(name: "x", image: "nginx", command: ["true"], logPath: "x/0.log")
        let refusal = await #expect(throws: Problem.self) {
            try await runtime.createContainer(sandbox: "d", image)
        }
        #expect(refusal?.message.contains("containerd") == true)
        try await runtime.removeEverything()
        expectNothingLeft()
    }

    @Test(.timeLimit(.minutes(10))) func podsOutliveTheRuntimeAndAreAdopted() async throws {
        let first = try runtime()
        let before = try await first.runSandbox(sandbox("e"))
        let short = try await first.createContainer(sandbox: "e", shell("exit 5"))
        let long = try await first.createContainer(sandbox: "e", shell("exec sleep 1000"))
        try await first.startContainer(long)
        try await first.startContainer(short)
        _ = try await exit(of: short, first)
        await first.disconnect()

        let second = try runtime()
        try await second.adopt()
        #expect(try await second.sandboxes() == [before])
        let statuses = try await second.containers()
        #expect(statuses.first { $0.id == short }?.exitCode == 5)
        #expect(statuses.first { $0.id == long }?.state == .running)

        // When the holder dies its containers die with it, and the runtime says so.
        kill(before.pid, SIGKILL)
        #expect(try await exit(of: long, second).reason == "ContainerStatusUnknown")
        #expect(try await second.sandboxes().first?.state == .notReady)
        let third = try runtime()
        try await third.adopt()
        #expect(try await third.containers().map(\.exitCode).sorted() == [5, 137])
        try await third.removeEverything()
        expectNothingLeft()
    }
}
