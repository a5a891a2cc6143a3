// How a word crosses between an interface and its application, and how what is implied follows its cause.

import Frameworks
import Testing

@testable import Catalogue

private let start = ContinuousClock.now
private let shop = ServiceName(name: "shop")
private let ordersInterface = DubboInterface(name: "com.acme.Orders", version: "1.0.0")
private let ordersProviders = ServiceName(name: "providers:com.acme.Orders:1.0.0:")

private func provider(_ address: String, lifetime: Lifetime = .connection("zk-1"), weight: String? = nil) -> Instance {
    let url = ProviderURL(
        scheme: "dubbo", host: address, port: 20880, path: ordersInterface.name,
        parameters: [
            "application": "shop", "interface": ordersInterface.name, "version": "1.0.0", "methods": "find",
            "side": "provider", "zone": "a",
        ].merging(weight.map { ["weight": $0] } ?? [:]) { $1 })
    let provider = DubboProvider(url: url)
    return Instance(
        address: address, port: 20880, protocolName: "dubbo", weight: provider?.weight ?? 1,
        metadata: provider?.metadata ?? [:], lifetime: lifetime, origin: .zookeeper)
}

private func machine() -> CatalogueMachine { CatalogueMachine(sources: [], firstVersion: 1_000) }

@Suite struct CrossingTests {
    @Test func anInterfaceImpliesItsApplication() throws {
        var machine = machine()
        try machine.registered(provider("10.0.0.1", weight: "50"), as: ordersProviders, now: start)
        let implied = try #require(machine.snapshot(of: shop).instances.first)
        #expect(implied.isImplied && implied.address == "10.0.0.1" && implied.port == 20880 && implied.weight == 0.5)
        #expect(implied.metadata == ["application": "shop", "protocol": "dubbo", "zone": "a"])
        #expect(implied.origin == .zookeeper && implied.protocolName == "dubbo")
        #expect(machine.services == [ordersProviders, shop])
        machine.connectionClosed("zk-1", subscriber: nil)
        #expect(machine.services == [])
        #expect(machine.entries.isEmpty)
    }

    @Test func manyInterfacesImplyOneInstance() throws {
        var machine = machine()
        let stock = ServiceName(name: "providers:com.acme.Stock::")
        try machine.registered(provider("10.0.0.1"), as: ordersProviders, now: start)
        try machine.registered(provider("10.0.0.1"), as: stock, now: start)
        #expect(machine.snapshot(of: shop).instances.count == 1)
        machine.deregistered(heldBy: "zk-1", from: ordersProviders)
        #expect(machine.snapshot(of: shop).instances.count == 1)
        machine.deregistered(heldBy: "zk-1", from: stock)
        #expect(machine.snapshot(of: shop).isEmpty)
    }

    @Test func whatAnApplicationSaysOfItselfCounts() throws {
        var machine = machine()
        try machine.registered(provider("10.0.0.1"), as: ordersProviders, now: start)
        let web = Instance(address: "10.0.0.1", port: 8080, lifetime: .connection("c"), origin: .nacos)
        try machine.registered(web, as: shop, now: start)
        #expect(machine.snapshot(of: shop).instances.map(\.port) == [8080], "no HTTP caller is sent to Dubbo's port")
        machine.connectionClosed("c", subscriber: nil)
        #expect(machine.snapshot(of: shop).instances.map(\.port) == [20880])
    }

