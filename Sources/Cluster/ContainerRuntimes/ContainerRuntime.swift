// The port through which the node agent runs pods, whatever makes the containers: it follows CRI v1.

import Objects
import RemoteStreams

/// Makes, stops and shows sandboxes (one per pod) and the containers in them.
///
/// Modelled on the Kubernetes Container Runtime Interface (`k8s.io/cri-api/pkg/apis/runtime/v1`). Every stop and remove
/// is idempotent: done twice, or for something that does not exist, it succeeds. A runtime outlives its caller: after a
/// restart of the agent, `sandboxes()` and `containers()` show what still runs, exit codes included.
package protocol ContainerRuntime: Sendable {
    /// Makes the pod's shared namespaces; when it returns, the network namespace is there, with nothing but `lo` in it.
    func runSandbox(_ config: SandboxConfig) async throws(Problem) -> SandboxStatus
    /// Kills what still runs in the sandbox at once; exit codes and logs stay readable.
    func stopSandbox(_ id: String) async throws(Problem)
    /// Stops the sandbox if need be and removes it with all its containers; nothing is left of it but its log files.
    func removeSandbox(_ id: String) async throws(Problem)
    /// Every sandbox the runtime knows, stopped ones included.
    func sandboxes() async throws(Problem) -> [SandboxStatus]

    /// Prepares a container in a sandbox that is ready and returns the container's id.
    func createContainer(sandbox: String, _ config: ContainerConfig) async throws(Problem) -> String
    /// Starts a created container; throws when its program cannot be executed (the container is then `exited`, 128).
    func startContainer(_ id: String) async throws(Problem)
    /// Sends SIGTERM, waits at most `timeout`, sends SIGKILL; returns when the container has exited.
    func stopContainer(_ id: String, timeout: Duration) async throws(Problem)
    /// Removes a container, killing it first if it runs.
    func removeContainer(_ id: String) async throws(Problem)
    /// Keeps a running container to these limits from now on; what is nil is as much as there is. Throws when the
    /// kernel does not take them, for instance a memory limit below what is in use; then some may have changed.
    func updateContainer(_ id: String, _ resources: ContainerConfig.Resources) async throws(Problem)
    /// Every container of every sandbox.
    func containers() async throws(Problem) -> [ContainerStatus]

    /// Runs a command to its end in a running container; throws `Timeout` when it takes longer and has been killed.
    func execute(_ id: String, command: [String], timeout: Duration) async throws(Problem) -> ExecResult

    /// Starts a command in a running container and hands over its streams; it may run as long as these are open.
    func open(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess
    /// The streams of a running container's own program from now on; its input only where it has `hasInput`.
    func attach(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess
    /// A connection to a TCP port of the sandbox's loopback.
    func connect(sandbox id: String, port: Int) async throws(Problem) -> any RemoteConnection

    /// What every running container uses.
    func use() async -> [ContainerUse]
    /// What a sandbox's containers, by name, hold on disk or in memory outside their volumes: the files that they
    /// wrote, of every run that is not removed. It may take as long as there are many.
    func writtenBytes(sandbox: String) async -> [String: Int64]

    /// What happened since the last call; waits until there is something. Empty when the calling task was cancelled.
    ///
    /// For one caller at a time. The queue is bounded (`RuntimeEvent.queueLimit`): `.lost` says that some are missing
    /// and that the caller must list.
    func nextEvents() async -> [RuntimeEvent]
}

/// A change in a sandbox or container.
package enum RuntimeEvent: Sendable, Hashable {
    case containerStarted(ContainerStatus)
    case containerExited(ContainerStatus)
    /// The sandbox died without being asked to; its containers died with it.
    case sandboxDied(String)
    /// More happened than the queue holds: list.
    case lost

    /// Events kept for a caller that does not come.
    package static let queueLimit = 1024
}

extension ContainerRuntime {
    package func use() async -> [ContainerUse] { [] }

    package func writtenBytes(sandbox: String) async -> [String: Int64] { [:] }

    package func open(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        throw Problem(.notImplemented, "this container runtime has no streams")
    }

    package func attach(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        throw Problem(.notImplemented, "this container runtime has no streams")
    }

    package func connect(sandbox id: String, port: Int) async throws(Problem) -> any RemoteConnection {
        throw Problem(.notImplemented, "this container runtime has no streams")
    }
}
