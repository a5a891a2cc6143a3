// The catalogue's state: records by service, leases, withdrawn addresses, and which sources have told all they know.

/// What the machine asks its shell to do.
package enum CatalogueAction: Hashable, Sendable {
    /// These services look different now: wake the feeds.
    case changed(Set<ServiceName>)
    /// Fewer subscribers may be outstanding: look at the waiting again.
    case acknowledgementsMoved
    /// Every declared source has delivered its first full picture.
    case completed
}

/// A record's place: one writer's word about one address, port and cluster of a service.
struct RecordKey: Hashable, Sendable {
    var origin: Origin
    /// The connection that holds it, or empty. An instance that two connections declare outlives either.
    var holder: String
    var address: String
    var port: Int
    var cluster: String

    init(_ instance: Instance) {
        origin = instance.origin
        holder = instance.lifetime.holder
        address = instance.address
        port = instance.port
        cluster = instance.cluster
    }
}

/// The pure part of `ServiceCatalogue`. Inputs are past-tense methods; what follows from them is taken by `drain()`.
package struct CatalogueMachine: Sendable {
    struct Record: Sendable {
        var instance: Instance
        var lastBeat: ContinuousClock.Instant
        /// Later declarations of the same instance win over earlier ones.
        var order: UInt64

        var rank: (Int, UInt64) { (instance.lifetime.holder.isEmpty ? 0 : 1, order) }
    }

    struct Entry: Sendable {
        var records: [RecordKey: Record] = [:]
        var snapshot: ServiceSnapshot
    }

    let limits: CatalogueLimits
    var entries: [ServiceName: Entry] = [:]
    var subscriptions = SubscriptionMachine()
    private(set) var withdrawn: Set<String> = []
    private var unsynced: Set<Origin>
    private var version: UInt64
    private var recordCount = 0
    private var changed: Set<ServiceName> = []
    private var acknowledgementsMoved = false
    private var justCompleted = false

    /// `firstVersion` should come from the clock in milliseconds, so that versions also grow across restarts.
    package init(sources: Set<Origin>, firstVersion: UInt64, limits: CatalogueLimits = CatalogueLimits()) {
        unsynced = sources
        version = firstVersion
        self.limits = limits
    }

    /// False until every declared source is synced: until then nobody may conclude anything from what is missing.
    package var isComplete: Bool { unsynced.isEmpty }

    /// The services that have instances to show, sorted.
    package var services: [ServiceName] {
        entries.filter { !$0.value.snapshot.isEmpty }.keys.sorted()
    }

    package func snapshot(of service: ServiceName) -> ServiceSnapshot {
        entries[service]?.snapshot ?? ServiceSnapshot(service: service, version: version, records: [])
    }

    /// Takes what the events since the last call lead to.
    package mutating func drain() -> [CatalogueAction] {
        var actions: [CatalogueAction] = []
        if !changed.isEmpty { actions.append(.changed(changed)) }
        if acknowledgementsMoved { actions.append(.acknowledgementsMoved) }
        if justCompleted { actions.append(.completed) }
        changed = []
        acknowledgementsMoved = false
        justCompleted = false
        return actions
    }

    // MARK: Records

    /// A writer declared an instance; a lease by the same words is superseded.
    package mutating func registered(
        _ instance: Instance, as service: ServiceName, now: ContinuousClock.Instant
    ) throws(CatalogueProblem) {
        let key = RecordKey(instance)
        if entries[service]?.records[key] == nil {
            guard recordCount < limits.records else { throw .tooManyRecords(limit: limits.records) }
        }
        store(instance, as: service, now: now)
        refresh(service)
    }

    /// The whole set of one connection's instances of a service is now this one.
    package mutating func replaced(
        _ instances: [Instance], heldBy connection: String, as service: ServiceName, now: ContinuousClock.Instant
    ) throws(CatalogueProblem) {
        guard recordCount + instances.count <= limits.records else {
            throw .tooManyRecords(limit: limits.records)
        }
        remove(from: service) { $0.holder == connection }
        for instance in instances { store(instance, as: service, now: now) }
        refresh(service)
    }

    /// The whole set of one origin's instances of a service is now this one.
    package mutating func replaced(
        _ instances: [Instance], of origin: Origin, as service: ServiceName, now: ContinuousClock.Instant
    ) {
        remove(from: service) { $0.origin == origin }
        for instance in instances where instance.origin == origin { store(instance, as: service, now: now) }
        refresh(service)
    }

    /// A writer took back an instance that no connection holds. Returns whether there was one.
    @discardableResult
    package mutating func deregistered(
        address: String, port: Int, cluster: String, of origin: Origin, from service: ServiceName
    ) -> Bool {
        let count = remove(from: service) {
            $0.origin == origin && $0.holder.isEmpty && $0.address == address && $0.port == port
                && $0.cluster == cluster
        }
        refresh(service)
        return count > 0
    }

    /// A connection took back what it had declared of a service.
    @discardableResult
    package mutating func deregistered(heldBy connection: String, from service: ServiceName) -> Bool {
        let count = remove(from: service) { $0.holder == connection }
        refresh(service)
        return count > 0
    }

    /// A beat came. False when there is no such lease, or an adopted one: the writer has to register again.
    package mutating func beaten(
        address: String, port: Int, cluster: String, of origin: Origin, for service: ServiceName,
        now: ContinuousClock.Instant
    ) -> Bool {
        let key = RecordKey(
            Instance(address: address, port: port, cluster: cluster, lifetime: .persistent, origin: origin))
        guard var record = entries[service]?.records[key] else { return false }
        guard let lease = record.instance.lifetime.lease, !lease.isAdopted else { return false }
        record.lastBeat = now
        let revives = !record.instance.isHealthy
        record.instance.isHealthy = true
        entries[service]?.records[key] = record
        if revives { refresh(service) }
        return true
    }

    /// A connection ended: what it declared and what it looked at goes at once.
    package mutating func connectionClosed(_ connection: String, subscriber: SubscriberID?) {
        for service in Array(entries.keys) {
            if remove(from: service, where: { $0.holder == connection }) > 0 { refresh(service) }
        }
        if let subscriber { unsubscribed(subscriber) }
    }

    /// Time passed: leases turn unhealthy or end, and pollers that stopped polling are forgotten.
    package mutating func timePassed(now: ContinuousClock.Instant) {
        for (service, entry) in entries {
            var isTouched = false
            for (key, record) in entry.records {
                guard let lease = record.instance.lifetime.lease else { continue }
                let silence = record.lastBeat.duration(to: now)
                if silence >= .milliseconds(lease.removedAfterMilliseconds) {
                    isTouched = remove(from: service) { $0 == key } > 0 || isTouched
                } else if silence >= .milliseconds(lease.unhealthyAfterMilliseconds), record.instance.isHealthy {
                    entries[service]?.records[key]?.instance.isHealthy = false
                    isTouched = true
                }
            }
            if isTouched { refresh(service) }
        }
        if subscriptions.timePassed(now: now) { acknowledgementsMoved = true }
    }

    // MARK: Withdrawal

    /// An address is leaving: from now on nothing at it is shown, whoever declares it.
    package mutating func withdrew(address: String) {
        guard withdrawn.insert(address).inserted else { return }
        for (service, entry) in entries where entry.snapshot.addresses.contains(address) { refresh(service) }
    }

    /// The address's owner is gone: what it had declared of itself is forgotten, and the address may be shown again.
    package mutating func withdrawalLifted(address: String) {
        guard withdrawn.remove(address) != nil else { return }
        for service in Array(entries.keys) {
            remove(from: service) { $0.address == address && $0.origin != .kubernetes }
            refresh(service)
        }
    }

    // MARK: Sources

    /// A source delivered its first full picture.
    package mutating func sourceSynced(_ origin: Origin) {
        guard unsynced.remove(origin) != nil, unsynced.isEmpty else { return }
        justCompleted = true
        changed.formUnion(entries.keys)
    }

    // MARK: Inside

    private mutating func store(_ instance: Instance, as service: ServiceName, now: ContinuousClock.Instant) {
        let key = RecordKey(instance)
        if !key.holder.isEmpty {
            // What was adopted after a restart, or declared with beats before, has its writer back on a connection.
            var leased = key
            leased.holder = ""
            remove(from: service) { $0 == leased }
        }
        version += 1
        let record = Record(instance: instance, lastBeat: now, order: version)
        let empty = Entry(snapshot: ServiceSnapshot(service: service, version: version, records: []))
        if entries[service, default: empty].records.updateValue(record, forKey: key) == nil { recordCount += 1 }
    }

    @discardableResult
    private mutating func remove(from service: ServiceName, where isGone: (RecordKey) -> Bool) -> Int {
        guard let keys = entries[service]?.records.keys.filter(isGone), !keys.isEmpty else { return 0 }
        for key in keys { entries[service]?.records[key] = nil }
        recordCount -= keys.count
        return keys.count
    }

    /// Makes a new snapshot when what can be seen has changed, and forgets services that have nothing left.
    private mutating func refresh(_ service: ServiceName) {
        guard let entry = entries[service] else { return }
        let visible = Self.visible(entry.records, without: withdrawn)
        if visible != entry.snapshot.records {
            version += 1
            entries[service]?.snapshot = ServiceSnapshot(service: service, version: version, records: visible)
            changed.insert(service)
        }
        if entry.records.isEmpty, !subscriptions.isWatched(service) { entries[service] = nil }
    }

    private static func visible(_ records: [RecordKey: Record], without withdrawn: Set<String>) -> [Instance] {
        // The same instance declared twice is one: a connection's word counts more than a lease, the later one more.
        var latest: [RecordKey: Record] = [:]
        for (key, record) in records where !withdrawn.contains(key.address) {
            var place = key
            place.holder = ""
            if let other = latest[place], other.rank > record.rank { continue }
            latest[place] = record
        }
        return latest.values.map(\.instance).sorted {
            ($0.address, $0.port, $0.origin.rawValue, $0.cluster)
                < ($1.address, $1.port, $1.origin.rawValue, $1.cluster)
        }
    }
}

