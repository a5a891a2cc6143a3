// All controllers on one set of informers: what a Kubernetes controller manager is.

import Client
import Logging
import Objects
import Reconciling

/// Runs every controller of this room. Needs a client that may do everything.
package struct ControlLoops: Sendable {
    let client: KubernetesClient
    let rootCertificate: String?
    let volumeStore: (any VolumeStore)?
    let clock: WallClock
    let logger: Logger

    /// `rootCertificate` is the PEM of the cluster's certificate authority, for the ConfigMap `kube-root-ca.crt`;
    /// `volumeStore` makes directories for claims; without it no volume is provisioned.
    package init(
        client: KubernetesClient, rootCertificate: String? = nil, volumeStore: (any VolumeStore)? = nil,
        clock: WallClock = .system, logger: Logger
    ) {
        self.client = client
        self.rootCertificate = rootCertificate
        self.volumeStore = volumeStore
        self.clock = clock
        self.logger = logger
    }

    /// Runs until cancelled. No controller acts before every informer has its first list.
    package func run() async throws {
        let caches = Caches(client: client, logger: logger)
        let recorders = Recorders(client: client, clock: clock, logger: logger)
        let queues =
            workloads(caches, recorders) + network(caches) + policies(caches, recorders)
            + [
                NamespaceController(
                    client: client, namespaces: caches.namespaces, serviceAccounts: caches.serviceAccounts,
                    rootCertificates: caches.rootCertificates, rootCertificate: rootCertificate, clock: clock,
                    logger: logger
                ).connect()
            ]
        let volumes = VolumeController(
            client: client, claims: caches.claims, volumes: caches.volumes, classes: caches.classes, pods: caches.pods,
            store: volumeStore, recorder: recorders.volume, logger: logger)
        let volumeQueue = volumes.connect()
        let garbage = GarbageCollector(client: client, informers: caches.collected, logger: logger).connect()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for informer in caches.all { group.addTask { await informer.run() } }
            for recorder in recorders.all { group.addTask { await recorder.run() } }
            for informer in caches.all { try await informer.waitUntilSynced() }
            for queue in queues { group.addTask { await queue.run() } }
            group.addTask { await garbage.run() }
            volumeQueue.enqueue(.defaultClass)
            group.addTask { await volumeQueue.run() }
            try await group.waitForAll()
        }
    }

    private func workloads(_ caches: Caches, _ recorders: Recorders) -> [Reconciler<ObjectKey>] {
        [
            DeploymentController(
                client: client, deployments: caches.deployments, sets: caches.replicaSets, pods: caches.pods,
                recorder: recorders.deployment, clock: clock, logger: logger
            ).connect(),
            ReplicaSetController(
                client: client, sets: caches.replicaSets, pods: caches.pods, recorder: recorders.replicaSet,
                clock: clock, logger: logger
            ).connect(),
            ReplicaSetController(
                client: client, sets: caches.replicationControllers, pods: caches.pods,
                recorder: recorders.replicationController, clock: clock, logger: logger
            ).connect(),
            StatefulSetController(
                client: client, sets: caches.statefulSets, pods: caches.pods, revisions: caches.revisions,
                claims: caches.claims, recorder: recorders.statefulSet, clock: clock, logger: logger
            ).connect(),
            DaemonSetController(
                client: client, sets: caches.daemonSets, pods: caches.pods, nodes: caches.nodes,
                revisions: caches.revisions, recorder: recorders.daemonSet, clock: clock, logger: logger
            ).connect(),
            JobController(
                client: client, jobs: caches.jobs, pods: caches.pods, recorder: recorders.job, clock: clock,
                logger: logger
            ).connect(),
            CronJobController(
                client: client, cronJobs: caches.cronJobs, jobs: caches.jobs, recorder: recorders.cronJob,
                clock: clock, logger: logger
            ).connect(),
        ]
    }

    private func policies(_ caches: Caches, _ recorders: Recorders) -> [Reconciler<ObjectKey>] {
        [
            DisruptionController(
                client: client, budgets: caches.budgets, pods: caches.pods,
                scaled: [
                    caches.deployments, caches.replicaSets, caches.statefulSets, caches.replicationControllers,
                ], recorder: recorders.disruption, clock: clock, logger: logger
            ).connect(),
            AutoscalerController(
                client: client, autoscalers: caches.autoscalers, pods: caches.pods, recorder: recorders.autoscaler,
                clock: clock, logger: logger
            ).connect(),
            NodeLifecycleController(
                client: client, nodes: caches.nodes, leases: caches.leases, pods: caches.pods,
                recorder: recorders.node, clock: clock, logger: logger
            ).connect(),
        ]
    }

    private func network(_ caches: Caches) -> [Reconciler<ObjectKey>] {
        [
            EndpointSliceController(
                client: client, services: caches.services, pods: caches.pods, slices: caches.slices, clock: clock,
                logger: logger
            ).connect(),
            EndpointsController(
                client: client, services: caches.services, pods: caches.pods, endpoints: caches.endpoints,
                slices: caches.slices, clock: clock, logger: logger
            ).connect(),
        ]
    }
}

