// Who looks at which service, what each has been told, and what each has acknowledged.

/// A subscriber that has not yet acknowledged that an address is gone from a service.
package struct Outstanding: Hashable, Sendable {
    package let subscriber: SubscriberID
    package let service: ServiceName
    /// Whether it has been sent a version without the address; otherwise it has still to be told.
    package let isTold: Bool
}

/// The views that subscribers hold.
///
/// A subscriber may use any view it was told since the last one it acknowledged, that one included; so an address is
/// gone for it when none of those views has it.
struct SubscriptionMachine: Sendable {
    struct Subscription: Sendable {
        var acknowledged: ServiceSnapshot
        /// Told and not acknowledged, oldest first; at most `toldLimit`, see `told`.
        var told: [ServiceSnapshot] = []
        /// Of one that polls.
        var visits: Visits?

        var newestTold: ServiceSnapshot { told.last ?? acknowledged }

        /// Whether a view it may use has this address. Who asked once is no consumer.
        func holds(_ address: String) -> Bool {
            if let visits, !visits.isRegular { return false }
            return acknowledged.shows(address) || told.contains { $0.shows(address) }
        }
    }

    private struct Key: Hashable {
        var subscriber: SubscriberID
        var service: ServiceName
    }

    /// Views told beyond this many are folded: the subscriber is then taken to hold the addresses of all of them.
    static let toldLimit = 8
    /// The pause of those who poll a service (1.x Nacos clients: `cacheMillis`, 10 s by default).
    static let usualPause: Duration = .seconds(10)

    private var bySubscriber: [SubscriberID: [ServiceName: Subscription]] = [:]
    private var watchers: [ServiceName: Set<SubscriberID>] = [:]
    private var pollers: Set<Key> = []
    /// Those that may hold another view than the newest.
    private var lagging: Set<Key> = []
    /// For each address that is leaving, who may still use it. These sets only shrink.
    private var followed: [String: Set<Key>] = [:]
    private(set) var count = 0

    func isWatched(_ service: ServiceName) -> Bool { watchers[service] != nil }

    func subscribers(of service: ServiceName) -> [SubscriberID] {
        (watchers[service] ?? []).filter { bySubscriber[$0]?[service]?.visits == nil }
    }

    mutating func subscribed(_ subscriber: SubscriberID, to service: ServiceName, knowing snapshot: ServiceSnapshot) {
        insert(Subscription(acknowledged: snapshot), subscriber, service)
    }

    /// Returns whether an earlier view was replaced, which is this subscriber's way to acknowledge.
    mutating func polled(
        _ subscriber: SubscriberID, _ service: ServiceName, knowing snapshot: ServiceSnapshot,
        now: ContinuousClock.Instant
    ) -> Bool {
        let previous = bySubscriber[subscriber]?[service]?.visits
        var visits = previous ?? Visits(first: now)
        if previous != nil { visits.came(at: now) }
        insert(Subscription(acknowledged: snapshot, visits: visits), subscriber, service)
        return previous != nil
    }

    mutating func unsubscribed(_ subscriber: SubscriberID, from service: ServiceName) {
        guard bySubscriber[subscriber]?.removeValue(forKey: service) != nil else { return }
        let key = Key(subscriber: subscriber, service: service)
        count -= 1
        pollers.remove(key)
        lagging.remove(key)
        for address in followed.keys { followed[address]?.remove(key) }
        if bySubscriber[subscriber]?.isEmpty == true { bySubscriber[subscriber] = nil }
        watchers[service]?.remove(subscriber)
        if watchers[service]?.isEmpty == true { watchers[service] = nil }
    }

    mutating func unsubscribed(_ subscriber: SubscriberID) -> [ServiceName] {
        let services = bySubscriber[subscriber].map { Array($0.keys) } ?? []
        for service in services { unsubscribed(subscriber, from: service) }
        return services
    }

    /// A service has a newer snapshot than its subscribers know.
    mutating func moved(_ service: ServiceName) {
        for subscriber in watchers[service] ?? [] { lagging.insert(Key(subscriber: subscriber, service: service)) }
    }

