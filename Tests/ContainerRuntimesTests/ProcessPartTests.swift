// The small parts of the process runtime: rights, log files, control groups of a made-up machine, streamed commands.

import Formats
import Glibc
import Objects
import RemoteStreams
import Testing

@testable import ContainerRuntimes

@Suite struct ProcessPartTests {
    private func config(_ change: (inout ContainerConfig) -> Void) -> ContainerConfig {
        var config = ContainerConfig(name: "c", image: "host", command: ["true"], logPath: "c/0.log")
        change(&config)
        return config
    }

    private func bit(_ name: String) -> UInt64 { 1 << UInt64(Capabilities.names.firstIndex(of: name) ?? 63) }

    @Test func capabilitiesAreAddedAndDropped() throws {
        #expect(Capabilities.names.count == 41 && Capabilities.names[21] == "SYS_ADMIN")
        let usual = try Capabilities.kept(config { _ in })
        #expect(usual & bit("CHOWN") != 0 && usual & bit("SYS_ADMIN") == 0)
        let changed = try Capabilities.kept(
            config {
                $0.security.addedCapabilities = ["NET_ADMIN", "CAP_SYS_TIME"]
                $0.security.droppedCapabilities = ["CHOWN"]
            })
        #expect(changed == (usual | bit("NET_ADMIN") | bit("SYS_TIME")) & ~bit("CHOWN"))
        let only = try Capabilities.kept(
            config {
                $0.security.addedCapabilities = ["NET_BIND_SERVICE"]
                $0.security.droppedCapabilities = ["ALL"]
            })
        #expect(only == bit("NET_BIND_SERVICE"))
        #expect(try Capabilities.kept(config { $0.privileged = true }) == .max)
        #expect(throws: Problem.self) { try Capabilities.kept(config { $0.security.addedCapabilities = ["FLY"] }) }
    }

    @Test func whatIsWrittenOfAConfigIsRead() throws {
        let whole = config {
            $0.processes = .container("x")
            $0.hasTerminal = true
            $0.hasInput = true
            $0.inputEndsOnce = true
            $0.security.readOnlyRoot = true
            $0.security.noNewPrivileges = true
            $0.security.addedCapabilities = ["KILL"]
            $0.resources = .init(cpuLimitMillicores: 5, memoryLimitBytes: 6)
            $0.resources.cpuRequestMillicores = 7
        }
        #expect(try ContainerConfig(json: whole.json) == whole)
        let mounted = config {
            $0.mounts = [.init(hostPath: "/a", below: "b/c", containerPath: "/d", readOnly: true, followsHost: true)]
        }
        #expect(try ContainerConfig(json: mounted.json) == mounted)
        let update = ShimRequest.update(id: "x", whole.resources)
        #expect(try ShimRequest(json: update.json(number: 3)) == update)
        var sandbox = SandboxConfig(id: "u", namespace: "n", name: "p", hostname: "h", logDirectory: "/l")
        sandbox.memoryVolumes = [.init(path: "/m", sizeBytes: 4096, group: 7)]
        sandbox.kernelSettings = ["net.core.somaxconn": "9"]
        sandbox.sharesProcesses = true
        #expect(try SandboxConfig(json: sandbox.json) == sandbox)
    }

    @Test func aLogThatIsFullIsPutAside() throws {
        let directory = "/tmp/mangrove-log-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let path = directory + "/0.log"
        var log = try LogFile(path: path, sizeLimit: 10)
        for second in 0..<8 {
            log.write(Array("line \(second)\n".utf8), at: Timestamp(secondsSinceEpoch: Int64(second)))
        }
        log.close()
        #expect(String(decoding: Files.read(path) ?? [], as: UTF8.self) == "line 7\n")
        let names = Files.names(in: directory)
        #expect(names.count == LogFile.fileLimit, "the current file and the few before it")
        #expect(names.first == "0.log")
        for name in names { unlink(directory + "/" + name) }
        rmdir(directory)
    }

    @Test func controlGroupsAreFoundWhereTheyCanBeWritten() {
        let line = "30 20 0:1 / /nowhere/memory rw - cgroup cgroup rw,memory"
        #expect(ControlGroups.found(mountInfo: line, name: "x") == nil, "a mount that cannot be written is none")
        #expect(ControlGroups.found(mountInfo: "20 1 8:1 / / rw - ext4 /dev/sda rw", name: "x") == nil)
    }

