// Hands `kubectl logs`, `exec`, `attach` and `port-forward` from the API server to the node that runs the pod.

import APIServer
import Client
import Formats
import NodeAgent
import Objects
import RemoteStreams
import Synchronization

/// The API server's way to the logs of pods. Before a node is connected, and where there is none, it answers 503.
final class LogRelay: NodeAccess {
    private struct Node {
        let logs: PodLogs
        let access: PodAccess
        let client: KubernetesClient
    }

    private let node = Mutex<Node?>(nil)

    func connect(_ logs: PodLogs, access: PodAccess, client: KubernetesClient) {
        node.withLock { $0 = Node(logs: logs, access: access, client: client) }
    }

    private func connected() throws(Problem) -> Node {
        guard let node = node.withLock({ $0 }) else {
            throw Problem(.serviceUnavailable, "this platform runs no pods, so there is nothing to reach into")
        }
        return node
    }

    func execute(namespace: String, pod: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        try await connected().access.execute(namespace: namespace, pod: pod, request)
    }

    func attach(namespace: String, pod: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        try await connected().access.attach(namespace: namespace, pod: pod, request)
    }

    func connect(namespace: String, pod: String, port: Int) async throws(Problem) -> any RemoteConnection {
        try await connected().access.connect(namespace: namespace, pod: pod, port: port)
    }

    func logs(namespace: String, pod: String, options: LogOptions) async throws(Problem) -> any APIChunks {
        let node = try connected()
        let key = ObjectKey(namespace: namespace, name: pod)
        let client = node.client
        let object: Object
        do {
            object = try await client.get(.pods, key)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.internalError, "the pod cannot be read: \(error)")
        }
        var since = options.sinceTime.flatMap(Timestamp.init(rfc3339:))
        if let seconds = options.sinceSeconds {
            since = Timestamp(
                secondsSinceEpoch: APIEnvironment.system.now().secondsSinceEpoch - Int64(seconds), nanoseconds: 0)
        }
        let reading = LogReading(
            container: options.container, follows: options.follow, tailLines: options.tailLines, since: since,
            isPrevious: options.previous, showsTimestamps: options.timestamps, limitBytes: options.limitBytes)
        let uid = object.uid
        let stream = try node.logs.open(object, reading) { container in
            // A log that is followed ends with its container; ask the API, as everyone else would.
            guard let now = try? await client.get(.pods, key), now.uid == uid else { return false }
            return Self.isRunning(container, in: now)
        }
        return Chunks(stream: stream)
    }

    private static func isRunning(_ container: String, in pod: Object) -> Bool {
        let statuses =
            (pod.status["containerStatuses"]?.array ?? []) + (pod.status["initContainerStatuses"]?.array ?? [])
            + (pod.status["ephemeralContainerStatuses"]?.array ?? [])
        return statuses.contains { $0["name"]?.string == container && $0["state", "running"] != nil }
    }

    private struct Chunks: APIChunks {
        let stream: LogStream
        func next() async throws -> [UInt8]? { try await stream.next() }
    }
}
