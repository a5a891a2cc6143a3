// Keeps the Node object and its Lease: what the node is, what it has, and that it is alive.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Timing

/// Registers the node and renews its lease until cancelled.
struct NodeRegistration: Sendable {
    static let renewSeconds = 10
    static let leaseSeconds = 40
    /// The node's status is written this often although nothing changed, as upstream does.
    static let statusSeconds = 300
    static let retry = Backoff(initial: .milliseconds(200), limit: .seconds(10))
    static let leaseNamespace = "kube-node-lease"

    let configuration: NodeConfiguration
    let client: KubernetesClient
    let clock: WallClock
    let logger: Logger

    func run() async {
        var failures = 0
        var lastStatus: NodeDescription?
        var lastStatusAt: Timestamp?
        while !Task.isCancelled {
            var pause = Duration.seconds(Self.renewSeconds)
            do {
                let now = clock.now()
                let description = NodeDescription(configuration)
                let isDue = lastStatusAt.map { now - $0 >= .seconds(Self.statusSeconds) } ?? true
                if isDue || lastStatus != description {
                    try await writeNode(description, at: now)
                    (lastStatus, lastStatusAt) = (description, now)
                }
                try await renewLease(at: now)
                failures = 0
            } catch {
                if Task.isCancelled { return }
                failures += 1
                pause = Self.retry.delay(afterFailures: failures)
                if let problem = error as? Problem, problem.reason == .notFound { lastStatusAt = nil }
                logger.warning("cannot tell the API about this node", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: pause)
        }
    }

    private var key: ObjectKey { ObjectKey(name: configuration.nodeName) }

    private func writeNode(_ description: NodeDescription, at now: Timestamp) async throws {
        let old: Object
        do {
            old = try await client.get(.nodes, key)
        } catch let problem as Problem where problem.reason == .notFound {
            var node = Object(.nodes, name: configuration.nodeName)
            node.labels = description.labels
            node.spec = [:]
            old = try await client.create(.nodes, node)
        }
        if description.labels.contains(where: { old.labels[$0.key] != $0.value }) {
            let patch: JSON = ["metadata": ["labels": JSON(stringMap: description.labels)]]
            _ = try await client.patch(.nodes, key, .merge, patch)
        }
        let patch: JSON = ["status": description.status(over: old, at: now)]
        _ = try await client.patch(.nodes, key, .strategicMerge, patch, subresource: "status")
    }

    private func renewLease(at now: Timestamp) async throws {
        let leaseKey = ObjectKey(namespace: Self.leaseNamespace, name: configuration.nodeName)
        let spec: JSON = [
            "holderIdentity": .string(configuration.nodeName), "leaseDurationSeconds": JSON(Self.leaseSeconds),
            "renewTime": .string(now.rfc3339Micro),
        ]
        do {
            _ = try await client.patch(.leases, leaseKey, .merge, ["spec": spec])
            return
        } catch let problem as Problem where problem.reason == .notFound {}
        do {
            _ = try await client.create(.namespaces, Object(.namespaces, name: Self.leaseNamespace))
        } catch let problem as Problem where problem.reason == .alreadyExists {}
        let node = try await client.get(.nodes, key)
        var lease = Object(.leases, namespace: leaseKey.namespace, name: leaseKey.name)
        lease.ownerReferences = [
            OwnerReference([
                "apiVersion": .string(Resource.nodes.apiVersion), "kind": .string(Resource.nodes.kind),
                "name": .string(node.name), "uid": .string(node.uid),
            ])
        ]
        lease.spec = spec
        _ = try await client.create(.leases, lease)
    }
}
