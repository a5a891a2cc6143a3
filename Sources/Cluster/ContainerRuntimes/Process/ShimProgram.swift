// The entry of `mangrove pod-shim DIRECTORY`, the process that holds one pod.

import CLinux
import Formats
import Glibc
import Objects

/// The command that the process runtime starts for every pod; not for people.
package enum ShimProgram {
    package static let command = "pod-shim"
    /// The connection to the runtime that started the shim.
    static let firstClient: Int32 = 3

    /// Whether these are a shim's arguments; the program must then do nothing but call `main`.
    package static func isMeant(by arguments: [String]) -> Bool {
        arguments.count > 1 && arguments[1] == command
    }

    /// Runs the shim to its end and returns the exit code. Needs to be called before the process has a second thread.
    package static func main(arguments: [String]) -> Int32 {
        guard arguments.count == 3 else {
            print("usage: \(arguments.first ?? "mangrove") \(command) DIRECTORY (started by mangrove itself)")
            return 64
        }
        do throws(Problem) {
            try serve(PodDirectory(path: arguments[2]))
            return 0
        } catch {
            print(error.message)
            return 1
        }
    }

    private static func serve(_ directory: PodDirectory) throws(Problem) {
        guard let bytes = Files.read(directory.configFile), let tree = try? JSON(parsing: bytes) else {
            throw Problem(.internalError, "\(directory.configFile) cannot be read")
        }
        let sandbox = try SandboxConfig(json: tree["config"] ?? .null)
        let hidden = tree["hidden"]?.strings ?? []
        try checked(
            clinux_enter_sandbox(sandbox.hostNetwork ? 0 : 1, sandbox.hostIPC ? 0 : 1, sandbox.hostname),
            "making the pod's namespaces")
        for name in sandbox.kernelSettings.keys.sorted() { try set(name, sandbox.kernelSettings[name] ?? "") }
        var sharedProcesses: Int32 = -1
        if sandbox.sharesProcesses {
            try checked(clinux_hold_processes(&sharedProcesses), "making the pod's pid namespace")
        }
        try Files.makeDirectory(directory.sharedMemory)
        try checked(clinux_mount_tmpfs(directory.sharedMemory, "size=64m,mode=1777"), "mounting the pod's /dev/shm")
        for volume in sandbox.memoryVolumes {
            var options = volume.group.map { "mode=2777,gid=\($0)" } ?? "mode=1777"
            if let size = volume.sizeBytes { options += ",size=\(size)" }
            try checked(clinux_mount_tmpfs(volume.path, options), "mounting memory at \(volume.path)")
        }
        try Files.makeDirectory(directory.containers)
        if clinux_overlay_works(directory.containers) < 0 {
            print("\(directory.containers) cannot carry overlays; what containers write is kept in memory")
            try checked(clinux_mount_tmpfs(directory.containers, "mode=700"), "mounting memory for overlays")
        }
        let mountInfo = String(decoding: Files.read("/proc/self/mountinfo") ?? [], as: UTF8.self)
        let launcher = ContainerLauncher(
            sandbox: sandbox, directory: directory, hidden: hidden,
            layers: HostMounts.layers(mountInfo: mountInfo, hidden: hidden),
            groups: tree["groups"]?.string.flatMap { ControlGroups.found(mountInfo: mountInfo, name: $0) })
        let listener = try checked(clinux_listen(directory.path, PodDirectory.socketName), "listening")
        try checked(clinux_set_nonblocking(listener), "listening")
        try checked(clinux_set_nonblocking(firstClient), "the runtime's connection")
        var shim = Shim(
            sandbox: sandbox, launcher: launcher, listener: listener, firstClient: firstClient,
            sharedProcesses: sharedProcesses)
        shim.run()
    }

    /// `net.core.somaxconn` is `/proc/sys/net/core/somaxconn`; it holds for the namespaces that were just made.
    private static func set(_ name: String, _ value: String) throws(Problem) {
        let path = "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 })
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw Problem(.invalid, "sysctl \(name): \(systemMessage(errno))") }
        defer { close(file) }
        guard Descriptor.write(file, Array(value.utf8)) else {
            throw Problem(.invalid, "sysctl \(name)=\(value): \(systemMessage(errno))")
        }
    }
}
