// What the versions of the HTTP API and gRPC do to services and instances; each puts it in its own form.

import Catalogue
import Formats

/// What a request changes of an instance; nil leaves it.
struct InstanceChange: Sendable {
    var weight: Double?
    var enabled: Bool?
    var healthy: Bool?
    var metadata: [String: String]?
}

struct NamingOperations: Sendable {
    let backend: Backend

    private var catalogue: ServiceCatalogue { backend.catalogue }

    /// `CommonParams.CODE` of a beat: taken, or unknown so that the client registers again.
    static let beatTaken = 10_200
    static let beatUnknown = 20_404

    // MARK: Writers

    /// A leased instance, or a persistent one that is stored when this returns.
    func register(_ declared: NacosInstance, as service: ServiceName) async throws(NacosProblem) {
        if try registerLeased(declared, as: service) { return }
        try await change(service) { $0.instances[declared.place] = declared }
    }

    /// Registers what needs no waiting: what lives by its beats. False for a persistent one.
    func registerLeased(_ declared: NacosInstance, as service: ServiceName) throws(NacosProblem) -> Bool {
        guard declared.ephemeral else { return false }
        try keep(declared, as: service)
        return true
    }

    private func keep(_ declared: NacosInstance, as service: ServiceName) throws(NacosProblem) {
        let amended = backend.services.record(of: service).amended(declared)
        do throws(CatalogueProblem) {
            try catalogue.register(amended.instance(lifetime: .lease(declared.lease)), as: service)
        } catch {
            throw NacosProblem(error)
        }
    }

    /// Takes back what was declared at a place. Without a word on its kind a persistent one goes too.
    func deregister(_ place: InstancePlace, isPersistent: Bool?, from service: ServiceName) async throws(NacosProblem) {
        let record = backend.services.record(of: service)
        if record.instances[place] != nil {
            if isPersistent == false { return }
            return try await change(service) {
                $0.instances[place] = nil
                $0.overrides[place] = nil
            }
        }
        catalogue.deregister(address: place.ip, port: place.port, cluster: place.cluster, of: .nacos, from: service)
        if record.overrides[place] != nil { try await change(service) { $0.overrides[place] = nil } }
    }

    /// Changes an instance that was declared through Nacos, whoever holds it. What a writer on a connection declares
    /// again stays changed.
    func update(
        _ place: InstancePlace, _ change: InstanceChange, of service: ServiceName
    ) async throws(NacosProblem) {
        let record = backend.services.record(of: service)
        if var instance = record.instances[place] {
            instance.apply(change)
            let changed = instance
            return try await self.change(service) { $0.instances[place] = changed }
        }
        let known = catalogue.snapshot(of: service).records.filter {
            $0.origin == .nacos && $0.place == place && !$0.isImplied
        }
        guard let first = known.first else {
            throw .noSuchInstance("instance not found, ip=\(place.ip), port=\(place.port), cluster=\(place.cluster)")
        }
        if case .lease = first.lifetime {
            var declared = NacosInstance(first)
            declared.apply(change)
            return try keep(declared, as: service)
        }
        try await self.change(service) { record in
            var override = record.overrides[place] ?? InstanceOverride()
            override.weight = change.weight ?? override.weight
            override.enabled = change.enabled ?? override.enabled
            override.metadata = change.metadata ?? override.metadata
            record.overrides[place] = override
        }
        for instance in known {
            guard case .connection(let connection) = instance.lifetime else { continue }
            try declareAgain(heldBy: connection, of: service)
        }
    }

    /// Puts a connection's instances of a service in again, as they are amended now.
    private func declareAgain(heldBy connection: String, of service: ServiceName) throws(NacosProblem) {
        let record = backend.services.record(of: service)
        let instances = catalogue.snapshot(of: service).records.compactMap { instance -> Instance? in
            guard instance.lifetime == .connection(connection), !instance.isImplied else { return nil }
            return record.amended(NacosInstance(instance)).instance(lifetime: instance.lifetime)
        }
        do throws(CatalogueProblem) {
            try catalogue.replace(instances, heldBy: connection, as: service)
        } catch {
            throw NacosProblem(error)
        }
    }

    /// A beat renews; a full one also registers what is not known. Clients register again where the answer is false.
    func beat(_ place: InstancePlace, full: NacosInstance?, of service: ServiceName) throws(NacosProblem) -> Bool {
        if catalogue.renew(address: place.ip, port: place.port, cluster: place.cluster, of: .nacos, for: service) {
            return true
        }
        if backend.services.record(of: service).instances[place] != nil { return true }
        guard let full else { return false }
        try keep(full, as: service)
        return true
    }

    /// Whether a persistent instance is healthy; nothing checks it here.
    func setHealth(_ place: InstancePlace, _ isHealthy: Bool, of service: ServiceName) async throws(NacosProblem) {
        guard backend.services.record(of: service).instances[place] != nil else {
            throw .noSuchInstance("no persistent instance \(place.ip):\(place.port) of \(NacosNames.grouped(service))")
        }
        try await change(service) { $0.instances[place]?.healthy = isHealthy }
    }

