// Records of services in the cluster, each a ConfigMap, and the persistent instances that follow from them.

import Catalogue
import Client
import Configurations
import Formats
import Logging
import Objects
import Reconciling
import Synchronization
import Timing

/// Keeps records of services as ConfigMaps and puts their persistent instances into the catalogue. Needs `run()`.
package final class ClusterServices: ServiceStore {
    static let label = "mangrove.dev/nacos"
    static let labelValue = "service"
    static let serviceAnnotation = "mangrove.dev/service"
    static let dataKey = "service.json"
    /// A ConfigMap holds no more than 1 MiB.
    static let largestRecordBytes = 900 << 10
    static let attempts = 8
    /// How long a writer waits to see its own write in memory; it is stored by then.
    static let visibilityPatience: Duration = .seconds(5)

    private struct Shown: Sendable {
        var service: ServiceName
        var record: ServiceRecord
        var revision: UInt64
    }

    private struct State {
        var shown: [ObjectKey: Shown] = [:]
        var keys: [ServiceName: ObjectKey] = [:]
    }

    private struct Written: Sendable {
        var key: ObjectKey
        /// 0 when the record is gone.
        var revision: UInt64
    }

    private let client: KubernetesClient
    private let catalogue: ServiceCatalogue
    private let logger: Logger
    private let informer: Informer
    private let state = Mutex(State())
    /// Writers who wait to see what they wrote.
    private let writers = WaitingRoom<Written>()

    package init(client: KubernetesClient, catalogue: ServiceCatalogue, logger: Logger) {
        self.client = client
        self.catalogue = catalogue
        self.logger = logger
        informer = Informer(
            client: client, resource: .configMaps,
            selection: Selection(labels: "\(Self.label)=\(Self.labelValue)"), logger: logger)
    }

    /// Follows the cluster until cancelled.
    package func run() async {
        informer.onChange { [self] change in follow(change) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.informer.run() }
            group.addTask {
                await self.waitUntilComplete()
                await self.catalogue.waitUntilComplete()
                if !Task.isCancelled { self.dropUnknown() }
            }
            await group.waitForAll()
        }
    }

    package var isComplete: Bool { informer.isSynced }

    package func waitUntilComplete() async {
        // Only cancellation ends the wait early.
        try? await informer.waitUntilSynced()
    }

    package func record(of service: ServiceName) -> ServiceRecord {
        state.withLock { state in state.keys[service].flatMap { state.shown[$0]?.record } } ?? ServiceRecord()
    }

    package func declared() -> [ServiceName] {
        state.withLock { $0.shown.values.filter(\.record.isDeclared).map(\.service) }
    }

    // MARK: Following

    /// The catalogue is brought in line first: a writer that sees its write sees what follows from it.
    private func follow(_ change: Change) {
        let shown = change.new.flatMap(Self.shown)
        let before = state.withLock { $0.shown[change.key] }
        project(before, shown)
        state.withLock { state in
            state.shown[change.key] = shown
            if let before, shown?.service != before.service { state.keys[before.service] = nil }
            if let shown { state.keys[shown.service] = change.key }
        }
        writers.wake { shows($0) }
    }

    private func shows(_ written: Written) -> Bool {
        guard let revision = state.withLock({ $0.shown[written.key]?.revision }) else { return written.revision == 0 }
        return written.revision != 0 && revision >= written.revision
    }

    private static func shown(_ object: Object) -> Shown? {
        guard let text = object.annotations[serviceAnnotation], !object.isTerminating,
            let service = try? NacosNames.service(namespace: object.namespace, group: nil, name: text)
        else { return nil }
        let tree = object["data", dataKey]?.string.flatMap { try? JSON(parsing: $0) } ?? [:]
        return Shown(service: service, record: ServiceRecord(tree), revision: UInt64(object.resourceVersion) ?? 0)
    }

    /// Brings the catalogue's persistent instances in line with a record.
    private func project(_ before: Shown?, _ after: Shown?) {
        if let before {
            let kept = after?.service == before.service ? after?.record.instances ?? [:] : [:]
            for place in before.record.instances.keys where kept[place] == nil {
                catalogue.deregister(
                    address: place.ip, port: place.port, cluster: place.cluster, of: .nacos, from: before.service)
            }
        }
        guard let after else { return }
        for instance in after.record.instances.values {
            do throws(CatalogueProblem) {
                try catalogue.register(instance.instance(lifetime: .persistent), as: after.service)
            } catch {
                logger.error(
                    "a persistent instance is not shown",
                    metadata: ["service": "\(after.service)", "error": "\(error)"])
            }
        }
    }

    /// An instance that was put back from an older export, and has been deregistered since, goes.
    private func dropUnknown() {
        for service in catalogue.services() {
            let known = record(of: service).instances
            for instance in catalogue.snapshot(of: service).records
            where instance.origin == .nacos && instance.lifetime == .persistent && !instance.isImplied
                && known[instance.place] == nil
            {
                catalogue.deregister(
                    address: instance.address, port: instance.port, cluster: instance.cluster, of: .nacos, from: service
                )
            }
        }
    }

    // MARK: Writing

    package func change(
        _ service: ServiceName, _ edit: @escaping @Sendable (inout ServiceRecord) -> Void
    ) async throws(ServiceStoreProblem) {
        guard isComplete else { throw .starting }
        let key = state.withLock { $0.keys[service] } ?? Self.key(of: service)
        var current = informer.get(key)
        for _ in 0..<Self.attempts {
            var record = current.flatMap(Self.shown)?.record ?? ServiceRecord()
            let before = record
            edit(&record)
            if record == before { return }
            let text = record.tree.text
            guard text.utf8.count <= Self.largestRecordBytes else {
                throw .full("service \(service) holds more than \(Self.largestRecordBytes) bytes, its limit")
            }
            do {
                let written = Written(
                    key: key, revision: try await write(record, text, service, key, over: current))
                return await atMost(Self.visibilityPatience) { [self] in
                    await writers.wait(for: written) { shows($0) }
                }
            } catch let problem as Problem where problem.code == 409 || (problem.code == 404 && !problem.isOfNamespace)
            {
                current = try await stored(key)
            } catch let problem as Problem {
                guard problem.isOfNamespace else { throw .notStored(problem.message) }
                try await makeNamespace(service.namespace)
            } catch {
                throw .notStored("\(error)")
            }
        }
        throw .notStored("\(Self.attempts) times another writer was faster")
    }

    private func makeNamespace(_ name: String) async throws(ServiceStoreProblem) {
        let isThere: Bool
        do {
            isThere = try await NamespaceMaking.make(name, client, logger)
        } catch {
            throw .notStored("its namespace '\(name)' could not be made: \(error)")
        }
        if !isThere { throw .noNamespace(name) }
    }

    /// Writes and returns the revision; 0 when the record is empty and its ConfigMap gone.
    private func write(
        _ record: ServiceRecord, _ text: String, _ service: ServiceName, _ key: ObjectKey, over current: Object?
    ) async throws -> UInt64 {
        if let current, record.isEmpty {
            try await client.delete(
                .configMaps, key, uid: current.uid, resourceVersion: current.resourceVersion)
            return 0
        }
        var object = current ?? Object(.configMaps, namespace: key.namespace, name: key.name)
        object.labels[Self.label] = Self.labelValue
        object.annotations[Self.serviceAnnotation] = NacosNames.grouped(service)
        object["data"] = [Self.dataKey: .string(text)]
        let stored =
            current == nil
            ? try await client.create(.configMaps, object) : try await client.update(.configMaps, object)
        return UInt64(stored.resourceVersion) ?? 0
    }

    private func stored(_ key: ObjectKey) async throws(ServiceStoreProblem) -> Object? {
        do {
            return try await client.find(.configMaps, key)
        } catch {
            throw .notStored("\(error)")
        }
    }

    private static func key(of service: ServiceName) -> ObjectKey {
        let name = ConfigMapName.make(prefix: "nacos-service", rest: service.name, whole: NacosNames.grouped(service))
        return ObjectKey(namespace: service.namespace, name: name)
    }
}
