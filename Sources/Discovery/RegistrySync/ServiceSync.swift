// Carries services both ways between Kubernetes and the catalogue.

import Catalogue
import Client
import Configurations
import Logging
import Objects
import Reconciling
import Synchronization

/// Imports Services with their EndpointSlices into the catalogue, and exports what the catalogue knows from elsewhere
/// as Services with EndpointSlices of their own.
///
/// Calls `sourceSynced(.kubernetes)` once everything that Kubernetes knows, earlier exports included, is in the
/// catalogue; exports begin when the catalogue is complete. Needs `run()` to be running.
package final class ServiceSync: Sendable {
    /// A Service made here stays for so long after its last instance, so that a writer that restarts finds its address
    /// kept.
    package static let emptyServiceRetention: Duration = .seconds(5)
    /// Changes within so long of each other lead to one look at a service.
    package static let exportWindow: Duration = .milliseconds(20)
    /// Instances warned about, so that each is once; beyond this many none is.
    private static let warningLimit = 1_000

    private static let catalogueIndex = "catalogue"
    private static let serviceIndex = "service"
    private static let replicaIndex = "replica"

    private let client: KubernetesClient
    private let catalogue: ServiceCatalogue
    private let logger: Logger
    private let services: Informer
    private let slices: Informer
    /// Since when services are without instances.
    private let emptySince = Mutex<[ServiceName: ContinuousClock.Instant]>([:])
    private let warned = Mutex<Set<String>>([])
    private let configurations: any ConfigStore
    private let table: InterfaceTableSync
    private let replica: ReplicaExports

    /// `configurations`, which somebody else runs, hold Dubbo's tables. `membership` says which of several replicas
    /// this is: each exports what its own clients declared, and shows its own consumers what the others exported. Nil
    /// where there is only this one.
    package init(
        client: KubernetesClient, catalogue: ServiceCatalogue, configurations: any ConfigStore,
        membership: Membership? = nil, logger: Logger
    ) {
        let replica = ReplicaExports(membership: membership)
        self.replica = replica
        self.client = client
        self.catalogue = catalogue
        self.logger = logger
        self.configurations = configurations
        table = InterfaceTableSync(catalogue: catalogue, configurations: configurations, logger: logger)
        services = Informer(
            client: client, resource: .services,
            indexes: [Self.catalogueIndex: { [ServiceName(service: $0).description] }], logger: logger)
        slices = Informer(
            client: client, resource: .endpointSlices,
            indexes: [
                Self.serviceIndex: { [Self.owner(of: $0).description] },
                // Only exports are looked up by what they were exported for.
                Self.catalogueIndex: { replica.isOwn($0) ? [ServiceName(slice: $0).description] : [] },
                Self.replicaIndex: { slice in
                    replica.other(slice).map { ["\($0) \(ServiceName(slice: slice))"] } ?? []
                },
            ], logger: logger)
    }

    /// Synchronises until cancelled.
    package func run() async throws {
        let exports = Reconciler<ServiceName>(name: "registry-sync", logger: logger) { [self] in try await export($0) }
        observe(exports)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.services.run() }
            group.addTask { await self.slices.run() }
            group.addTask {
                await self.replica.clear(
                    self.catalogue, self.logger, slices: { self.slices.list() }, services: { self.standing(for: $0) },
                    perform: { try await self.perform($0) })
            }
            group.addTask {
                // Only cancellation ends the wait for the informers.
                guard (try? await self.services.waitUntilSynced()) != nil,
                    (try? await self.slices.waitUntilSynced()) != nil
                else { return }
                await self.configurations.waitUntilComplete()
                guard !Task.isCancelled else { return }
                self.adopt()
                self.table.adopt()
                self.catalogue.sourceSynced(.kubernetes)
                await self.catalogue.waitUntilComplete()
                await self.exportChanges(to: exports)
            }
            await group.waitForAll()
        }
    }

    /// Whether everything that Kubernetes knows has been seen once.
    package var isSynced: Bool { services.isSynced && slices.isSynced }

    // MARK: Import

    private static func owner(of slice: Object) -> ObjectKey {
        ObjectKey(namespace: slice.namespace, name: slice.labels[ExportMark.sliceService] ?? "")
    }

    private func observe(_ exports: Reconciler<ServiceName>) {
        services.onChange { [self] change in
            let names = Set([change.old, change.new].compactMap { $0.map(ServiceName.init(service:)) })
            for name in names {
                refresh(name)
                exports.enqueue(name)
            }
        }
        slices.onChange { [self] change in
            for slice in [change.old, change.new].compactMap({ $0 }) {
                if let other = replica.other(slice) {
                    refresh(ServiceName(slice: slice), of: other)
                    exports.enqueue(ServiceName(slice: slice))
                } else if ExportMark.isOwn(slice: slice) {
                    exports.enqueue(ServiceName(slice: slice))
                } else if let service = services.get(Self.owner(of: slice)) {
                    refresh(ServiceName(service: service))
                }
            }
        }
    }

    /// Puts what Kubernetes knows of a catalogue service into the catalogue. Several Services may stand for the same.
    private func refresh(_ name: ServiceName) {
        let instances = services.indexed(Self.catalogueIndex, name.description).flatMap { service in
            ImportMachine.instances(
                of: service, slices: slices.indexed(Self.serviceIndex, service.key.description))
        }
        catalogue.replace(instances, of: .kubernetes, as: name)
    }

    /// Puts what another replica has exported of a service into the catalogue.
    private func refresh(_ name: ServiceName, of other: String) {
        let instances = slices.indexed(Self.replicaIndex, "\(other) \(name)").flatMap {
            replica.instances(in: $0, of: other)
        }
        do {
            try catalogue.replace(instances, heldBy: other, as: name)
        } catch {
            logger.error(
                "what another replica exported is not shown here",
                metadata: ["service": "\(name)", "error": "\(error)"])
        }
    }

    /// Puts earlier exports back, except where their writers have come already.
    private func adopt() {
        var count = 0
        for slice in slices.list() where replica.isOwn(slice) {
            let name = ServiceName(slice: slice)
            let known = catalogue.snapshot(of: name).records.filter { !$0.isImplied }
            for instance in RawInstance.adopted(from: slice) {
                let isKnown = known.contains {
                    $0.origin == instance.origin && $0.address == instance.address && $0.port == instance.port
                        && $0.cluster == instance.cluster
                }
                if isKnown { continue }
                do {
                    try catalogue.register(instance, as: name)
                    count += 1
                } catch {
                    logger.error(
                        "an exported instance was not taken back",
                        metadata: [
                            "service": "\(name)", "error": "\(error)",
                        ])
                }
            }
        }
        if count > 0 { logger.info("took back instances exported earlier", metadata: ["count": "\(count)"]) }
    }

    // MARK: Export

    private func exportChanges(to exports: Reconciler<ServiceName>) async {
        let feed = catalogue.changes(coalescedOver: Self.exportWindow)
        enqueueAll(exports)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await exports.run() }
            group.addTask { await self.table.run() }
            group.addTask {
                while let changes = await feed.next() {
                    switch changes {
                    case .names(let names):
                        // Of the others nothing is ever exported.
                        for name in names where NamespaceMaking.isOpen(name.namespace) { exports.enqueue(name) }
                    case .everything: self.enqueueAll(exports)
                    }
                }
            }
            await group.waitForAll()
        }
    }

    private func enqueueAll(_ exports: Reconciler<ServiceName>) {
        for name in catalogue.services() { exports.enqueue(name) }
        for service in services.list() where ExportMark.isOwn(service: service) {
            exports.enqueue(ServiceName(service: service))
        }
        for slice in slices.list() where replica.isOwn(slice) { exports.enqueue(ServiceName(slice: slice)) }
    }

    private func export(_ name: ServiceName) async throws -> Outcome {
        let isOpen = NamespaceMaking.isOpen(name.namespace)
        let foreign = isOpen ? catalogue.snapshot(of: name).instances(foreignTo: .kubernetes) : []
        let instances = foreign.filter { !$0.lifetime.isElsewhere }
        let standing = standing(for: name)
        let ownKey = ObjectKey(namespace: name.namespace, name: name.kubernetesName)
        let emptyFor = emptyDuration(name, isEmpty: instances.isEmpty)
        let plan = ExportMachine.plan(
            name, instances: instances, services: standing,
            slices: slices.indexed(Self.catalogueIndex, name.description),
            keepsService: emptyFor < Self.emptyServiceRetention || isUsedElsewhere(ownKey), replica: replica.identity)
        warn(plan, of: name)
        do {
            for action in plan.actions { try await perform(action) }
        } catch let problem as Problem where problem.isOfNamespace {
            return try await NamespaceMaking.make(name.namespace, client, logger) ? .again(after: .zero) : .done
        }
        let isKept = instances.isEmpty && standing.contains(where: ExportMark.isOwn(service:))
        guard isKept else {
            if instances.isEmpty { emptySince.withLock { $0[name] = nil } }
            return .done
        }
        return emptyFor < Self.emptyServiceRetention ? .again(after: Self.emptyServiceRetention - emptyFor) : .done
    }

    /// The Services that stand for a catalogue service, and the one in the way, if any.
    private func standing(for name: ServiceName) -> [Object] {
        var standing = services.indexed(Self.catalogueIndex, name.description)
        let ownKey = ObjectKey(namespace: name.namespace, name: name.kubernetesName)
        if let inTheWay = services.get(ownKey), !standing.contains(where: { $0.key == ownKey }) {
            standing.append(inTheWay)
        }
        return standing
    }

    /// Whether another replica exports to a Service.
    private func isUsedElsewhere(_ service: ObjectKey) -> Bool {
        slices.indexed(Self.serviceIndex, service.description).contains { replica.other($0) != nil }
    }

    private func warn(_ plan: ExportPlan, of name: ServiceName) {
        func isNew(_ address: String) -> Bool {
            warned.withLock { $0.count < Self.warningLimit && $0.insert("\(name) \(address)").inserted }
        }
        for address in plan.unusable where isNew(address) {
            logger.warning(
                "this instance gets no endpoint in Kubernetes: its address means nothing elsewhere",
                metadata: ["service": "\(name)", "address": "\(address)"])
        }
        for address in plan.unkept where isNew(address) {
            logger.warning(
                "this instance's metadata is too long to be kept over a restart; shorten it",
                metadata: ["service": "\(name)", "address": "\(address)"])
        }
    }

    private func emptyDuration(_ name: ServiceName, isEmpty: Bool) -> Duration {
        let now = ContinuousClock.now
        return emptySince.withLock { since in
            guard isEmpty else {
                since[name] = nil
                return .zero
            }
            let start = since[name] ?? now
            since[name] = start
            return now - start
        }
    }

    private func perform(_ action: ExportAction) async throws {
        switch action {
        case .createService(let service): try await client.create(.services, service)
        case .createSlice(let slice): try await client.create(.endpointSlices, slice)
        case .updateSlice(let slice): try await client.update(.endpointSlices, slice)
        case .deleteService(let service): try await delete(.services, service)
        case .deleteSlice(let slice): try await delete(.endpointSlices, slice)
        }
    }

    private func delete(_ resource: Resource, _ object: Object) async throws {
        do {
            try await client.delete(resource, object.key, uid: object.uid)
        } catch let problem as Problem where problem.code == 404 {
            // Somebody else was quicker.
        }
    }
}