    @Test func declaredInterfacesAreImpliedAndFollowHealthAndWeight() throws {
        var machine = machine()
        var pod = Instance(
            address: "10.0.0.1", port: 8080, ports: ["dubbo": 20880], weight: 0.5,
            metadata: [
                DeclaredInterface.dubboKey: "com.acme.Orders:1.0.0@dubbo,com.acme.Orders:1.0.0@dubbo",
                DeclaredInterface.sofaKey: "com.acme.Stock@12200",
            ], lifetime: .kubernetes, origin: .kubernetes)
        machine.replaced([pod], of: .kubernetes, as: shop, now: start)
        let dubbo = try #require(machine.snapshot(of: ordersProviders).instances.first)
        #expect(dubbo.port == 20880 && dubbo.isHealthy && dubbo.metadata["weight"] == "50")
        #expect(dubbo.metadata["application"] == "shop" && dubbo.metadata["version"] == "1.0.0")
        let shown = DubboProvider(
            ordersInterface, host: dubbo.address, port: dubbo.port, weight: dubbo.weight, metadata: dubbo.metadata)
        #expect(
            shown.url.text == "dubbo://10.0.0.1:20880/com.acme.Orders?application=shop&dubbo=2.0.2"
                + "&interface=com.acme.Orders&side=provider&version=1.0.0&weight=50")
        let sofa = machine.snapshot(of: ServiceName(name: "com.acme.Stock:DEFAULT"))
        #expect(sofa.instances.map(\.cluster) == ["default-cluster"])
        #expect(machine.snapshot(of: shop).records.count == 1, "what is implied implies nothing")
        #expect(machine.snapshot(of: ordersProviders).instances(foreignTo: .kubernetes).isEmpty)
        pod.isHealthy = false
        machine.replaced([pod], of: .kubernetes, as: shop, now: start)
        #expect(machine.snapshot(of: ordersProviders).instances.map(\.isHealthy) == [false])
        machine.withdrew(address: "10.0.0.1")
        #expect(machine.snapshot(of: ordersProviders).isEmpty && sofa.records.count == 1)
        machine.replaced([], of: .kubernetes, as: ordersProviders, now: start)
        machine.withdrawalLifted(address: "10.0.0.1")
        #expect(machine.snapshot(of: ordersProviders).records.count == 1, "another's replacement is not this one's")
    }

    @Test func whatIsImpliedLapsesAndEndsWithItsLease() throws {
        var machine = machine()
        var instance = provider("10.0.0.1", lifetime: .lease(Lease()))
        instance.origin = .nacos
        try machine.registered(instance, as: ordersProviders, now: start)
        machine.timePassed(now: start + .seconds(15))
        #expect(machine.snapshot(of: shop).instances.map(\.isHealthy) == [false])
        _ = machine.beaten(
            address: "10.0.0.1", port: 20880, cluster: "DEFAULT", of: .nacos, for: ordersProviders,
            now: start + .seconds(16))
        #expect(machine.snapshot(of: shop).instances.map(\.isHealthy) == [true])
        let beatsImplied = machine.beaten(
            address: "10.0.0.1", port: 20880, cluster: "DEFAULT", of: .nacos, for: shop, now: start)
        #expect(!beatsImplied, "only a writer's own record takes beats")
        machine.timePassed(now: start + .seconds(46))
        #expect(machine.services == [])
    }

    @Test func theTableAndRevisionsImplyInterfaces() throws {
        var machine = machine()
        let metadata = [
            DubboApplication.endpointsKey: #"[{"port":20880,"protocol":"tri"}]"#, DubboApplication.revisionKey: "r1",
        ]
        let instance = Instance(
            address: "10.0.0.1", port: 20880, metadata: metadata, lifetime: .connection("c"), origin: .nacos)
        try machine.registered(instance, as: shop, now: start)
        _ = try machine.mapped("com.acme.Stock", to: "other, shop", in: "default", when: .absent)
        let byTable = ServiceName(name: "providers:com.acme.Stock::")
        #expect(machine.snapshot(of: byTable).instances.map(\.protocolName) == ["tri"])
        let revision = DubboRevision(
            application: "shop", revision: "r1",
            interfaces: [DeclaredInterface(.dubbo(ordersInterface), scheme: "tri", port: .number(20880))])
        try machine.published(revision, in: "default")
        #expect(machine.snapshot(of: byTable).isEmpty, "the document knows better than the table")
        #expect(machine.snapshot(of: ordersProviders).instances.count == 1)
        machine.unpublished("r1", of: "shop", in: "default")
        #expect(machine.snapshot(of: byTable).instances.count == 1)
        try machine.unmapped("com.acme.Stock", in: "default", when: .always)
        #expect(machine.services == [shop])
    }
}

