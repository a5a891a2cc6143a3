// Makes the processes of a container: its init with its program, and commands in it.

import CLinux
import Glibc
import Objects

/// A process of a container with the ends of its pipes that the shim holds, all non-blocking.
struct ContainerProcess {
    var pid: Int32
    /// Readable once the process has ended.
    var pidfd: Int32
    /// -1 where the streams are somebody else's.
    var output: Int32
    var error: Int32
    /// The program's standard input; -1 when it has none.
    var input: Int32 = -1
    /// The terminal that the program's streams are.
    var terminal: Int32?
    /// Ends when the program has been executed; carries a line when it could not be.
    var report: Int32
}

/// Where a pod's files are.
struct PodDirectory {
    let path: String

    var configFile: String { path + "/sandbox.json" }
    var logFile: String { path + "/shim.log" }
    var sharedMemory: String { path + "/shm" }
    var containers: String { path + "/containers" }
    static let socketName = "shim.sock"

    func etc(_ name: String) -> String { path + "/etc/" + name }
    func container(_ id: String) -> String { containers + "/" + id }
    var statuses: String { path + "/statuses" }
    func statusFile(of id: String) -> String { statuses + "/" + id + ".json" }
}

/// Makes processes for the containers of one pod.
struct ContainerLauncher {
    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    let sandbox: SandboxConfig
    let directory: PodDirectory
    /// Host directories that containers see empty.
    let hidden: [String]
    /// Mount points of the host that get an overlay of their own.
    let layers: [String]
    /// Nil where this machine has none that can be written; limits are then not kept, which the runtime has said.
    let groups: ControlGroups?

    /// Starts a container's init; the program's start is reported later. `processes` is what `clinux_spec_processes`
    /// takes.
    func launch(_ id: String, _ config: ContainerConfig, processes: Int32) throws(Problem) -> ContainerProcess {
        let entries = try groups?.make(pod: sandbox.id, container: id, config.resources) ?? []
        let spec = try program(config.command + config.arguments, config)
        defer { clinux_spec_free(spec) }
        for entry in entries { clinux_spec_cgroup(spec, entry) }
        clinux_spec_processes(spec, processes)
        if config.security.readOnlyRoot { clinux_spec_read_only(spec) }
        if config.privileged { clinux_spec_all_devices(spec) }
        let home = directory.container(id)
        clinux_spec_root(spec, home + "/root", home + "/upper", home + "/work")
        for (position, layer) in layers.enumerated() {
            let place = home + "/layers/\(position)"
            clinux_spec_overlay(spec, layer, place + "/upper", place + "/work")
        }
        for path in hidden { clinux_spec_hide(spec, path) }
        var mounts = [ContainerConfig.Mount(hostPath: directory.sharedMemory, containerPath: "/dev/shm")]
        if sandbox.resolvConf != nil { mounts.append(etc("resolv.conf")) }
        if sandbox.hosts != nil { mounts.append(etc("hosts")) }
        if !sandbox.hostNetwork { mounts.append(etc("hostname")) }
        mounts.removeAll { own in config.mounts.contains { $0.containerPath == own.containerPath } }
        for mount in mounts + config.mounts {
            clinux_spec_bind(
                spec, mount.hostPath, mount.below, mount.containerPath, mount.readOnly ? 1 : 0,
                mount.followsHost ? 1 : 0)
        }
        return try make(spec, config.hasTerminal ? .terminal : .pipes(hasInput: config.hasInput)) { spec, pidfd in
            clinux_launch(spec, &pidfd)
        }
    }

    /// Starts a command in the container that this init holds; its streams are these (input, output, error, or a
    /// terminal) or fresh pipes.
    func execute(
        _ command: [String], in id: String, _ config: ContainerConfig, _ initPidfd: Int32, streams: [Int32] = [],
        hasTerminal: Bool = false
    ) throws(Problem) -> ContainerProcess {
        let spec = try program(command, config)
        defer { clinux_spec_free(spec) }
        // What it uses counts as the container's.
        for entry in groups?.entries(pod: sandbox.id, container: id) ?? [] { clinux_spec_cgroup(spec, entry) }
        if hasTerminal { clinux_spec_terminal(spec) }
        return try make(spec, streams.isEmpty ? .pipes(hasInput: false) : .given(streams)) { spec, pidfd in
            clinux_execute(spec, initPidfd, &pidfd)
        }
    }

