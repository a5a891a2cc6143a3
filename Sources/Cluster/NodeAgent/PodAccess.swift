// The ways into a running pod that `kubectl exec`, `attach` and `port-forward` take.

import ContainerRuntimes
import Objects
import Reconciling
import RemoteStreams

/// Finds the container or sandbox that is meant, and opens it.
package struct PodAccess: Sendable {
    let informer: Informer
    let runtime: any ContainerRuntime

    /// Starts a command in a running container.
    package func execute(
        namespace: String, pod: String, _ request: CommandRequest
    ) async throws(Problem) -> any RemoteProcess {
        try await runtime.open(try await runningContainer(namespace, pod, request.container), request)
    }

    /// The streams of a running container's own program.
    package func attach(
        namespace: String, pod: String, _ request: CommandRequest
    ) async throws(Problem) -> any RemoteProcess {
        try await runtime.attach(try await runningContainer(namespace, pod, request.container), request)
    }

    /// A connection to a TCP port of the pod's loopback.
    package func connect(namespace: String, pod: String, port: Int) async throws(Problem) -> any RemoteConnection {
        try await runtime.connect(sandbox: try find(namespace, pod).uid, port: port)
    }

    private func find(_ namespace: String, _ name: String) throws(Problem) -> Object {
        guard let pod = informer.get(ObjectKey(namespace: namespace, name: name)) else { throw .notFound(.pods, name) }
        return pod
    }

    /// The id of the newest run, if it still runs.
    private func runningContainer(_ namespace: String, _ pod: String, _ name: String) async throws(Problem) -> String {
        let uid = try find(namespace, pod).uid
        let runs = try await runtime.containers().filter { $0.sandboxID == uid && $0.name == name }
        guard let newest = runs.max(by: { $0.attempt < $1.attempt }), newest.state == .running else {
            throw Problem(.notFound, "unable to upgrade connection: container not found (\"\(name)\")")
        }
        return newest.id
    }
}
