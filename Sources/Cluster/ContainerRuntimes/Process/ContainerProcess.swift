// Makes the processes of a container: its init with its program, and commands in it.

import CLinux
import Glibc
import Objects

/// A process of a container with the ends of its pipes that the shim holds, all non-blocking.
struct ContainerProcess {
    var pid: Int32
    /// Readable once the process has ended.
    var pidfd: Int32
    var output: Int32
    var error: Int32
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

    /// Starts a container's init; the program's start is reported later.
    func launch(_ id: String, _ config: ContainerConfig) throws(Problem) -> ContainerProcess {
        let spec = program(config.command + config.arguments, config)
        defer { clinux_spec_free(spec) }
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
            clinux_spec_bind(spec, mount.hostPath, mount.containerPath, mount.readOnly ? 1 : 0)
        }
        return try make(spec) { spec, pidfd in clinux_launch(spec, &pidfd) }
    }

    /// Starts a command in the container that this init holds.
    func execute(
        _ command: [String], _ config: ContainerConfig, in initPidfd: Int32
    ) throws(Problem) -> ContainerProcess {
        let spec = program(command, config)
        defer { clinux_spec_free(spec) }
        return try make(spec) { spec, pidfd in clinux_execute(spec, initPidfd, &pidfd) }
    }

    private func etc(_ name: String) -> ContainerConfig.Mount {
        ContainerConfig.Mount(hostPath: directory.etc(name), containerPath: "/etc/" + name)
    }

    private func program(_ command: [String], _ config: ContainerConfig) -> OpaquePointer {
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
        if config.privileged { clinux_spec_privileged(spec) }
        return spec
    }

    private func make(
        _ spec: OpaquePointer, _ start: (OpaquePointer, inout Int32) -> Int32
    ) throws(Problem) -> ContainerProcess {
        var ends: [Int32] = []
        func closeAll() { for end in ends { close(end) } }
        for _ in 0..<3 {
            var reading: Int32 = -1
            var writing: Int32 = -1
            let made = clinux_pipe(&reading, &writing)
            if made < 0 { closeAll() }
            try checked(made, "pipe")
            _ = clinux_set_nonblocking(reading)
            ends += [reading, writing]
        }
        clinux_spec_descriptors(spec, ends[1], ends[3], ends[5])
        var pidfd: Int32 = -1
        let pid = start(spec, &pidfd)
        if pid < 0 { closeAll() }
        try checked(pid, "clone")
        for end in [ends[1], ends[3], ends[5]] { close(end) }
        return ContainerProcess(pid: pid, pidfd: pidfd, output: ends[0], error: ends[2], report: ends[4])
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