    /// Version 2 as files: what is written where.
    @Test func controlGroupsOfVersion2KeepLimits() throws {
        let root = "/tmp/mangrove-groups-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let home = "\(root)/x/pod/main"
        try Files.makeDirectory(home)
        for place in [root, "\(root)/x", "\(root)/x/pod"] { try Files.write(place + "/cgroup.subtree_control", []) }
        try Files.write(root + "/cgroup.controllers", Array("cpu io memory pids\n".utf8))
        for file in ["memory.max", "cpu.max", "cpu.weight", "memory.oom.group"] {
            try Files.write("\(home)/\(file)", [])
        }
        func value(_ file: String) -> String { String(decoding: Files.read("\(home)/\(file)") ?? [], as: UTF8.self) }
        let groups = try #require(
            ControlGroups.found(mountInfo: "30 20 0:1 / \(root) rw - cgroup2 cgroup2 rw", name: "x"))
        #expect(groups.isUnified)
        var limits = ContainerConfig.Resources(cpuLimitMillicores: 500, memoryLimitBytes: 1 << 20)
        limits.cpuRequestMillicores = 1000
        #expect(try groups.make(pod: "pod", container: "main", limits) == ["\(home)/cgroup.procs"])
        #expect(
            String(decoding: Files.read(root + "/x/pod/cgroup.subtree_control") ?? [], as: UTF8.self)
                == "+cpu +memory +pids")
        #expect(value("memory.max") == "1048576" && value("cpu.max") == "50000 100000" && value("cpu.weight") == "39")
        #expect(value("memory.oom.group") == "1")
        try Files.write("\(home)/memory.events", Array("low 0\noom 1\noom_kill 2\n".utf8))
        try Files.write("\(home)/memory.current", Array("900000\n".utf8))
        try Files.write("\(home)/memory.stat", Array("anon 1\ninactive_file 100000\n".utf8))
        try Files.write("\(home)/cpu.stat", Array("usage_usec 7\nuser_usec 5\n".utf8))
        #expect(groups.hasRunOutOfMemory(pod: "pod", container: "main"))
        let use = try #require(groups.use(pod: "pod", container: "main"))
        #expect(use.cpuNanoseconds == 7000 && use.workingSetBytes == 800_000)
        let small = ContainerConfig.Resources(memoryLimitBytes: 700_000)
        #expect(throws: Problem.self) { try groups.update(pod: "pod", container: "main", from: limits, to: small) }
        try groups.update(pod: "pod", container: "main", from: limits, to: .init(memoryLimitBytes: 900_000))
        // Files of their own length: what is written first stays where the new value is shorter.
        #expect(value("memory.max").hasPrefix("900000") && value("cpu.max").hasPrefix("max 100000"))
        _ = system("rm -r \(root)")
    }

    @Test func aStreamedCommandTellsItsEndAndDiesWithItsClient() {
        var machine = ShimMachine(
            sandbox: SandboxConfig(id: "u", namespace: "n", name: "p", hostname: "h", logDirectory: "/l"))
        let now = ShimMachine.Moment(wall: 1, monotonic: 1)
        func ticket(_ client: Int) -> ShimMachine.Ticket { .init(client: client, number: 1) }
        let ask = ShimRequest.command(id: "a", command: ["sh"], hasTerminal: true)
        guard case .refuse(_, let problem)? = machine.requested(ask, by: ticket(5), at: now).first else {
            Issue.record("a command in nothing was not refused")
            return
        }
        #expect(problem.reason == .notFound)
        _ = machine.requested(.create(id: "a", config { _ in }), by: ticket(1), at: now)
        _ = machine.requested(.start(id: "a"), by: ticket(1), at: now)
        _ = machine.started("a", pid: 9, at: now)
        #expect(
            machine.requested(ask, by: ticket(5), at: now) == [
                .run(1, container: "a", command: ["sh"], hasTerminal: true, client: 5)
            ])
        #expect(machine.nextDeadline == nil, "it may take as long as it likes")
        #expect(machine.executionEnded(1, ExecResult(exitCode: 3)) == [.answer(ticket(5), ["exitCode": 3])])
        _ = machine.requested(ask, by: ticket(6), at: now)
        #expect(machine.clientLeft(6) == [.kill(execution: 2)])
        #expect(machine.requested(.attach(id: "a"), by: ticket(7), at: now) == [.attach(container: "a", client: 7)])
        let ended = machine.ended("a", exitCode: 137, isOutOfMemory: true, at: now)
        guard case .announce(let status)? = ended.first else {
            Issue.record("\(ended)")
            return
        }
        #expect(status.reason == "OOMKilled")
        #expect(ended.contains(.answer(ticket(7), ["exitCode": 137])))
    }
}
