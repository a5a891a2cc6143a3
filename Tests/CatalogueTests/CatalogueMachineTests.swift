// Scripts of what happens to the catalogue, and what consumers see and are waited for.

import Testing

@testable import Catalogue

private let orders = ServiceName(name: "orders")
private let start = ContinuousClock.now

private func machine(sources: Set<Origin> = []) -> CatalogueMachine {
    CatalogueMachine(sources: sources, firstVersion: 1_000)
}

private func held(_ address: String, _ port: Int = 80, by connection: String = "c1") -> Instance {
    Instance(address: address, port: port, lifetime: .connection(connection), origin: .nacos)
}

private func pod(_ address: String, _ port: Int = 80, ports: [String: Int] = [:], healthy: Bool = true) -> Instance {
    Instance(
        address: address, port: port, ports: ports, isHealthy: healthy, lifetime: .kubernetes, origin: .kubernetes)
}

private func leased(_ address: String, lease: Lease = Lease()) -> Instance {
    Instance(address: address, port: 80, lifetime: .lease(lease), origin: .nacos)
}

@Suite struct RecordTests {
    @Test func versionsGrowOnlyWithWhatCanBeSeen() throws {
        var machine = machine()
        try machine.registered(held("10.0.0.1"), as: orders, now: start)
        let first = machine.snapshot(of: orders)
        try machine.registered(held("10.0.0.1"), as: orders, now: start)
        #expect(machine.snapshot(of: orders) == first)
        try machine.registered(held("10.0.0.2"), as: orders, now: start)
        #expect(machine.snapshot(of: orders).version > first.version)
        #expect(first.addresses == ["10.0.0.1"])
    }

    @Test func aConnectionsEndTakesItsInstances() throws {
        var machine = machine()
        try machine.registered(held("10.0.0.1", by: "c1"), as: orders, now: start)
        try machine.registered(held("10.0.0.2", by: "c2"), as: orders, now: start)
        _ = machine.drain()
        machine.connectionClosed("c1", subscriber: nil)
        #expect(machine.drain() == [.changed([orders])])
        #expect(machine.snapshot(of: orders).addresses == ["10.0.0.2"])
    }

    @Test func aReconnectedWriterOutlivesItsOldConnection() throws {
        var machine = machine()
        try machine.registered(held("10.0.0.1", by: "old"), as: orders, now: start)
        try machine.registered(held("10.0.0.1", by: "new"), as: orders, now: start)
        #expect(machine.snapshot(of: orders).instances.count == 1)
        machine.connectionClosed("old", subscriber: nil)
        #expect(machine.snapshot(of: orders).addresses == ["10.0.0.1"])
    }

    @Test func aLeaseEndsUnlessItsWriterBeats() throws {
        var machine = machine()
        try machine.registered(leased("10.0.0.1"), as: orders, now: start)
        machine.timePassed(now: start + .seconds(14))
        #expect(machine.snapshot(of: orders).instances.first?.isHealthy == true)
        machine.timePassed(now: start + .seconds(15))
        #expect(machine.snapshot(of: orders).instances.first?.isHealthy == false)
        let isKnown = machine.beaten(
            address: "10.0.0.1", port: 80, cluster: "DEFAULT", of: .nacos, for: orders, now: start + .seconds(16))
        #expect(isKnown)
        #expect(machine.snapshot(of: orders).instances.first?.isHealthy == true)
        machine.timePassed(now: start + .seconds(46))
        #expect(machine.snapshot(of: orders).isEmpty)
        let isStillKnown = machine.beaten(
            address: "10.0.0.1", port: 80, cluster: "DEFAULT", of: .nacos, for: orders, now: start + .seconds(46))
        #expect(!isStillKnown)
    }

    @Test func anAdoptedRecordGivesWayToItsWriter() throws {
        var machine = machine()
        try machine.registered(leased("10.0.0.1", lease: .adopted), as: orders, now: start)
        try machine.registered(held("10.0.0.1"), as: orders, now: start)
        machine.timePassed(now: start + .seconds(60))
        #expect(machine.snapshot(of: orders).instances.map(\.isHealthy) == [true])
        machine.connectionClosed("c1", subscriber: nil)
        #expect(machine.snapshot(of: orders).isEmpty)
    }

