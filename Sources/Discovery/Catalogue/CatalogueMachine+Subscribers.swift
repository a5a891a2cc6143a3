// Subscribers and pollers: what each is told, and for whom an address that leaves has to wait.

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

    /// A consumer without a connection reads all services of a namespace; `isDeclared`: it says that it is a client.
    package mutating func polledEverything(
        _ subscriber: SubscriberID, in namespace: String, isDeclared: Bool = false, now: ContinuousClock.Instant
    ) {
        if registryPollers.polled(subscriber, namespace, isDeclared: isDeclared, now: now) {
            acknowledgementsMoved = true
        }
    }

    package mutating func unsubscribed(_ subscriber: SubscriberID, from service: ServiceName) {
        subscriptions.unsubscribed(subscriber, from: service)
        acknowledgementsMoved = true
        refresh(service)
        forgetIfEmpty(service)
    }

    package mutating func unsubscribed(_ subscriber: SubscriberID) {
        let services = subscriptions.unsubscribed(subscriber)
        acknowledgementsMoved = true
        for service in services {
            refresh(service)
            forgetIfEmpty(service)
        }
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
        // A service that has changed since its last snapshot is one that the subscriber cannot know yet.
        let current = stale.contains(service) ? .max : entries[service]?.snapshot.version ?? 0
        if subscriptions.acknowledged(subscriber, service, version: version, current: current) {
            acknowledgementsMoved = true
        }
    }

    /// Who may still send calls to this address.
    package mutating func outstanding(address: String) -> [Outstanding] {
        refreshAll()
        let services =
            withdrawn.contains(address) ? [] : Set(table.numbers(at: address).compactMap { table[$0]?.service })
        return subscriptions.outstanding(address: address, shownIn: services)
            + registryPollers.outstanding(address: address)
    }

    /// Whether nobody may use this address any more.
    mutating func isSettled(_ address: String) -> Bool {
        guard let isSettled = subscriptions.isSettled(address) else { return outstanding(address: address).isEmpty }
        return isSettled && registryPollers.outstanding(address: address).isEmpty
    }
}