    private func etc(_ name: String) -> ContainerConfig.Mount {
        ContainerConfig.Mount(hostPath: directory.etc(name), containerPath: "/etc/" + name)
    }

    private func program(_ command: [String], _ config: ContainerConfig) throws(Problem) -> OpaquePointer {
        let kept = try Capabilities.kept(config)
        let spec: OpaquePointer = clinux_spec_new()
        for word in command { clinux_spec_argument(spec, word) }
        var environment = config.environment
        environment["PATH"] = environment["PATH"] ?? Self.defaultPath
        environment["HOSTNAME"] = environment["HOSTNAME"] ?? sandbox.hostname
        environment["HOME"] = environment["HOME"] ?? (config.user == 0 ? "/root" : "/")
        for name in environment.keys.sorted() { clinux_spec_environment(spec, "\(name)=\(environment[name] ?? "")") }
        clinux_spec_directory(spec, config.workingDirectory ?? "/")
        clinux_spec_user(spec, config.user, config.group)
        for group in config.supplementalGroups { clinux_spec_group(spec, group) }
        clinux_spec_capabilities(spec, kept)
        if config.security.noNewPrivileges { clinux_spec_no_new_privileges(spec) }
        return spec
    }

    /// Where a process's standard streams come from.
    private enum Streams {
        case pipes(hasInput: Bool)
        case terminal
        case given([Int32])
    }

    private func make(
        _ spec: OpaquePointer, _ streams: Streams, _ start: (OpaquePointer, inout Int32) -> Int32
    ) throws(Problem) -> ContainerProcess {
        // What the shim keeps, and what it closes once the process has it.
        var ours: [Int32] = []
        var theirs: [Int32] = []
        var process = ContainerProcess(pid: -1, pidfd: -1, output: -1, error: -1, report: -1)
        var isMade = false
        defer {
            for end in theirs { close(end) }
            if !isMade { for end in ours { close(end) } }
        }
        let report = try pipe(&ours, &theirs)
        process.report = report.reading
        switch streams {
        case .given(let streams):
            let (output, error) = streams.count == 3 ? (streams[1], streams[2]) : (streams[0], streams[0])
            clinux_spec_descriptors(spec, streams[0], output, error, report.writing)
        case .pipes(let hasInput):
            let output = try pipe(&ours, &theirs)
            let error = try pipe(&ours, &theirs)
            (process.output, process.error) = (output.reading, error.reading)
            var input: Int32 = -1
            if hasInput {
                try checked(clinux_pipe(&input, &process.input), "pipe")
                theirs.append(input)
                ours.append(process.input)
                _ = clinux_set_nonblocking(process.input)
            }
            clinux_spec_descriptors(spec, input, output.writing, error.writing, report.writing)
        case .terminal:
            var shown: Int32 = -1
            var program: Int32 = -1
            try checked(clinux_terminal(&shown, &program), "making a terminal")
            ours.append(shown)
            theirs.append(program)
            _ = clinux_set_nonblocking(shown)
            process.output = shown
            process.terminal = shown
            process.input = fcntl(shown, F_DUPFD_CLOEXEC, 3)
            ours.append(process.input)
            clinux_spec_terminal(spec)
            clinux_spec_descriptors(spec, program, program, program, report.writing)
        }
        process.pid = start(spec, &process.pidfd)
        try checked(process.pid, "clone")
        isMade = true
        return process
    }

    private func pipe(_ ours: inout [Int32], _ theirs: inout [Int32]) throws(Problem) -> (
        reading: Int32, writing: Int32
    ) {
        var reading: Int32 = -1
        var writing: Int32 = -1
        try checked(clinux_pipe(&reading, &writing), "pipe")
        _ = clinux_set_nonblocking(reading)
        ours.append(reading)
        theirs.append(writing)
        return (reading, writing)
    }

    /// What a report line means to people.
    static func explanation(ofReport line: String, command: String) -> String {
        let fields = line.split(separator: " ", maxSplits: 2).map(String.init)
        guard fields.count == 3, fields[0] == "error", let number = Int32(fields[1]) else { return line }
        if fields[2] == "exec" {
            let isBare = !command.contains("/")
            let why = isBare && number == ENOENT ? "executable file not found in $PATH" : systemMessage(number)
            return "exec: \"\(command)\": \(why)"
        }
        return "\(fields[2]): \(systemMessage(number))"
    }
}
