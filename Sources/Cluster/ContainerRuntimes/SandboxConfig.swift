// What a pod's sandbox is to be, and what it is.

/// What all containers of a pod share.
package struct SandboxConfig: Sendable, Hashable {
    /// The pod's uid, which is the sandbox's id too.
    package var id: String
    package var namespace: String
    package var name: String
    package var hostname: String
    package var labels: [String: String]
    package var annotations: [String: String]
    /// Where the containers' log files are; made when it does not exist.
    package var logDirectory: String
    /// The text of `/etc/resolv.conf`; nil leaves the host's.
    package var resolvConf: String?
    /// The text of `/etc/hosts`; nil leaves the host's. A text that needs the pod's address, which is not known yet, is
    /// better given as a mount of the container.
    package var hosts: String?
    /// The pod uses the host's network and host name.
    package var hostNetwork: Bool
    /// The pod uses the host's System V and POSIX message objects.
    package var hostIPC = false
    /// Containers of `ProcessNamespace.pod` can be made.
    package var sharesProcesses = false
    /// Directories of the host in whose place the pod's containers see memory.
    package var memoryVolumes: [MemoryVolume] = []

    /// A file system in memory that lives as long as the sandbox.
    package struct MemoryVolume: Sendable, Hashable {
        package var path: String
        /// Nil: as much as the kernel allows, half of the memory.
        package var sizeBytes: Int64?
        package var group: UInt32?

        package init(path: String, sizeBytes: Int64? = nil, group: UInt32? = nil) {
            self.path = path
            self.sizeBytes = sizeBytes
            self.group = group
        }
    }

    /// Kernel settings of the pod's own namespaces, like `net.core.somaxconn`.
    package var kernelSettings: [String: String] = [:]

    package init(
        id: String, namespace: String, name: String, hostname: String, labels: [String: String] = [:],
        annotations: [String: String] = [:], logDirectory: String, resolvConf: String? = nil, hosts: String? = nil,
        hostNetwork: Bool = false
    ) {
        self.id = id
        self.namespace = namespace
        self.name = name
        self.hostname = hostname
        self.labels = labels
        self.annotations = annotations
        self.logDirectory = logDirectory
        self.resolvConf = resolvConf
        self.hosts = hosts
        self.hostNetwork = hostNetwork
    }
}

/// A sandbox as it is.
package struct SandboxStatus: Sendable, Hashable {
    package enum State: String, Sendable {
        case ready
        case notReady
    }

    /// The pod's uid.
    package var id: String
    package var namespace: String
    package var name: String
    package var state: State
    /// Nanoseconds since 1970 UTC, as everywhere in CRI.
    package var createdAt: Int64
    /// A path that `setns` takes; nil with the host's network, or when the sandbox is not ready.
    package var networkNamespace: String?
    /// The process that holds the sandbox's namespaces; 0 when the sandbox is not ready.
    package var pid: Int32
    package var labels: [String: String]
    package var annotations: [String: String]

    package init(
        id: String, namespace: String, name: String, state: State, createdAt: Int64, networkNamespace: String?,
        pid: Int32, labels: [String: String] = [:], annotations: [String: String] = [:]
    ) {
        self.id = id
        self.namespace = namespace
        self.name = name
        self.state = state
        self.createdAt = createdAt
        self.networkNamespace = networkNamespace
        self.pid = pid
        self.labels = labels
        self.annotations = annotations
    }
}
