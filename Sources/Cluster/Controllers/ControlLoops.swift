// All controllers on one set of informers: what a Kubernetes controller manager is.

import Client
import Logging
import Objects
import Reconciling

/// Runs every controller of this room. Needs a client that may do everything.
package struct ControlLoops: Sendable {
    let client: KubernetesClient
    let rootCertificate: String?
    let clock: WallClock
    let logger: Logger

    /// `rootCertificate` is the PEM of the cluster's certificate authority, for the ConfigMap `kube-root-ca.crt`.
    package init(
        client: KubernetesClient, rootCertificate: String? = nil, clock: WallClock = .system, logger: Logger
    ) {
        self.client = client
        self.rootCertificate = rootCertificate
        self.clock = clock
        self.logger = logger
    }

    /// Runs until cancelled. No controller acts before every informer has its first list.
    package func run() async throws {
        func informer(_ resource: Resource, indexes: [String: Indexer] = [:]) -> Informer {
            Informer(client: client, resource: resource, indexes: indexes, logger: logger)
        }
        let owned = [OwnerIndex.name: OwnerIndex.indexer]
        let deployments = informer(.deployments)
        let sets = informer(.replicaSets, indexes: owned)
        let pods = informer(.pods, indexes: owned)
        let services = informer(.services)
        let slices = informer(
            .endpointSlices, indexes: [EndpointSliceController.serviceIndex: EndpointSliceController.serviceIndexer])
        let namespaces = informer(.namespaces)
        let accounts = informer(.serviceAccounts)
        let maps = informer(.configMaps)
        let collected = [deployments, sets, pods, services, slices, accounts, maps, informer(.secrets)]

        let deploymentEvents = recorder("deployment-controller")
        let setEvents = recorder("replicaset-controller")
        let queues = [
            DeploymentController(
                client: client, deployments: deployments, sets: sets, pods: pods, recorder: deploymentEvents,
                clock: clock, logger: logger
            ).connect(),
            ReplicaSetController(
                client: client, sets: sets, pods: pods, recorder: setEvents, clock: clock, logger: logger
            ).connect(),
            EndpointSliceController(
                client: client, services: services, pods: pods, slices: slices, clock: clock, logger: logger
            ).connect(),
            NamespaceController(
                client: client, namespaces: namespaces, serviceAccounts: accounts, configMaps: maps,
                rootCertificate: rootCertificate, clock: clock, logger: logger
            ).connect(),
        ]
        let garbage = GarbageCollector(client: client, informers: collected, logger: logger).connect()

        let informers = collected + [namespaces]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for informer in informers { group.addTask { await informer.run() } }
            for recorder in [deploymentEvents, setEvents] { group.addTask { await recorder.run() } }
            for informer in informers { try await informer.waitUntilSynced() }
            for queue in queues { group.addTask { await queue.run() } }
            group.addTask { await garbage.run() }
            try await group.waitForAll()
        }
    }

    private func recorder(_ component: String) -> EventRecorder {
        EventRecorder(client: client, component: component, clock: clock, logger: logger)
    }
}
