// The catalogue's state: records by service, leases, withdrawn addresses, and which sources have told all they know.

import Frameworks

/// What the machine asks its shell to do.
package enum CatalogueAction: Hashable, Sendable {
    /// These services may look different now: wake the feeds.
    case changed(Set<ServiceName>)
    /// Fewer subscribers may be outstanding: look at the waiting again.
    case acknowledgementsMoved
    /// Every declared source has delivered its first full picture.
    case completed
}

/// The pure part of `ServiceCatalogue`. Inputs are past-tense methods; what follows from them is taken by `drain()`.
///
/// A change marks its service stale, and a snapshot is made when somebody asks for it: many changes between two
/// readings cost one. No event's work grows with the catalogue, only with what it touches.
package struct CatalogueMachine: Sendable {
    struct Entry: Sendable {
        var snapshot: ServiceSnapshot
    }

    let limits: CatalogueLimits
    var table = RecordTable()
    var entries: [ServiceName: Entry] = [:]
    /// Services whose snapshot is not of now.
    var stale: Set<ServiceName> = []
    /// Services whose last snapshot shows something.
    var shown: Set<ServiceName> = []
    var subscriptions = SubscriptionMachine()
    var registryPollers = RegistryPollers()
    var interfaces = InterfaceTable()
    private(set) var withdrawn: Set<String> = []
    var version: UInt64
    var changed: Set<ServiceName> = []
    var acknowledgementsMoved = false
    private var leases = LeaseQueue()
    /// Origins whose leases do not end for now.
    private var protected: Set<Origin> = []
    /// Time in which this program did not run and so could hear no beats.
    private var stalled: Duration = .zero
    private var unsynced: Set<Origin>
    private var justCompleted = false

    /// `firstVersion` should come from the clock in milliseconds, so that versions also grow across restarts.
    package init(sources: Set<Origin>, firstVersion: UInt64, limits: CatalogueLimits = CatalogueLimits()) {
        unsynced = sources
        version = firstVersion
        self.limits = limits
    }

    /// False until every declared source is synced: until then nobody may conclude anything from what is missing.
    package var isComplete: Bool { unsynced.isEmpty }

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
        if table.number(RecordKey(instance), in: service) == nil, table.declaredCount >= limits.records {
            throw .tooManyRecords(limit: limits.records)
        }
        store(instance, as: service, now: now)
    }

    /// The whole set of one connection's instances of a service is now this one.
    package mutating func replaced(
        _ instances: [Instance], heldBy connection: String, as service: ServiceName, now: ContinuousClock.Instant
    ) throws(CatalogueProblem) {
        let earlier = table.numbers(of: service, heldBy: connection)
        guard table.declaredCount + instances.count - earlier.count <= limits.records else {
            throw .tooManyRecords(limit: limits.records)
        }
        replace(earlier, by: instances, as: service, now: now)
    }

    /// The whole set of one origin's instances of a service is now this one.
    package mutating func replaced(
        _ instances: [Instance], of origin: Origin, as service: ServiceName, now: ContinuousClock.Instant
    ) {
        let earlier = table.numbers(of: service).filter { table[$0]?.instance.origin == origin }
        replace(earlier, by: instances.filter { $0.origin == origin }, as: service, now: now)
    }

    /// A writer took back an instance that no connection holds. Returns whether there was one.
    @discardableResult
    package mutating func deregistered(
        address: String, port: Int, cluster: String, of origin: Origin, from service: ServiceName
    ) -> Bool {
        let key = RecordKey(origin: origin, address: address, port: port, cluster: cluster)
        guard let number = table.number(key, in: service) else { return false }
        remove(number)
        return true
    }

    /// A connection took back what it had declared of a service.
    @discardableResult
    package mutating func deregistered(heldBy connection: String, from service: ServiceName) -> Bool {
        let gone = table.numbers(of: service, heldBy: connection).filter { table[$0]?.cause == nil }
        for number in gone { remove(number) }
        return !gone.isEmpty
    }

    /// A connection took back one instance.
    @discardableResult
    package mutating func deregistered(
        address: String, port: Int, cluster: String, of origin: Origin, heldBy connection: String,
        from service: ServiceName
    ) -> Bool {
        let key = RecordKey(origin: origin, holder: connection, address: address, port: port, cluster: cluster)
        guard let number = table.number(key, in: service) else { return false }
        remove(number)
        return true
    }

    /// A beat came. False when there is no such lease, or an adopted one: the writer has to register again.
    package mutating func beaten(
        address: String, port: Int, cluster: String, of origin: Origin, for service: ServiceName,
        now: ContinuousClock.Instant
    ) -> Bool {
        let key = RecordKey(origin: origin, address: address, port: port, cluster: cluster)
        guard let number = table.number(key, in: service), let record = table[number],
            let lease = record.instance.lifetime.lease, !lease.isAdopted
        else { return false }
        let time = now - stalled
        // In Nacos who beats is healthy, whatever was said at first; elsewhere the word of the registration counts.
        let isHealthy = origin == .nacos || record.isDeclaredHealthy
        let revives = isHealthy && !record.instance.isHealthy
        table.change(number) { record in
            record.lastBeat = time
            if revives { record.instance.isHealthy = true }
        }
        if revives {
            markStale(service)
            derive(number)
        }
        return true
    }

    /// A connection ended: what it declared and what it looked at goes at once.
    package mutating func connectionClosed(_ connection: String, subscriber: SubscriberID?) {
        for number in table.numbers(heldBy: connection) { remove(number) }
        if let subscriber { unsubscribed(subscriber) }
    }

    // MARK: Time

    /// Time passed: leases turn unhealthy or end, and pollers that stopped polling are forgotten.
    package mutating func timePassed(now: ContinuousClock.Instant) {
        let time = now - stalled
        while let number = leases.takeDue(time) {
            table.change(number) { $0.nextLook = nil }
            lookedAt(number, time)
        }
        if subscriptions.timePassed(now: now) { acknowledgementsMoved = true }
        if registryPollers.timePassed(now: now) { acknowledgementsMoved = true }
        for service in stale where !table.hasRecords(service) { refresh(service) }
    }

    /// This program did not run for so long: nobody's silence in that time counts.
    package mutating func stalled(for duration: Duration) { stalled += duration }

    /// While an origin is protected its leases turn unhealthy, but do not end.
    package mutating func protectionChanged(of origin: Origin, to isProtected: Bool) {
        if isProtected { protected.insert(origin) } else { protected.remove(origin) }
    }

    private mutating func lookedAt(_ number: RecordNumber, _ time: ContinuousClock.Instant) {
        guard let record = table[number], let lease = record.instance.lifetime.lease else { return }
        let end = record.lastBeat + .milliseconds(lease.removedAfterMilliseconds)
        let lapse = record.lastBeat + .milliseconds(lease.unhealthyAfterMilliseconds)
        if time >= end {
            guard protected.contains(record.instance.origin) else { return remove(number) }
            schedule(number, at: time + Self.protectedPause)
        } else {
            schedule(number, at: time < lapse ? min(lapse, end) : end)
        }
        if lapse < end, time >= lapse, record.instance.isHealthy {
            table.change(number) { $0.instance.isHealthy = false }
            markStale(record.service)
            derive(number)
        }
    }

    /// How long a protected lease that has run out is left alone.
    private static let protectedPause: Duration = .seconds(1)

    private mutating func schedule(_ number: RecordNumber, at time: ContinuousClock.Instant) {
        // One entry a lease: a later one is found again when the earlier one is due.
        if let next = table[number]?.nextLook, next <= time { return }
        table.change(number) { $0.nextLook = time }
        leases.add(number, at: time)
    }

    // MARK: Withdrawal

    /// An address is leaving: from now on nothing at it is shown, whoever declares it.
    package mutating func withdrew(address: String) {
        guard !withdrawn.contains(address) else { return }
        refreshAll()
        let services = Set(table.numbers(at: address).compactMap { table[$0]?.service })
        subscriptions.follow(address, shownIn: services)
        registryPollers.withdrew(address, from: services)
        withdrawn.insert(address)
        for service in services { markStale(service) }
    }

    /// The address's owner is gone: what it had declared of itself is forgotten, and the address may be shown again.
    package mutating func withdrawalLifted(address: String) {
        guard withdrawn.remove(address) != nil else { return }
        subscriptions.unfollow(address)
        registryPollers.withdrawalLifted(address)
        acknowledgementsMoved = true
        for number in table.numbers(at: address) {
            guard let record = table[number] else { continue }
            if record.instance.origin != .kubernetes { remove(number) } else { markStale(record.service) }
        }
    }

    // MARK: Sources

    /// A source delivered its first full picture.
    package mutating func sourceSynced(_ origin: Origin) {
        guard unsynced.remove(origin) != nil, unsynced.isEmpty else { return }
        justCompleted = true
        changed.formUnion(entries.keys)
        changed.formUnion(interfaces.mappings.keys)
    }

    // MARK: Inside

    private mutating func replace(
        _ earlier: [RecordNumber], by instances: [Instance], as service: ServiceName, now: ContinuousClock.Instant
    ) {
        let keys = Set(instances.map { RecordKey($0) })
        for number in earlier {
            guard let record = table[number], record.cause == nil, !keys.contains(record.key) else { continue }
            remove(number)
        }
        for instance in instances { store(instance, as: service, now: now) }
    }

    private mutating func store(_ instance: Instance, as service: ServiceName, now: ContinuousClock.Instant) {
        var key = RecordKey(instance)
        let time = now - stalled
        version += 1
        var record = Record(instance, of: service, at: time, order: version)
        record.instance.isImplied = false
        let number = table.put(record)
        if !key.holder.isEmpty, !instance.lifetime.isElsewhere {
            // What was adopted after a restart, or declared with beats before, has its writer back on a connection.
            key.holder = ""
            if let leased = table.number(key, in: service) { remove(leased) }
        }
        markStale(service)
        if instance.lifetime.lease != nil { lookedAt(number, time) }
        derive(number)
    }

    /// Brings the records that follow from this one in line with it.
    mutating func derive(_ number: RecordNumber) {
        guard let record = table[number], record.cause == nil else { return }
        let wanted = Crossing.consequences(of: record.instance, in: record.service, interfaces)
        if wanted.isEmpty, record.consequences.isEmpty { return }
        var kept: Set<RecordNumber> = []
        for (service, instance) in wanted {
            let known = table.number(RecordKey(instance, cause: number), in: service)
            if let known {
                kept.insert(known)
                if table[known]?.instance == instance { continue }
            } else if table.impliedCount >= limits.impliedRecords {
                continue
            }
            let implied = Record(instance, of: service, cause: number, at: record.lastBeat, order: record.order)
            kept.insert(table.put(implied))
            markStale(service)
        }
        for old in record.consequences where !kept.contains(old) { remove(old) }
        table.change(number) { $0.consequences = Array(kept) }
    }

    private mutating func remove(_ number: RecordNumber) {
        guard let record = table.remove(number) else { return }
        markStale(record.service)
        for consequence in record.consequences { remove(consequence) }
    }

    private mutating func markStale(_ service: ServiceName) {
        stale.insert(service)
        changed.insert(service)
    }
}
