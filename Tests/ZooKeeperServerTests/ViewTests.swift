// How instances are spelled in the tree, who has registered what there, and who has taken it in.

import Catalogue
import Formats
import Frameworks
import Testing

@testable import ZooKeeperServer

@Suite struct ViewPathTests {
    @Test func directoriesAreKnownByTheirPaths() {
        #expect(ViewDirectory(path: "/dubbo/com.acme.Orders/providers")?.layout == .dubbo(interface: "com.acme.Orders"))
        #expect(ViewDirectory(path: "/services/orders")?.layout == .application("orders"))
        #expect(
            ViewDirectory(path: "/sofa-rpc/com.acme.Orders/providers")?.layout == .sofa(interface: "com.acme.Orders"))
        #expect(ViewDirectory(path: "/namespaces/shop/services/orders")?.namespace == "shop")
        for path in [
            "/", "/dubbo", "/dubbo/com.acme.Orders", "/dubbo/com.acme.Orders/consumers", "/dubbo/metadata/providers",
            "/dubbo/mapping/providers", "/services", "/services/a/b", "/else/where", "/namespaces/shop", "/services/",
        ] { #expect(ViewDirectory(path: path) == nil, "\(path)") }
        #expect(
            TablePath(path: "/dubbo/mapping/com.acme.Orders")
                == .mapping(interface: "com.acme.Orders", namespace: "default"))
        #expect(
            TablePath(path: "/dubbo/metadata/shop/abc") == .revision("abc", application: "shop", namespace: "default"))
    }

    @Test func servicesHaveTheirDirectories() {
        func path(_ name: String, _ namespace: String = "default") -> String? {
            ViewDirectory(of: ServiceName(namespace: namespace, name: name))?.path
        }
        #expect(path("orders") == "/services/orders")
        #expect(path("orders", "shop") == "/namespaces/shop/services/orders")
        #expect(path("providers:com.acme.Orders:1.0:") == "/dubbo/com.acme.Orders/providers")
        #expect(path("com.acme.Orders:DEFAULT") == "/sofa-rpc/com.acme.Orders/providers")
        #expect(path("consumers:com.acme.Orders::") == nil)
        #expect(path("a/b") == nil && path("..") == nil)
    }

    @Test func whatAClientWritesIsAnInstance() throws {
        let dubbo = try #require(ViewDirectory(path: "/dubbo/com.acme.Orders/providers"))
        let name = "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fcom.acme.Orders%3Fversion%3D1.0%26weight%3D50%26application%3Dshop"
        let said = try #require(dubbo.instance(name: name, data: nil, lifetime: .connection("zookeeper/1")))
        #expect(said.service.name == "providers:com.acme.Orders:1.0:")
        #expect(said.instance.address == "10.0.0.1" && said.instance.port == 20_880 && said.instance.weight == 0.5)
        #expect(said.instance.origin == .zookeeper && said.instance.metadata["application"] == "shop")
        // dubbo-python names the interface only by its directory.
        let bare = try #require(dubbo.instance(name: "tri%3A%2F%2F10.0.0.1%3A1", data: nil, lifetime: .persistent))
        #expect(bare.service.name == "providers:com.acme.Orders::")
        #expect(dubbo.instance(name: "nonsense", data: nil, lifetime: .persistent) == nil)

        let sofa = try #require(ViewDirectory(path: "/sofa-rpc/com.acme.Orders/providers"))
        let bolt = "bolt%3A%2F%2F10.0.0.2%3A12200%3Fversion%3D1.0%26uniqueId%3Dx"
        let online = try #require(sofa.instance(name: bolt, data: [1], lifetime: .persistent))
        #expect(online.service.name == "com.acme.Orders:x:DEFAULT" && online.instance.isEnabled)
        #expect(sofa.instance(name: bolt, data: [0], lifetime: .persistent)?.instance.isEnabled == false)
    }

    @Test func payloadsAreInTheFlavourOfTheirReaders() throws {
        let directory = try #require(ViewDirectory(path: "/services/orders"))
        let service = ServiceName(name: "orders")
        func className(_ metadata: [String: String], _ flavour: ServiceInstancePayload.Flavour? = nil) -> String? {
            let instance = Instance(
                address: "10.0.0.1", port: 80, metadata: metadata, lifetime: .persistent, origin: .nacos)
            let node = directory.node(of: instance, as: service, flavour: flavour)
            #expect(node?.path == "/services/orders/10.0.0.1:80")
            return node.flatMap { try? JSON(parsing: $0.data)["payload", "@class"]?.string }
        }
        #expect(className([:]) == "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance")
        #expect(className(["dubbo.metadata.revision": "a"]) == "org.apache.dubbo.registry.zookeeper.ZookeeperInstance")
        #expect(className([:], .dubbo) == "org.apache.dubbo.registry.zookeeper.ZookeeperInstance")
    }

    @Test func springCloudsWeightIsMetadata() throws {
        let directory = try #require(ViewDirectory(path: "/services/orders"))
        let service = ServiceName(name: "orders")
        let heavy = Instance(address: "10.0.0.1", port: 80, weight: 3, lifetime: .persistent, origin: .nacos)
        let shown = try #require(directory.node(of: heavy, as: service, flavour: nil))
        #expect(ServiceInstancePayload(shown.data)?.metadata == ["weight": "3"])
        #expect(directory.instance(name: "x", data: shown.data, lifetime: .persistent)?.instance.weight == 3)
        let dubbo = try #require(directory.node(of: heavy, as: service, flavour: .dubbo))
        #expect(ServiceInstancePayload(dubbo.data)?.metadata == [:])
    }
}

