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
        var polling: Polling?

        var newestTold: ServiceSnapshot { told.last ?? acknowledged }
    }

    /// How a consumer without a connection comes and goes.
    struct Polling: Sendable {
        var last: ContinuousClock.Instant
        /// Nil until it has come twice: who asks once is no consumer.
        var interval: Duration?

        /// Whoever has not come back after twice its interval has stopped.
        var patience: Duration {
            guard let interval else { return SubscriptionMachine.longestPollingInterval }
            return min(max(interval * 2, .seconds(2)), SubscriptionMachine.longestPollingInterval)
        }
    }

    /// Views told beyond this many are folded: the subscriber is then taken to hold the addresses of all of them.
    static let toldLimit = 8
    static let longestPollingInterval: Duration = .seconds(30)

    private var bySubscriber: [SubscriberID: [ServiceName: Subscription]] = [:]
    private var watchers: [ServiceName: Set<SubscriberID>] = [:]
    private(set) var count = 0

    func isWatched(_ service: ServiceName) -> Bool { watchers[service] != nil }

    func subscribers(of service: ServiceName) -> [SubscriberID] {
        (watchers[service] ?? []).filter { bySubscriber[$0]?[service]?.polling == nil }
    }

    mutating func subscribed(_ subscriber: SubscriberID, to service: ServiceName, knowing snapshot: ServiceSnapshot) {
        insert(Subscription(acknowledged: snapshot), subscriber, service)
    }

    /// Returns whether an earlier view was replaced, which is this subscriber's way to acknowledge.
    mutating func polled(
        _ subscriber: SubscriberID, _ service: ServiceName, knowing snapshot: ServiceSnapshot,
        now: ContinuousClock.Instant
    ) -> Bool {
        let previous = bySubscriber[subscriber]?[service]?.polling
        let polling = Polling(last: now, interval: previous.map { $0.last.duration(to: now) })
        insert(Subscription(acknowledged: snapshot, polling: polling), subscriber, service)
        return previous != nil
    }

    mutating func unsubscribed(_ subscriber: SubscriberID, from service: ServiceName) {
        guard bySubscriber[subscriber]?.removeValue(forKey: service) != nil else { return }
        count -= 1
        if bySubscriber[subscriber]?.isEmpty == true { bySubscriber[subscriber] = nil }
        watchers[service]?.remove(subscriber)
        if watchers[service]?.isEmpty == true { watchers[service] = nil }
    }

    mutating func unsubscribed(_ subscriber: SubscriberID) -> [ServiceName] {
        let services = bySubscriber[subscriber].map { Array($0.keys) } ?? []
        for service in services { unsubscribed(subscriber, from: service) }
        return services
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
                records: subscription.acknowledged.records + oldest.records)
        }
        subscription.told.append(snapshot)
        bySubscriber[subscriber]?[snapshot.service] = subscription
        return true
    }

    mutating func acknowledged(_ subscriber: SubscriberID, _ service: ServiceName, version: UInt64) -> Bool {
        guard var subscription = bySubscriber[subscriber]?[service] else { return false }
        guard let position = subscription.told.lastIndex(where: { $0.version <= version }) else { return false }
        subscription.acknowledged = subscription.told[position]
        subscription.told.removeFirst(position + 1)
        bySubscriber[subscriber]?[service] = subscription
        return true
    }

    /// Forgets pollers that stopped. Returns whether there were any.
    mutating func timePassed(now: ContinuousClock.Instant) -> Bool {
        var gone: [(SubscriberID, ServiceName)] = []
        for (subscriber, services) in bySubscriber {
            for (service, subscription) in services {
                guard let polling = subscription.polling else { continue }
                if polling.last.duration(to: now) > polling.patience { gone.append((subscriber, service)) }
            }
        }
        for (subscriber, service) in gone { unsubscribed(subscriber, from: service) }
        return !gone.isEmpty
    }

    func outstanding(address: String, newest isShown: (ServiceName) -> Bool) -> [Outstanding] {
        var result: [Outstanding] = []
        for (subscriber, services) in bySubscriber {
            for (service, subscription) in services {
                if let polling = subscription.polling, polling.interval == nil { continue }
                let views = [subscription.acknowledged] + subscription.told
                guard views.contains(where: { $0.addresses.contains(address) }) else { continue }
                let isTold = !subscription.newestTold.addresses.contains(address) && !isShown(service)
                result.append(Outstanding(subscriber: subscriber, service: service, isTold: isTold))
            }
        }
        return result
    }

    private mutating func insert(_ subscription: Subscription, _ subscriber: SubscriberID, _ service: ServiceName) {
        if bySubscriber[subscriber, default: [:]].updateValue(subscription, forKey: service) == nil { count += 1 }
        watchers[service, default: []].insert(subscriber)
    }
}
