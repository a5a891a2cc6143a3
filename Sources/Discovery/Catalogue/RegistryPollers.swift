// Consumers that read everything there is of a namespace, again and again, as Eureka's do.

/// What such consumers may still hold.
///
/// One that has not read since an address was withdrawn may use it, if its namespace had it. So there is nothing to
/// keep by service: a moment for each consumer, and a moment for each address that leaves.
struct RegistryPollers: Sendable {
    private struct Poller: Sendable {
        var visits: Visits
        var reading: UInt64
    }

    private struct Withdrawal: Sendable {
        var reading: UInt64
        /// A service that had the address, by namespace.
        var services: [String: ServiceName]
    }

    /// Consumers beyond these are served and not waited for.
    static let limit = 20_000
    /// The pause of those who read everything (Eureka: registryFetchIntervalSeconds).
    static let usualPause: Duration = .seconds(30)

    private var pollers: [SubscriberID: [String: Poller]] = [:]
    private var withdrawals: [String: Withdrawal] = [:]
    private var count = 0
    private var reading: UInt64 = 0

    /// A consumer read a namespace. Returns whether that may be what somebody waits for.
    mutating func polled(
        _ subscriber: SubscriberID, _ namespace: String, isDeclared: Bool, now: ContinuousClock.Instant
    ) -> Bool {
        reading += 1
        var visits = Visits(first: now, isDeclared: isDeclared)
        if let known = pollers[subscriber]?[namespace] {
            visits = known.visits
            visits.came(at: now)
        } else {
            guard count < Self.limit else { return false }
            count += 1
        }
        pollers[subscriber, default: [:]][namespace] = Poller(visits: visits, reading: reading)
        return !withdrawals.isEmpty
    }

    /// An address is leaving that these services showed.
    mutating func withdrew(_ address: String, from services: Set<ServiceName>) {
        reading += 1
        let byNamespace = Dictionary(services.map { ($0.namespace, $0) }) { first, _ in first }
        withdrawals[address] = Withdrawal(reading: reading, services: byNamespace)
    }

    mutating func withdrawalLifted(_ address: String) { withdrawals[address] = nil }

    /// Forgets consumers that stopped. Returns whether there were any.
    mutating func timePassed(now: ContinuousClock.Instant) -> Bool {
        let before = count
        for (subscriber, namespaces) in pollers {
            let kept = namespaces.filter { !$0.value.visits.hasStopped(now: now, usual: Self.usualPause) }
            count -= namespaces.count - kept.count
            pollers[subscriber] = kept.isEmpty ? nil : kept
        }
        return count < before
    }

    /// Consumers that have not come since the address left.
    func outstanding(address: String) -> [Outstanding] {
        guard let withdrawal = withdrawals[address] else { return [] }
        var result: [Outstanding] = []
        for (subscriber, namespaces) in pollers {
            for (namespace, poller) in namespaces where poller.visits.isRegular && poller.reading < withdrawal.reading {
                guard let service = withdrawal.services[namespace] else { continue }
                result.append(Outstanding(subscriber: subscriber, service: service, isTold: false))
            }
        }
        return result
    }
}
