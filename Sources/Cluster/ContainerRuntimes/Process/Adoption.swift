// What the process runtime does with pods that an earlier process left, and with all of them at a reset.

import CLinux
import Formats
import Glibc
import Objects

extension ProcessRuntime {
    /// Finds the pods that an earlier process left running, and what is left of those that died meanwhile. To be called
    /// once, before anything else.
    package func adopt() async throws(Problem) {
        for id in Files.names(in: directory + "/pods") {
            let home = PodDirectory(path: podPath(id))
            guard let bytes = Files.read(home.configFile), let record = try? JSON(parsing: bytes),
                let status = try? Self.status(record)
            else {
                try await clear(home)
                continue
            }
            let socket = clinux_connect(home.path, PodDirectory.socketName)
            if socket >= 0 {
                let adopted = try await connect(id, socket: socket, pid: clinux_peer_pid(socket), record)
                logger.info("adopted a running pod", metadata: ["pod": "\(adopted.namespace)/\(adopted.name)"])
            } else {
                let fresh = Pod(status: status, containers: Self.remains(in: home))
                pods.withLock { $0[id] = fresh }
                logger.warning("a pod died meanwhile", metadata: ["pod": "\(status.namespace)/\(status.name)"])
            }
        }
    }

    /// Lets go of every pod without ending it, for a stop of the platform that another start follows.
    package func disconnect() async {
        let links = pods.withLock { pods in
            defer { pods = [:] }
            return pods.values.compactMap(\.link)
        }
        for link in links { await link.close() }
    }

    /// Ends every pod and removes the runtime's directory with everything in it.
    package func removeEverything() async throws(Problem) {
        for id in Set(pods.withLock { Array($0.keys) } + Files.names(in: directory + "/pods")).sorted() {
            try await removeSandbox(id)
            try await clear(PodDirectory(path: podPath(id)))
        }
        groups?.removeAll()
        try checked(clinux_remove_tree(directory), "removing \(directory)")
    }

    /// Kills a shim that is still there, with all it holds, and removes the pod's directory.
    func clear(_ home: PodDirectory) async throws(Problem) {
        let socket = clinux_connect(home.path, PodDirectory.socketName)
        if socket >= 0 {
            let pidfd = clinux_pidfd_open(clinux_peer_pid(socket))
            if pidfd >= 0 {
                _ = clinux_signal(pidfd, SIGKILL)
                close(pidfd)
            }
            let link = try await ShimLink.open(socket: socket, changed: { _ in }, closed: {})
            await link.waitUntilClosed()
        }
        try checked(clinux_remove_tree(home.path), "removing \(home.path)")
    }

    /// The last known states of a dead pod's containers.
    private static func remains(in home: PodDirectory) -> [String: ContainerStatus] {
        var containers: [String: ContainerStatus] = [:]
        for name in Files.names(in: home.statuses) where name.hasSuffix(".json") {
            guard let bytes = Files.read(home.statuses + "/" + name), let tree = try? JSON(parsing: bytes),
                let status = try? ContainerStatus(json: tree)
            else { continue }
            containers[status.id] = status.state == .exited ? status : status.lost(at: SystemTime.wall)
        }
        return containers
    }
}

extension ContainerStatus {
    /// The container as it is when whoever held it is gone.
    func lost(at time: Int64) -> ContainerStatus {
        var status = self
        status.state = .exited
        status.pid = 0
        status.finishedAt = time
        status.exitCode = 137
        status.reason = "ContainerStatusUnknown"
        status.message = "The container could not be located when the pod was terminated"
        return status
    }
}