// MARK: - Subscribers

extension CatalogueMachine {
    /// A subscriber asked for a service; the answer carries this snapshot, which it is then taken to know.
    package mutating func subscribed(
        _ subscriber: SubscriberID, to service: ServiceName
    ) throws(CatalogueProblem) -> ServiceSnapshot {
        guard subscriptions.count < limits.subscriptions else {
            throw .tooManySubscriptions(limit: limits.subscriptions)
        }
        let snapshot = snapshot(of: service)
        if entries[service] == nil { entries[service] = Entry(snapshot: snapshot) }
        subscriptions.subscribed(subscriber, to: service, knowing: snapshot)
        acknowledgementsMoved = true
        return snapshot
    }

    /// A consumer without a connection read a service. Once it has come twice it counts as a subscriber for a while.
    package mutating func polled(
        _ subscriber: SubscriberID, _ service: ServiceName, now: ContinuousClock.Instant
    ) -> ServiceSnapshot {
        let snapshot = snapshot(of: service)
        if subscriptions.count < limits.subscriptions {
            if subscriptions.polled(subscriber, service, knowing: snapshot, now: now) { acknowledgementsMoved = true }
        }
        return snapshot
    }

    package mutating func unsubscribed(_ subscriber: SubscriberID, from service: ServiceName) {
        subscriptions.unsubscribed(subscriber, from: service)
        acknowledgementsMoved = true
        forgetIfEmpty(service)
    }