@Suite struct RegistrationMachineTests {
    private let service = ServiceName(name: "orders")

    private func said(_ id: String, port: Int = 80, session: String = "zookeeper/1") -> RegistrationMachine.Registration
    {
        .init(
            service: service,
            instance: Instance(
                id: id, address: "10.0.0.1", port: port, lifetime: .connection(session), origin: .zookeeper))
    }

    @Test func anInstanceGoesWithItsLastNode() {
        var machine = RegistrationMachine()
        let (a, b) = (said("a"), said("b"))
        #expect(machine.said(a, at: "/a") == [.register(a.instance, service)])
        #expect(machine.said(a, at: "/a") == [])
        #expect(machine.said(b, at: "/b") == [.register(b.instance, service)])
        #expect(machine.said(nil, at: "/b") == [.register(a.instance, service)])
        #expect(machine.said(nil, at: "/a") == [.deregister(a.instance, service)])
        #expect(machine.said(nil, at: "/a") == [] && machine.paths(of: service).isEmpty)
    }

    @Test func aNodeThatSaysAnotherPlaceMovesItsInstance() {
        var machine = RegistrationMachine()
        let (a, moved) = (said("a"), said("a", port: 81))
        _ = machine.said(a, at: "/a")
        #expect(
            machine.said(moved, at: "/a") == [.deregister(a.instance, service), .register(moved.instance, service)])
        let other = said("a", port: 81, session: "zookeeper/2")
        _ = machine.said(other, at: "/b")
        #expect(machine.said(nil, at: "/a") == [.deregister(moved.instance, service)])
    }
}

@Suite struct ConsumerMachineTests {
    private let directory = "/services/orders"
    private let service = ServiceName(name: "orders")

    @Test func whoeverListsAgainHasTakenItIn() {
        var machine = ConsumerMachine()
        _ = machine.shown(service, at: directory)
        #expect(machine.listed(directory, by: 1, keepsWatch: false) == [])
        #expect(machine.listed(directory, by: 1, keepsWatch: true) == [.subscribe(session: 1, service)])
        machine.told(directory, now: 0)
        #expect(machine.lookers(at: directory).all == [1] && machine.lookers(at: directory).upToDate == [])
        #expect(machine.listed(directory, by: 1, keepsWatch: true) == [.acknowledge(session: 1, service)])
        #expect(machine.lookers(at: directory).upToDate == [1])
        #expect(machine.disconnected(1) == [.unsubscribe(session: 1, service)])
    }

    @Test func aServiceThatComesLaterIsSubscribedToo() {
        var machine = ConsumerMachine()
        #expect(machine.listed(directory, by: 1, keepsWatch: true) == [])
        #expect(machine.shown(service, at: directory) == [.subscribe(session: 1, service)])
        #expect(machine.shown(service, at: directory) == [])
    }

    @Test func whoeverDoesNotComeBackNoLongerLooks() {
        var machine = ConsumerMachine()
        _ = machine.shown(service, at: directory)
        _ = machine.listed(directory, by: 1, keepsWatch: true)
        machine.told(directory, now: 0)
        #expect(machine.timePassed(now: 10_000) == [])
        #expect(machine.timePassed(now: 10_001) == [.unsubscribe(session: 1, service)])
        #expect(!machine.isWatched(directory))
    }

    @Test func aLastingWatchIsAlwaysUpToDate() {
        var machine = ConsumerMachine()
        _ = machine.shown(service, at: directory)
        #expect(machine.watched(directory, by: 1, isLasting: true) == [.subscribe(session: 1, service)])
        machine.told(directory, now: 0)
        #expect(machine.lookers(at: directory).upToDate == [1])
        #expect(machine.timePassed(now: 60_000) == [])
        #expect(machine.unwatched(directory, by: 1) == [.unsubscribe(session: 1, service)])
    }
}