    @Test func anAdoptedRecordAsksItsWriterToRegisterAgain() throws {
        var machine = machine()
        try machine.registered(leased("10.0.0.1", lease: .adopted), as: orders, now: start)
        let isKnown = machine.beaten(
            address: "10.0.0.1", port: 80, cluster: "DEFAULT", of: .nacos, for: orders, now: start)
        #expect(!isKnown)
        machine.timePassed(now: start + .seconds(59))
        #expect(machine.snapshot(of: orders).instances.map(\.isHealthy) == [true])
        try machine.registered(leased("10.0.0.1"), as: orders, now: start + .seconds(59))
        machine.timePassed(now: start + .seconds(61))
        #expect(machine.snapshot(of: orders).instances.map(\.isHealthy) == [true])
    }

    @Test func recordsBeyondTheLimitAreRefused() throws {
        var limits = CatalogueLimits()
        limits.records = 1
        var machine = CatalogueMachine(sources: [], firstVersion: 1, limits: limits)
        try machine.registered(held("10.0.0.1"), as: orders, now: start)
        #expect(throws: CatalogueProblem.tooManyRecords(limit: 1)) {
            try machine.registered(held("10.0.0.2"), as: orders, now: start)
        }
    }

    @Test func aPodThatRegistersItselfIsOneInstance() throws {
        var machine = machine()
        let pods = [pod("10.0.0.1", 8080, ports: ["http": 8080, "grpc": 9090], healthy: false), pod("10.0.0.2")]
        machine.replaced(pods, of: .kubernetes, as: orders, now: start)
        var own = held("10.0.0.1", 9090)
        own.metadata = ["zone": "a"]
        try machine.registered(own, as: orders, now: start)
        let snapshot = machine.snapshot(of: orders)
        #expect(snapshot.records.count == 3)
        #expect(Set(snapshot.instances.map { "\($0.address):\($0.port)" }) == ["10.0.0.1:9090", "10.0.0.2:80"])
        let merged = snapshot.instances.first { $0.address == "10.0.0.1" }
        #expect(merged?.metadata == ["zone": "a"])
        #expect(merged?.isHealthy == false)
        #expect(snapshot.instances(foreignTo: .kubernetes).isEmpty)
        try machine.registered(held("10.9.0.1"), as: orders, now: start)
        #expect(machine.snapshot(of: orders).instances(foreignTo: .kubernetes).map(\.address) == ["10.9.0.1"])
    }

    @Test func aSourceReplacesOnlyItsOwn() throws {
        var machine = machine()
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        try machine.registered(held("10.9.0.1"), as: orders, now: start)
        machine.replaced([], of: .kubernetes, as: orders, now: start)
        #expect(machine.snapshot(of: orders).addresses == ["10.9.0.1"])
        #expect(machine.services == [orders])
    }
}

@Suite struct WithdrawalTests {
    private let consumer = SubscriberID("nacos/consumer")