@Suite struct MappingTests {
    @Test func rowsAreComparedAndSet() throws {
        var machine = machine()
        let first = try machine.mapped("com.acme.Orders", to: "shop", in: "default", when: .absent)
        #expect(first.version == 0 && first.applications == ["shop"])
        #expect(machine.drain() == [.changed([.mapping(of: "com.acme.Orders")])])
        #expect(throws: CatalogueProblem.mappingMoved(current: 0)) {
            try machine.mapped("com.acme.Orders", to: "x", in: "default", when: .absent)
        }
        #expect(throws: CatalogueProblem.mappingMoved(current: 0)) {
            try machine.mapped("com.acme.Orders", to: "x", in: "default", when: .version(1))
        }
        let second = try machine.mapped("com.acme.Orders", to: "shop,store", in: "default", when: .version(0))
        #expect(second.version == 1 && machine.mappings(in: "default") == [second])
        #expect(machine.mapping(of: "com.acme.Orders", in: "other") == nil)
        #expect(throws: CatalogueProblem.mappingMoved(current: nil)) {
            try machine.unmapped("com.acme.None", in: "default", when: .version(0))
        }
        #expect(ServiceName.mapping(of: "com.acme.Orders").mappedInterface == "com.acme.Orders")
    }
}

@Suite struct OriginTests {
    private func instance(_ origin: Origin, _ port: Int = 8080, healthy: Bool = true) -> Instance {
        Instance(
            address: "10.0.0.1", port: port, isHealthy: healthy, metadata: ["from": origin.rawValue],
            lifetime: origin == .eureka ? .lease(.eureka()) : .connection(origin.rawValue), origin: origin)
    }

    @Test func oneProgramInTwoRegistriesIsOneInstance() throws {
        var machine = machine()
        try machine.registered(instance(.eureka, healthy: false), as: shop, now: start)
        try machine.registered(instance(.nacos), as: shop, now: start)
        try machine.registered(instance(.zookeeper, 9090), as: shop, now: start)
        let snapshot = machine.snapshot(of: shop)
        #expect(snapshot.records.count == 3)
        #expect(snapshot.instances.map(\.port) == [8080, 9090])
        #expect(snapshot.instances.first?.metadata["from"] == "nacos")
        #expect(snapshot.instances.first?.isHealthy == false, "healthy is what all hold for healthy")
        #expect(snapshot.instances(foreignTo: .eureka).map(\.port) == [9090])
        #expect(snapshot.counts == (1, 2))
    }

    @Test func eurekasWordOnHealthOutlivesBeats() throws {
        var machine = machine()
        try machine.registered(instance(.eureka, healthy: false), as: shop, now: start)
        let isKnown = machine.beaten(
            address: "10.0.0.1", port: 8080, cluster: "DEFAULT", of: .eureka, for: shop, now: start + .seconds(30))
        #expect(isKnown && machine.snapshot(of: shop).instances.map(\.isHealthy) == [false])
        machine.protectionChanged(of: .eureka, to: true)
        machine.timePassed(now: start + .seconds(200))
        #expect(machine.snapshot(of: shop).instances.count == 1)
        machine.protectionChanged(of: .eureka, to: false)
        machine.timePassed(now: start + .seconds(202))
        #expect(machine.snapshot(of: shop).isEmpty)
    }

    @Test func aPauseOfTheProgramIsNobodysSilence() throws {
        var machine = machine()
        try machine.registered(instance(.eureka), as: shop, now: start)
        machine.stalled(for: .seconds(300))
        machine.timePassed(now: start + .seconds(301))
        #expect(machine.snapshot(of: shop).instances.count == 1)
        machine.timePassed(now: start + .seconds(391))
        #expect(machine.snapshot(of: shop).isEmpty)
    }

    @Test func everyAddressOfAnInstanceWithdrawsIt() throws {
        var machine = machine()
        var dual = instance(.nacos)
        dual.furtherAddresses = ["fd00::1"]
        try machine.registered(dual, as: shop, now: start)
        machine.withdrew(address: "fd00::1")
        #expect(machine.snapshot(of: shop).isEmpty)
        machine.withdrawalLifted(address: "fd00::1")
        #expect(machine.table.declaredCount == 0)
    }

    @Test func countsAreKept() throws {
        var machine = machine()
        try machine.registered(instance(.eureka), as: shop, now: start)
        try machine.registered(instance(.nacos), as: shop, now: start)
        try machine.registered(provider("10.0.0.2"), as: ordersProviders, now: start)
        var counts = CatalogueCounts(
            services: 2, declared: [.eureka: 1, .nacos: 1, .zookeeper: 1], leased: [.eureka: 1], implied: 1)
        #expect(machine.counts == counts)
        machine.connectionClosed("zk-1", subscriber: nil)
        counts.services = 1
        counts.declared[.zookeeper] = 0
        counts.implied = 0
        #expect(machine.counts == counts)
    }
}
