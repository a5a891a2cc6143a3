// The one catalogue of every service instance: a lock around its machine, feeds of changes, and those who wait.

import Synchronization
import Timing

/// Every service instance, wherever it came from, in immutable versioned snapshots.
///
/// All calls are quick and may come from anywhere. Before `sourceSynced` was called for every source named at the start
/// (`isComplete`), interfaces must not push and exporters must not remove anything.
package final class ServiceCatalogue: Sendable {
    struct State {
        var machine: CatalogueMachine
        fileprivate var feeds = ChangeFeeds<ServiceName>()
    }

    private enum Awaited: Sendable {
        case completeness
        case acknowledged(address: String)
    }

    /// Leases and pollers are looked through this often.
    package static let sweepInterval: Duration = .milliseconds(500)

    let state: Mutex<State>
    let limits: CatalogueLimits
    private let waiting = WaitingRoom<Awaited>()
    private let clock = ContinuousClock()

    /// `sources` are the origins that will call `sourceSynced` once; without any the catalogue is complete at once.
    package init(
        sources: Set<Origin>, firstVersion: UInt64 = WallClock.milliseconds(),
        limits: CatalogueLimits = CatalogueLimits()
    ) {
        self.limits = limits
        state = Mutex(State(machine: CatalogueMachine(sources: sources, firstVersion: firstVersion, limits: limits)))
    }

    /// A sweep that comes later than this was kept from running, and so were those that hear beats.
    package static let stallAllowance: Duration = .seconds(3)

    /// Ends leases in time, until cancelled. After a pause of the whole program (a suspended machine, a stopped
    /// process) writers get the time of the pause on top, as nobody could hear their beats.
    package func run() async throws {
        var last = clock.now
        while !Task.isCancelled {
            try await clock.sleep(for: Self.sweepInterval)
            let now = clock.now
            let pause = last.duration(to: now) - Self.sweepInterval
            if pause > Self.stallAllowance { perform { $0.stalled(for: pause) } }
            last = now
            sweep()
        }
    }

    /// One look through the leases and pollers, as of now.
    package func sweep() { perform { $0.timePassed(now: clock.now) } }

    // MARK: Reading

    package var isComplete: Bool { state.withLock { $0.machine.isComplete } }

    /// The services that have at least one instance to show, sorted.
    package func services() -> [ServiceName] { state.withLock { $0.machine.services } }

    /// How much there is; an interface that protects from losing everything at once compares with these.
    package var counts: CatalogueCounts { state.withLock { $0.machine.counts } }

    /// The leases of this origin that their writer calls so, and that wait for it to come again (`Lease.adopted`).
    package func adopted(_ id: String, of origin: Origin) -> [(service: ServiceName, instance: Instance)] {
        state.withLock { $0.machine.adopted(id, of: origin) }
    }

    /// A service nobody knows has an empty snapshot.
    package func snapshot(of service: ServiceName) -> ServiceSnapshot {
        state.withLock { $0.machine.snapshot(of: service) }
    }

    /// A feed of the names of services that changed from now on. Let go of it to end it. `next()` gives at most one set
    /// of names in each `window`, so that a storm of changes costs its reader one look per service and window.
    package func changes(coalescedOver window: Duration = .zero) -> ChangeFeed<ServiceName> {
        state.withLock { $0.feeds.open(limit: limits.feedNames, window: window) }
    }

    // MARK: Sources and records

    /// A source has delivered its first full picture.
    package func sourceSynced(_ origin: Origin) { perform { $0.sourceSynced(origin) } }

    /// Returns when every declared source is synced, or the task is cancelled.
    package func waitUntilComplete() async { await wait(for: .completeness) }

    /// Waits for the first full picture, but no longer than this.
    package func isComplete(within patience: Duration) async -> Bool {
        if isComplete { return true }
        await atMost(patience) { await self.waitUntilComplete() }
        return isComplete
    }

    package func register(_ instance: Instance, as service: ServiceName) throws(CatalogueProblem) {
        try attempt { machine throws(CatalogueProblem) in
            try machine.registered(instance, as: service, now: self.clock.now)
        }
    }

    /// Removes an instance that no connection holds (leased, adopted or persistent). Returns whether there was one.
    @discardableResult
    package func deregister(
        address: String, port: Int, cluster: String = "DEFAULT", of origin: Origin, from service: ServiceName
    ) -> Bool {
        perform { $0.deregistered(address: address, port: port, cluster: cluster, of: origin, from: service) }
    }

    /// Removes what a connection declared of a service. Returns whether there was anything.
    @discardableResult
    package func deregister(heldBy connection: String, from service: ServiceName) -> Bool {
        perform { $0.deregistered(heldBy: connection, from: service) }
    }

    /// From now on these are all the instances of one origin (each of that origin) of a service.
    package func replace(_ instances: [Instance], of origin: Origin, as service: ServiceName) {
        perform { $0.replaced(instances, of: origin, as: service, now: clock.now) }
    }

    /// From now on these are all the instances that one connection holds of a service.
    package func replace(
        _ instances: [Instance], heldBy connection: String, as service: ServiceName
    ) throws(CatalogueProblem) {
        try attempt { machine throws(CatalogueProblem) in
            try machine.replaced(instances, heldBy: connection, as: service, now: self.clock.now)
        }
    }

    /// Removes one instance that a connection declared. Returns whether there was one.
    @discardableResult
    package func deregister(
        address: String, port: Int, cluster: String = "DEFAULT", of origin: Origin, heldBy connection: String,
        from service: ServiceName
    ) -> Bool {
        perform {
            $0.deregistered(
                address: address, port: port, cluster: cluster, of: origin, heldBy: connection, from: service)
        }
    }

    /// A beat. False when there is no such leased instance: the writer has to register again.
    package func renew(
        address: String, port: Int, cluster: String = "DEFAULT", of origin: Origin, for service: ServiceName
    ) -> Bool {
        perform {
            $0.beaten(address: address, port: port, cluster: cluster, of: origin, for: service, now: clock.now)
        }
    }

    /// A connection ended: its instances go at once, and its subscriptions too.
    package func connectionClosed(_ connection: String, subscriber: SubscriberID? = nil) {
        perform { $0.connectionClosed(connection, subscriber: subscriber) }
    }

    /// While an origin is protected, its leases turn unhealthy but do not end (Eureka's self-preservation).
    package func protectLeases(of origin: Origin, _ isProtected: Bool) {
        perform { $0.protectionChanged(of: origin, to: isProtected) }
    }

    // MARK: Leaving

    /// Hides every instance at an address, of any origin, also those declared later, until `liftWithdrawal`.
    ///
    /// Not for an address that several share (a pod on the host's network).
    ///
    /// - Returns: Who may use the address at this moment, and so has to acknowledge; empty when it was withdrawn
    ///   before.
    @discardableResult
    package func withdraw(address: String) -> [Outstanding] {
        perform { machine in
            guard !machine.withdrawn.contains(address) else { return [] }
            machine.withdrew(address: address)
            return machine.outstanding(address: address)
        }
    }

    /// The owner of the address is gone: forgets what it had declared of itself; the address may be used again.
    package func liftWithdrawal(address: String) { perform { $0.withdrawalLifted(address: address) } }

    /// The addresses withdrawn now.
    package var withdrawnAddresses: Set<String> { state.withLock { $0.machine.withdrawn } }

    /// The subscribers that may still use an address: they hold a view that has it and have acknowledged none without.
    package func outstanding(address: String) -> [Outstanding] {
        state.withLock { $0.machine.outstanding(address: address) }
    }

    /// Returns when nobody is outstanding for the address, or the task is cancelled. Withdraw it first.
    package func waitUntilAcknowledged(address: String) async { await wait(for: .acknowledged(address: address)) }

    // MARK: Subscribers

    /// Subscribes; the snapshot goes into the answer and counts as known.
    package func subscribe(
        _ subscriber: SubscriberID, to service: ServiceName
    ) throws(CatalogueProblem) -> ServiceSnapshot {
        try attempt { machine throws(CatalogueProblem) in try machine.subscribed(subscriber, to: service) }
    }

    /// Reads for a consumer that has no connection: who comes again and again counts as a subscriber.
    package func poll(_ subscriber: SubscriberID, _ service: ServiceName) -> ServiceSnapshot {
        perform { $0.polled(subscriber, service, now: clock.now) }
    }

    /// Notes that a consumer without a connection reads every service of a namespace, whatever changed before this call
    /// included; who comes again and again counts as a subscriber of all of them, a client that says so from its first
    /// reading on.
    package func pollEverything(_ subscriber: SubscriberID, in namespace: String, isDeclared: Bool = false) {
        perform { $0.polledEverything(subscriber, in: namespace, isDeclared: isDeclared, now: clock.now) }
    }

    package func unsubscribe(_ subscriber: SubscriberID, from service: ServiceName) {
        perform { $0.unsubscribed(subscriber, from: service) }
    }

    package func unsubscribe(_ subscriber: SubscriberID) { perform { $0.unsubscribed(subscriber) } }

    /// The subscribers of a service that are told of changes (pollers come by themselves).
    package func subscribers(of service: ServiceName) -> [SubscriberID] {
        state.withLock { $0.machine.subscriptions.subscribers(of: service) }
    }

    /// What the subscriber must be sent now, noted as told; nil when nothing is new or the picture is not complete.
    /// With `again`, the newest view is also given when it was sent but not acknowledged.
    package func tell(_ subscriber: SubscriberID, of service: ServiceName, again: Bool = false) -> ServiceSnapshot? {
        perform { $0.toldNext(subscriber, of: service, again: again) }
    }

    /// The subscriber has taken in a version it was told.
    package func acknowledge(_ subscriber: SubscriberID, _ service: ServiceName, version: UInt64) {
        perform { $0.acknowledged(subscriber, service, version: version) }
    }

    // MARK: Inside

    func attempt<Result: Sendable>(
        _ event: (inout CatalogueMachine) throws(CatalogueProblem) -> Result
    ) throws(CatalogueProblem) -> Result {
        let outcome = perform { machine -> Swift.Result<Result, CatalogueProblem> in
            do throws(CatalogueProblem) { return .success(try event(&machine)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    @discardableResult
    func perform<Result: Sendable>(_ event: (inout CatalogueMachine) -> Result) -> Result {
        let (result, isAwaited) = state.withLock { state in
            let result = event(&state.machine)
            var isAwaited = false
            for action in state.machine.drain() {
                switch action {
                case .changed(let services):
                    // Under the lock, so that whoever has seen a change finds it in its feed.
                    state.feeds.add(services)
                case .acknowledgementsMoved, .completed: isAwaited = true
                }
            }
            return (result, isAwaited)
        }
        if isAwaited { waiting.wake { has($0) } }
        return result
    }

    private func wait(for awaited: Awaited) async { await waiting.wait(for: awaited) { [self] in has($0) } }

    private func has(_ awaited: Awaited) -> Bool {
        state.withLock { state in
            switch awaited {
            case .completeness: state.machine.isComplete
            case .acknowledged(let address): state.machine.isSettled(address)
            }
        }
    }
}