    @Test func aWithdrawnAddressStaysHiddenUntilLifted() throws {
        var machine = machine()
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.snapshot(of: orders).isEmpty)
        try machine.registered(leased("10.0.0.1"), as: orders, now: start)
        #expect(machine.snapshot(of: orders).isEmpty)
        machine.replaced([], of: .kubernetes, as: orders, now: start)
        machine.withdrawalLifted(address: "10.0.0.1")
        #expect(machine.snapshot(of: orders).isEmpty, "the dead one's lease does not bring it back")
        try machine.registered(leased("10.0.0.1"), as: orders, now: start)
        #expect(machine.snapshot(of: orders).addresses == ["10.0.0.1"])
    }

    @Test func aSubscriberIsOutstandingUntilItAcknowledges() throws {
        var machine = machine()
        machine.replaced([pod("10.0.0.1"), pod("10.0.0.2")], of: .kubernetes, as: orders, now: start)
        let known = try machine.subscribed(consumer, to: orders)
        #expect(known.addresses.count == 2)
        machine.withdrew(address: "10.0.0.1")
        #expect(
            machine.outstanding(address: "10.0.0.1") == [
                Outstanding(subscriber: consumer, service: orders, isTold: false)
            ])
        let told = machine.toldNext(consumer, of: orders, again: false)
        #expect(told?.addresses == ["10.0.0.2"])
        #expect(machine.toldNext(consumer, of: orders, again: false) == nil)
        #expect(machine.toldNext(consumer, of: orders, again: true) == told)
        #expect(machine.outstanding(address: "10.0.0.1").map(\.isTold) == [true])
        _ = machine.drain()
        machine.acknowledged(consumer, orders, version: told?.version ?? 0)
        #expect(machine.drain() == [.acknowledgementsMoved])
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty)
        #expect(machine.outstanding(address: "10.0.0.2").count == 1)
    }

    @Test func anAcknowledgementOfAnOlderViewDoesNotCount() throws {
        var machine = machine()
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        _ = try machine.subscribed(consumer, to: orders)
        machine.replaced([pod("10.0.0.1"), pod("10.0.0.2")], of: .kubernetes, as: orders, now: start)
        let both = machine.toldNext(consumer, of: orders, again: false)
        machine.withdrew(address: "10.0.0.1")
        let one = machine.toldNext(consumer, of: orders, again: false)
        machine.acknowledged(consumer, orders, version: both?.version ?? 0)
        #expect(machine.outstanding(address: "10.0.0.1").count == 1)
        machine.acknowledged(consumer, orders, version: one?.version ?? 0)
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty)
    }

    @Test func whoLeavesIsNotWaitedFor() throws {
        var machine = machine()
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        _ = try machine.subscribed(consumer, to: orders)
        machine.withdrew(address: "10.0.0.1")
        machine.connectionClosed("c9", subscriber: consumer)
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty)
    }

    @Test func aPollerCountsFromItsSecondVisitUntilItStops() {
        var machine = machine()
        let poller = SubscriberID("nacos-http/10.0.0.9")
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        _ = machine.polled(poller, orders, now: start)
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty, "asking once makes no consumer")
        machine.withdrawalLifted(address: "10.0.0.1")
        _ = machine.polled(poller, orders, now: start + .seconds(3))
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.outstanding(address: "10.0.0.1").count == 1)
        _ = machine.polled(poller, orders, now: start + .seconds(6))
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty)
        machine.withdrawalLifted(address: "10.0.0.1")
        _ = machine.polled(poller, orders, now: start + .seconds(9))
        machine.withdrew(address: "10.0.0.1")
        machine.timePassed(now: start + .seconds(19))
        #expect(machine.outstanding(address: "10.0.0.1").count == 1, "it may only be busy")
        machine.timePassed(now: start + .seconds(20))
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty, "it did not come back")
    }

    @Test func askingTwiceInARowMakesNoFasterPoller() {
        var machine = machine()
        let poller = SubscriberID("nacos-http/10.0.0.9")
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        _ = machine.polled(poller, orders, now: start)
        _ = machine.polled(poller, orders, now: start + .milliseconds(20))
        machine.withdrew(address: "10.0.0.1")
        machine.timePassed(now: start + .seconds(29))
        #expect(machine.outstanding(address: "10.0.0.1").count == 1)
        machine.timePassed(now: start + .seconds(31))
        #expect(machine.outstanding(address: "10.0.0.1").isEmpty)
    }

    @Test func nobodyIsToldBeforeThePictureIsComplete() throws {
        var machine = machine(sources: [.kubernetes, .nacos])
        _ = try machine.subscribed(consumer, to: orders)
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        machine.sourceSynced(.kubernetes)
        #expect(!machine.isComplete)
        #expect(machine.toldNext(consumer, of: orders, again: false) == nil)
        _ = machine.drain()
        machine.sourceSynced(.nacos)
        #expect(machine.drain() == [.changed([orders]), .completed])
        #expect(machine.toldNext(consumer, of: orders, again: false)?.addresses == ["10.0.0.1"])
    }
}

