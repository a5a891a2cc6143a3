// What a container is to be, and what it is.

/// One container's program and its surroundings.
package struct ContainerConfig: Sendable, Hashable {
    /// A file or directory of the host shown in the container.
    package struct Mount: Sendable, Hashable {
        package var hostPath: String
        /// What is shown is at this path inside `hostPath`, as the sandbox sees it, and cannot be anywhere else; a
        /// directory is made where nothing is. Empty shows `hostPath` itself.
        package var below: String
        package var containerPath: String
        package var readOnly: Bool
        /// Mounts that the host makes in it later are seen too.
        package var followsHost: Bool

        package init(
            hostPath: String, below: String = "", containerPath: String, readOnly: Bool = false,
            followsHost: Bool = false
        ) {
            self.hostPath = hostPath
            self.below = below
            self.containerPath = containerPath
            self.readOnly = readOnly
            self.followsHost = followsHost
        }
    }

    /// What the container may use at most; nil means as much as there is.
    package struct Resources: Sendable, Hashable {
        package var cpuLimitMillicores: Int?
        package var memoryLimitBytes: Int64?
        /// How much it gets at least when others want it too.
        package var cpuRequestMillicores: Int?

        package init(cpuLimitMillicores: Int? = nil, memoryLimitBytes: Int64? = nil) {
            self.cpuLimitMillicores = cpuLimitMillicores
            self.memoryLimitBytes = memoryLimitBytes
        }
    }

    package var name: String
    /// How often the container was made before, from 0.
    package var attempt: Int
    package var image: String
    /// The program and, after it, its arguments; the program is looked up in the container's PATH.
    package var command: [String]
    package var arguments: [String]
    /// Nil means `/`; made when it does not exist.
    package var workingDirectory: String?
    /// Everything the program finds in its environment; PATH and HOSTNAME are added where missing.
    package var environment: [String: String]
    package var mounts: [Mount]
    /// The log file, in CRI format; relative to the sandbox's log directory or absolute.
    package var logPath: String
    package var labels: [String: String]
    package var annotations: [String: String]
    package var user: UInt32
    package var group: UInt32
    package var supplementalGroups: [UInt32]
    /// The program may do all that the runtime may.
    package var privileged: Bool
    package var resources: Resources
    package var security = Security()
    /// Standard input stays open for `attach`; without it the program reads nothing.
    package var hasInput = false
    /// The first `attach` that ends its input ends the program's.
    package var inputEndsOnce = false
    /// The program's standard streams are a terminal.
    package var hasTerminal = false
    package var processes = ProcessNamespace.own

    /// What the program may not do.
    package struct Security: Sendable, Hashable {
        /// Names without `CAP_`; `ALL` stands for all.
        package var addedCapabilities: [String] = []
        package var droppedCapabilities: [String] = []
        package var readOnlyRoot = false
        package var noNewPrivileges = false

        package init() {}
    }

    /// Whose processes the program sees.
    package enum ProcessNamespace: Sendable, Hashable {
        case own
        /// Those of all containers of the pod that say so too.
        case pod
        case host
        /// Those of the container with this id.
        case container(String)
    }

    package init(
        name: String, attempt: Int = 0, image: String, command: [String], arguments: [String] = [],
        workingDirectory: String? = nil, environment: [String: String] = [:], mounts: [Mount] = [], logPath: String,
        labels: [String: String] = [:], annotations: [String: String] = [:], user: UInt32 = 0, group: UInt32 = 0,
        supplementalGroups: [UInt32] = [], privileged: Bool = false, resources: Resources = Resources()
    ) {
        self.name = name
        self.attempt = attempt
        self.image = image
        self.command = command
        self.arguments = arguments
        self.workingDirectory = workingDirectory
        self.environment = environment
        self.mounts = mounts
        self.logPath = logPath
        self.labels = labels
        self.annotations = annotations
        self.user = user
        self.group = group
        self.supplementalGroups = supplementalGroups
        self.privileged = privileged
        self.resources = resources
    }
}

/// A container as it is.
package struct ContainerStatus: Sendable, Hashable {
    package enum State: String, Sendable {
        case created
        case running
        case exited
    }

    package var id: String
    package var sandboxID: String
    package var name: String
    package var attempt: Int
    package var state: State
    /// The program's process on the host; 0 unless running.
    package var pid: Int32
    /// Nanoseconds since 1970 UTC; 0 where it has not happened.
    package var createdAt: Int64
    package var startedAt: Int64
    package var finishedAt: Int64
    /// The program's exit code, or 128 plus the signal that ended it.
    package var exitCode: Int32
    /// Of an exited container, in Kubernetes' words: Completed, Error, OOMKilled, StartError, ContainerStatusUnknown.
    package var reason: String
    package var message: String
    /// The log file's absolute path.
    package var logPath: String
    package var labels: [String: String]
    package var annotations: [String: String]

    package init(
        id: String, sandboxID: String, name: String, attempt: Int, state: State = .created, pid: Int32 = 0,
        createdAt: Int64, startedAt: Int64 = 0, finishedAt: Int64 = 0, exitCode: Int32 = 0, reason: String = "",
        message: String = "", logPath: String, labels: [String: String] = [:], annotations: [String: String] = [:]
    ) {
        self.id = id
        self.sandboxID = sandboxID
        self.name = name
        self.attempt = attempt
        self.state = state
        self.pid = pid
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.exitCode = exitCode
        self.reason = reason
        self.message = message
        self.logPath = logPath
        self.labels = labels
        self.annotations = annotations
    }

    /// The reason that goes with an exit code.
    package static func reason(exitCode: Int32) -> String { exitCode == 0 ? "Completed" : "Error" }
}

/// What a running container uses.
package struct ContainerUse: Sendable, Hashable {
    package var id: String
    package var sandboxID: String
    package var name: String
    /// Since its start; only differences mean something.
    package var cpuNanoseconds: UInt64
    /// Memory that the kernel could not just take back.
    package var workingSetBytes: UInt64

    package init(id: String, sandboxID: String, name: String, cpuNanoseconds: UInt64, workingSetBytes: UInt64) {
        self.id = id
        self.sandboxID = sandboxID
        self.name = name
        self.cpuNanoseconds = cpuNanoseconds
        self.workingSetBytes = workingSetBytes
    }
}

/// What a command left behind that ran in a container.
package struct ExecResult: Sendable, Hashable {
    package var exitCode: Int32
    /// At most `outputLimit` bytes; what came after is dropped.
    package var standardOutput: [UInt8]
    package var standardError: [UInt8]

    package static let outputLimit = 65_536

    package init(exitCode: Int32, standardOutput: [UInt8] = [], standardError: [UInt8] = []) {
        self.exitCode = exitCode
        self.standardOutput = standardOutput
        self.standardError = standardError
    }
}