    package mutating func unsubscribed(_ subscriber: SubscriberID) {
        let services = subscriptions.unsubscribed(subscriber)
        acknowledgementsMoved = true
        for service in services { forgetIfEmpty(service) }
    }

    /// What this subscriber has to be told of a service now, noted as told; nil when it has been told already, unless
    /// `again`, for a message that was not answered.
    package mutating func toldNext(
        _ subscriber: SubscriberID, of service: ServiceName, again: Bool
    ) -> ServiceSnapshot? {
        guard isComplete else { return nil }
        let snapshot = snapshot(of: service)
        return subscriptions.told(subscriber, snapshot, again: again) ? snapshot : nil
    }

    /// A subscriber said that it has taken in a version.
    package mutating func acknowledged(_ subscriber: SubscriberID, _ service: ServiceName, version: UInt64) {
        if subscriptions.acknowledged(subscriber, service, version: version) { acknowledgementsMoved = true }
    }

    /// Who may still send calls to this address.
    package func outstanding(address: String) -> [Outstanding] {
        subscriptions.outstanding(address: address, newest: { snapshot(of: $0).addresses.contains(address) })
    }

    private mutating func forgetIfEmpty(_ service: ServiceName) {
        if entries[service]?.records.isEmpty == true, !subscriptions.isWatched(service) { entries[service] = nil }
    }
}