@Suite struct ShellTests {
    @Test func feedsCoalesceAndOverflow() async {
        var limits = CatalogueLimits()
        limits.feedNames = 2
        let catalogue = ServiceCatalogue(sources: [], limits: limits)
        let feed = catalogue.changes()
        #expect(feed.take() == nil)
        for port in 1...3 { catalogue.replace([pod("10.0.0.1", port)], of: .kubernetes, as: orders) }
        #expect(await feed.next() == .names([orders]))
        for name in ["a", "b", "c"] {
            catalogue.replace([pod("10.0.0.1")], of: .kubernetes, as: ServiceName(name: name))
        }
        #expect(await feed.next() == .everything)
    }

    @Test func waitingEndsWithTheLastAcknowledgement() async throws {
        let catalogue = ServiceCatalogue(sources: [])
        let consumer = SubscriberID("nacos/consumer")
        catalogue.replace([pod("10.0.0.1")], of: .kubernetes, as: orders)
        _ = try catalogue.subscribe(consumer, to: orders)
        #expect(catalogue.withdraw(address: "10.0.0.1").map(\.subscriber) == [consumer])
        #expect(catalogue.withdraw(address: "10.0.0.1").isEmpty)
        async let done: Void = catalogue.waitUntilAcknowledged(address: "10.0.0.1")
        let told = catalogue.tell(consumer, of: orders)
        catalogue.acknowledge(consumer, orders, version: told?.version ?? 0)
        await done
        #expect(catalogue.outstanding(address: "10.0.0.1").isEmpty)
    }

    @Test func waitingEndsWhenCancelled() async {
        let catalogue = ServiceCatalogue(sources: [.kubernetes])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await catalogue.waitUntilComplete() }
            group.cancelAll()
        }
        #expect(!catalogue.isComplete)
    }
}

@Suite struct RegistryPollerTests {
    private let poller = SubscriberID("eureka/10.0.0.9")

    private func populated() -> CatalogueMachine {
        var machine = machine()
        machine.replaced([pod("10.0.0.1")], of: .kubernetes, as: orders, now: start)
        return machine
    }

    @Test func whoReadsEverythingHasReadEachService() {
        var machine = populated()
        machine.polledEverything(poller, in: "default", now: start)
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.isSettled("10.0.0.1") == true, "asking once makes no consumer")
        machine.withdrawalLifted(address: "10.0.0.1")
        machine.polledEverything(poller, in: "default", now: start + .seconds(30))
        machine.withdrew(address: "10.0.0.1")
        #expect(
            machine.outstanding(address: "10.0.0.1") == [
                Outstanding(subscriber: poller, service: orders, isTold: false)
            ])
        #expect(machine.isSettled("10.0.0.1") == false)
        _ = machine.drain()
        machine.polledEverything(poller, in: "default", now: start + .seconds(31))
        #expect(machine.drain() == [.acknowledgementsMoved])
        #expect(machine.isSettled("10.0.0.1") == true)
    }

    @Test func whoReadsAnotherNamespaceIsNotWaitedFor() {
        var machine = populated()
        for second in 0...1 { machine.polledEverything(poller, in: "shop", now: start + .seconds(second)) }
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.isSettled("10.0.0.1") == true)
    }

    @Test func whoStopsIsForgotten() {
        var machine = populated()
        // A second fetch at once (the hash did not agree) makes no faster poller.
        for second in [0, 30, 60] { machine.polledEverything(poller, in: "default", now: start + .seconds(second)) }
        machine.polledEverything(poller, in: "default", now: start + .milliseconds(60_050))
        machine.withdrew(address: "10.0.0.1")
        machine.timePassed(now: start + .seconds(149))
        #expect(machine.isSettled("10.0.0.1") == false)
        machine.timePassed(now: start + .seconds(151))
        #expect(machine.isSettled("10.0.0.1") == true)
    }
}