/// The informers that the controllers share; each resource is watched once.
private struct Caches {
    let deployments, replicaSets, replicationControllers, statefulSets, daemonSets, revisions: Informer
    let jobs, cronJobs: Informer
    let pods, nodes, leases, services, slices, endpoints: Informer
    let claims, volumes, classes, budgets, autoscalers: Informer
    let namespaces, serviceAccounts, rootCertificates: Informer

    init(client: KubernetesClient, logger: Logger) {
        func informer(_ resource: Resource, indexes: [String: Indexer] = [:]) -> Informer {
            Informer(client: client, resource: resource, indexes: indexes, logger: logger)
        }
        let owned = [OwnerIndex.name: OwnerIndex.indexer]
        deployments = informer(.deployments)
        replicaSets = informer(.replicaSets, indexes: owned)
        replicationControllers = informer(.replicationControllers)
        statefulSets = informer(.statefulSets)
        daemonSets = informer(.daemonSets)
        revisions = informer(.controllerRevisions, indexes: owned)
        jobs = informer(.jobs, indexes: owned)
        cronJobs = informer(.cronJobs)
        pods = informer(
            .pods,
            indexes: [
                OwnerIndex.name: OwnerIndex.indexer,
                NodeLifecycleController.nodeIndex: NodeLifecycleController.nodeIndexer,
            ])
        nodes = informer(.nodes)
        leases = Informer(
            client: client, resource: .leases,
            selection: Selection(namespace: NodeLifecycleController.leaseNamespace), logger: logger)
        services = informer(.services)
        slices = informer(
            .endpointSlices, indexes: [EndpointSliceController.serviceIndex: EndpointSliceController.serviceIndexer])
        endpoints = informer(.endpoints)
        claims = informer(.persistentVolumeClaims)
        volumes = informer(.persistentVolumes)
        classes = informer(.storageClasses)
        budgets = informer(.podDisruptionBudgets)
        autoscalers = informer(.horizontalPodAutoscalers)
        namespaces = informer(.namespaces)
        serviceAccounts = informer(.serviceAccounts)
        rootCertificates = Informer(
            client: client, resource: .configMaps,
            selection: Selection(fields: "metadata.name=\(NamespaceController.rootCertificateName)"), logger: logger)
    }

    /// What the garbage collector follows here. It follows the metadata of everything else by itself; ConfigMaps and
    /// Secrets too, which are many and large and which no controller reads.
    var collected: [Informer] {
        [
            deployments, replicaSets, replicationControllers, statefulSets, daemonSets, revisions, jobs, cronJobs, pods,
            services, slices, endpoints, claims, budgets, autoscalers, serviceAccounts,
        ]
    }

    var all: [Informer] { collected + [namespaces, nodes, leases, volumes, classes, rootCertificates] }
}

/// Who reports what happens, under upstream's component names.
private struct Recorders {
    let deployment, replicaSet, replicationController, statefulSet, daemonSet, job, cronJob: EventRecorder
    let disruption, autoscaler, node, volume: EventRecorder

    init(client: KubernetesClient, clock: WallClock, logger: Logger) {
        func recorder(_ component: String) -> EventRecorder {
            EventRecorder(client: client, component: component, clock: clock, logger: logger)
        }
        deployment = recorder("deployment-controller")
        replicaSet = recorder("replicaset-controller")
        replicationController = recorder("replication-controller")
        statefulSet = recorder("statefulset-controller")
        daemonSet = recorder("daemonset-controller")
        job = recorder("job-controller")
        cronJob = recorder("cronjob-controller")
        disruption = recorder("controllermanager")
        autoscaler = recorder("horizontal-pod-autoscaler")
        node = recorder("node-controller")
        volume = recorder("persistentvolume-controller")
    }

    var all: [EventRecorder] {
        [
            deployment, replicaSet, replicationController, statefulSet, daemonSet, job, cronJob, disruption, autoscaler,
            node, volume,
        ]
    }
}