    /// Notes that a view is on its way. False when the subscriber knows it already or is none.
    mutating func told(_ subscriber: SubscriberID, _ snapshot: ServiceSnapshot, again: Bool) -> Bool {
        guard var subscription = bySubscriber[subscriber]?[snapshot.service] else { return false }
        if subscription.newestTold.version >= snapshot.version {
            return again && subscription.acknowledged.version < snapshot.version
        }
        if subscription.told.count >= Self.toldLimit {
            let oldest = subscription.told.removeFirst()
            subscription.acknowledged = ServiceSnapshot(
                service: snapshot.service, version: subscription.acknowledged.version,
                records: Array(Set(subscription.acknowledged.records + oldest.records)))
        }
        subscription.told.append(snapshot)
        bySubscriber[subscriber]?[snapshot.service] = subscription
        return true
    }

    /// Returns whether anything moved. `current` is the version of the service's newest snapshot.
    mutating func acknowledged(
        _ subscriber: SubscriberID, _ service: ServiceName, version: UInt64, current: UInt64
    ) -> Bool {
        guard var subscription = bySubscriber[subscriber]?[service] else { return false }
        guard let position = subscription.told.lastIndex(where: { $0.version <= version }) else { return false }
        subscription.acknowledged = subscription.told[position]
        subscription.told.removeFirst(position + 1)
        bySubscriber[subscriber]?[service] = subscription
        let key = Key(subscriber: subscriber, service: service)
        if subscription.told.isEmpty, subscription.acknowledged.version >= current { lagging.remove(key) }
        settle(key, subscription)
        return true
    }

    /// Forgets pollers that stopped. Returns whether there were any.
    mutating func timePassed(now: ContinuousClock.Instant) -> Bool {
        let gone = pollers.filter { key in
            guard let visits = bySubscriber[key.subscriber]?[key.service]?.visits else { return true }
            return visits.hasStopped(now: now, usual: Self.usualPause)
        }
        for key in gone { unsubscribed(key.subscriber, from: key.service) }
        return !gone.isEmpty
    }

    // MARK: Addresses that leave

    /// An address begins to leave: remembers who may use it. `services` show it until now.
    mutating func follow(_ address: String, shownIn services: Set<ServiceName>) {
        followed[address] = candidates(services).filter { subscription($0)?.holds(address) == true }
    }

    mutating func unfollow(_ address: String) { followed[address] = nil }

    /// Whether nobody may use a leaving address any more. Nil for one that does not leave.
    func isSettled(_ address: String) -> Bool? { followed[address]?.isEmpty }

    func outstanding(address: String, shownIn services: Set<ServiceName>) -> [Outstanding] {
        let keys = followed[address] ?? candidates(services)
        return keys.compactMap { key in
            guard let subscription = subscription(key), subscription.holds(address) else { return nil }
            let isTold = !subscription.newestTold.shows(address) && !services.contains(key.service)
            return Outstanding(subscriber: key.subscriber, service: key.service, isTold: isTold)
        }
    }

    private func candidates(_ services: Set<ServiceName>) -> Set<Key> {
        var keys = lagging
        for service in services {
            for subscriber in watchers[service] ?? [] { keys.insert(Key(subscriber: subscriber, service: service)) }
        }
        return keys
    }

    private func subscription(_ key: Key) -> Subscription? { bySubscriber[key.subscriber]?[key.service] }

    private mutating func settle(_ key: Key, _ subscription: Subscription) {
        for (address, keys) in followed where keys.contains(key) && !subscription.holds(address) {
            followed[address]?.remove(key)
        }
    }

    private mutating func insert(_ subscription: Subscription, _ subscriber: SubscriberID, _ service: ServiceName) {
        let key = Key(subscriber: subscriber, service: service)
        if bySubscriber[subscriber, default: [:]].updateValue(subscription, forKey: service) == nil { count += 1 }
        watchers[service, default: []].insert(subscriber)
        if subscription.visits == nil { pollers.remove(key) } else { pollers.insert(key) }
        lagging.remove(key)
        settle(key, subscription)
    }
}