    func change(
        _ service: ServiceName, _ edit: @escaping @Sendable (inout ServiceRecord) -> Void
    ) async throws(NacosProblem) {
        do throws(ServiceStoreProblem) {
            try await backend.services.change(service, edit)
        } catch {
            throw NacosProblem(error)
        }
    }

    // MARK: Readers

    /// Instances of a list that is made without a task.
    private static let mostListedAtOnce = 1_000

    /// Whether a service's list needs neither waiting nor much work.
    func canListAtOnce(_ service: ServiceName) -> Bool {
        catalogue.isComplete && backend.services.isComplete
            && catalogue.snapshot(of: service).instances.count <= Self.mostListedAtOnce
    }

    /// Makes a long list before event loops come to push it, which it would hold up.
    func prepareList(_ service: ServiceName) {
        let snapshot = catalogue.snapshot(of: service)
        guard snapshot.instances.count > Self.mostListedAtOnce else { return }
        _ = info(snapshot, ServiceSelection(), .connected)
    }

    func info(
        _ snapshot: ServiceSnapshot, _ selection: ServiceSelection, _ form: ServiceInfoForm
    ) -> [UInt8] {
        backend.rendering.bytes(
            snapshot, selection, form,
            protectionThreshold: backend.services.record(of: snapshot.service).protectionThreshold)
    }

    func instance(_ ip: String, _ port: Int, cluster: String?, of service: ServiceName) throws(NacosProblem) -> Instance
    {
        let found = catalogue.snapshot(of: service).instances.first {
            $0.address == ip && $0.port == port && (cluster == nil || $0.cluster == cluster)
        }
        guard let found else { throw .noSuchInstance("no matched ip found!") }
        return found
    }

    /// All services: those with instances and those that were made and are empty, sorted.
    func services(namespace: String) -> [ServiceName] {
        var all = Set(catalogue.services().filter { $0.namespace == namespace })
        for service in backend.services.declared() where service.namespace == namespace { all.insert(service) }
        return all.sorted()
    }

    func exists(_ service: ServiceName) -> Bool {
        !catalogue.snapshot(of: service).isEmpty || backend.services.record(of: service).isDeclared
    }

    // MARK: Services

    func create(
        _ service: ServiceName, protectionThreshold: Double, metadata: [String: String]
    ) async throws(NacosProblem) {
        guard !exists(service) else {
            throw .serviceExists("specified service already exists, serviceName : \(NacosNames.grouped(service))")
        }
        try await change(service) { record in
            record.isDeclared = true
            record.protectionThreshold = protectionThreshold
            record.metadata = metadata
        }
    }

    func update(
        _ service: ServiceName, protectionThreshold: Double?, metadata: [String: String]?
    ) async throws(NacosProblem) {
        guard exists(service) else { throw .noSuchService("service not found: \(NacosNames.grouped(service))") }
        try await change(service) { record in
            record.isDeclared = true
            if let protectionThreshold { record.protectionThreshold = protectionThreshold }
            if let metadata { record.metadata = metadata }
        }
    }

    func remove(_ service: ServiceName) async throws(NacosProblem) {
        guard exists(service) else { throw .noSuchService("service not found: \(NacosNames.grouped(service))") }
        guard catalogue.snapshot(of: service).isEmpty else {
            throw .serviceNotEmpty(
                "Service \(NacosNames.grouped(service)) is not empty, can't be delete. Please unregister instance first"
            )
        }
        try await change(service) { record in record = ServiceRecord() }
    }
}

/// A page of anything.
enum Page {
    static let largest = 500

    /// The entries of a page, which counts from 1.
    static func of<Entry>(_ all: [Entry], number: Int, size: Int) -> [Entry] {
        let size = min(max(size, 1), largest)
        let skipped = (max(number, 1) - 1).multipliedReportingOverflow(by: size)
        guard !skipped.overflow else { return [] }
        return Array(all.dropFirst(skipped.partialValue).prefix(size))
    }

    static func count(_ total: Int, size: Int) -> Int {
        let size = min(max(size, 1), largest)
        return (total + size - 1) / size
    }
}

extension NacosInstance {
    /// The instance back from the catalogue.
    init(_ instance: Instance) {
        id = instance.id
        ip = instance.address
        port = instance.port
        weight = instance.weight
        healthy = instance.isHealthy
        enabled = instance.isEnabled
        ephemeral = instance.lifetime != .persistent
        cluster = instance.cluster
        metadata = instance.metadata
    }

    mutating func apply(_ change: InstanceChange) {
        if let weight = change.weight { self.weight = weight }
        if let enabled = change.enabled { self.enabled = enabled }
        if let healthy = change.healthy { self.healthy = healthy }
        if let metadata = change.metadata { self.metadata = metadata }
    }
}
