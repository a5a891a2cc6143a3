// What is exported brings the same instances back after a restart.

import Catalogue
import Configurations
import Formats
import Objects
import Testing

@testable import RegistrySync

@Suite struct AdoptionTests {
    let name = ServiceName(namespace: "shop", name: "orders")

    func instance(_ address: String, _ port: Int = 8080, origin: Origin = .nacos, metadata: [String: String] = [:])
        -> Instance
    {
        Instance(
            id: "id-\(address)", address: address, port: port, weight: 0.5, isHealthy: address != "10.0.0.9",
            cluster: "blue", metadata: metadata, words: "<instance/>", lifetime: .lease(.adopted), origin: origin)
    }

    var service: Object {
        var service = Object(.services, namespace: "shop", name: "orders")
        service.tree["metadata", "uid"] = "uid"
        service.labels = [ExportMark.serviceManagedBy: ExportMark.manager]
        return service
    }

    func slices(_ instances: [Instance], beside slices: [Object] = []) -> [Object] {
        let actions = ExportMachine.plan(
            name, instances: instances, services: [service], slices: slices, keepsService: true
        ).actions
        var result = slices
        for action in actions {
            switch action {
            case .createSlice(let slice): result.append(slice)
            case .updateSlice(let slice): result = result.map { $0.key == slice.key ? slice : $0 }
            case .deleteSlice(let slice): result.removeAll { $0.key == slice.key }
            case .createService, .deleteService: Issue.record("\(action)")
            }
        }
        return result
    }

    @Test func everyWordAndAddressComesBack() {
        let instances = [
            instance("10.0.0.1", metadata: ["a": "=,\"ü"]), instance("10.0.0.9"), instance("127.0.0.1"),
            instance("127.0.0.1", 0), instance("db.example.com"), instance("::1"), instance("fd00::1"),
            instance("10.0.0.1", origin: .eureka), instance("10.0.0.1", origin: .zookeeper),
        ]
        let exported = slices(instances)
        #expect(Set(exported.flatMap(RawInstance.adopted(from:))) == Set(instances))
        let local = exported.filter { $0.name.hasSuffix("-local") }
        #expect(local.count == 1 && local.allSatisfy { $0["endpoints"]?.array?.isEmpty == true })
        #expect(slices(instances.reversed(), beside: exported) == exported, "nothing changed, so nothing is written")
    }

    @Test func whatIsImpliedIsNotTakenBackWithoutItsCause() throws {
        let catalogue = ServiceCatalogue(sources: [])
        let provider = Instance(
            address: "10.0.0.1", port: 20880, metadata: ["application": "orders", "interface": "com.acme.Orders"],
            lifetime: .persistent, origin: .nacos)
        try catalogue.register(provider, as: ServiceName(namespace: "shop", name: "providers:com.acme.Orders::"))
        let exported = slices(catalogue.snapshot(of: name).instances)
        #expect(exported.first?["endpoints"]?.array?.count == 1)
        #expect(exported.flatMap(RawInstance.adopted(from:)).isEmpty)
    }

    @Test func onlyWhatIsPersistentOutlivesItsReplica() {
        func persistent(_ address: String, _ origin: Origin) -> Instance {
            var instance = instance(address, origin: origin)
            instance.lifetime = .persistent
            return instance
        }
        var implied = persistent("10.0.0.4", .zookeeper)
        implied.isImplied = true
        let all = [
            instance("10.0.0.1"), instance("10.0.0.2", origin: .zookeeper), persistent("10.0.0.3", .zookeeper), implied,
            persistent("10.0.0.5", .nacos),
        ]
        let left = ExportMachine.plan(
            name, instances: all, services: [service], slices: [], keepsService: true, replica: "gone"
        ).actions.compactMap { action -> Object? in if case .createSlice(let slice) = action { slice } else { nil } }
        #expect(left.count == 2)
        let actions = Export(replica: "gone", service: name).clearing(left, services: [service])
        let kept = actions.compactMap { action -> Object? in
            if case .updateSlice(let slice) = action { slice } else { nil }
        }
        #expect(actions.count == 2 && kept.count == 1)
        #expect(Set(kept.flatMap(RawInstance.all(in:))) == [persistent("10.0.0.3", .zookeeper), implied])
        #expect(kept.allSatisfy { $0.labels["mangrove.dev/replica"] == "gone" })
        #expect(Export(replica: "gone", service: name).clearing(kept, services: [service]).isEmpty, "it stays so")
    }

    @Test func manyWordsGoIntoMoreSlicesThatChangeOneAtATime() {
        let long = String(repeating: "x", count: 10_000)
        let instances = (1...30).map { instance("10.0.1.\($0)", metadata: ["long": long]) }
        let exported = slices(instances)
        #expect(exported.count == 3)
        #expect(exported.flatMap(RawInstance.adopted(from:)).count == 30)
        let after = slices(Array(instances.dropFirst()), beside: exported)
        #expect(zip(exported, after).filter { $0 != $1 }.count == 1)
        let tooLong = slices([instance("10.0.0.1", metadata: ["long": String(repeating: "x", count: 200_000)])])
        #expect(tooLong.first?["endpoints"]?.array?.count == 1 && tooLong.flatMap(RawInstance.adopted(from:)).isEmpty)
    }

    @Test func everyNamedPortIsShown() {
        var several = instance("10.0.0.1")
        several.ports = ["http": 8080, "secure": 8443, "not a name": 1]
        let plan = ExportMachine.plan(name, instances: [several], services: [], slices: [], keepsService: true)
        guard case .createService(let made)? = plan.actions.first else {
            Issue.record("no Service is made")
            return
        }
        #expect(made.spec["ports"]?.array?.map { $0["name"]?.string } == ["http", "secure"])
        var stored = made
        stored.tree["metadata", "uid"] = "uid"
        let slices = ExportMachine.plan(name, instances: [several], services: [stored], slices: [], keepsService: true)
        guard case .createSlice(let slice)? = slices.actions.first else {
            Issue.record("no slice is made")
            return
        }
        #expect(
            slice["ports"] == [
                ["name": "http", "port": 8080, "protocol": "TCP"], ["name": "secure", "port": 8443, "protocol": "TCP"],
            ])
    }

    @Test func hiddenServicesAndTheClustersOwnNamespacesAreLeftAlone() {
        var hidden = service
        hidden.labels = [:]
        hidden.annotations = [ExportMark.hiddenAnnotation: "true"]
        let exported = slices([instance("10.0.0.1")])
        let plan = ExportMachine.plan(
            name, instances: [instance("10.0.0.1")], services: [hidden], slices: exported, keepsService: true)
        #expect(plan.actions == exported.map { .deleteSlice($0) })
        #expect(!NamespaceMaking.isOpen("kube-system") && NamespaceMaking.isOpen("shop"))
    }

    @Test func namespacesHaveKubernetesNames() {
        for name in ["dev", "0b9c-1", "a"] { #expect(NamespaceMaking.isLegal(name), "\(name)") }
        for name in ["", "-a", "a-", "Dev", "a.b", "a_b", String(repeating: "a", count: 64)] {
            #expect(!NamespaceMaking.isLegal(name), "\(name)")
        }
    }

    @Test func theTableOfInterfacesIsKept() throws {
        let rows = [
            InterfaceMapping(interface: "com.acme.Orders", text: "shop,store", version: 3),
            InterfaceMapping(interface: "com.acme.Outer$Inner", text: "shop", version: 0),
        ]
        let catalogue = ServiceCatalogue(sources: [])
        for row in rows { try catalogue.adopt(row, in: "shop") }
        #expect(catalogue.mappings(in: "shop") == rows)
        try catalogue.setMapping(of: "com.acme.Orders", to: "late", in: "other")
        try catalogue.adopt(rows[0], in: "other")
        #expect(catalogue.mapping(of: "com.acme.Orders", in: "other")?.applications == ["late", "shop", "store"])
    }
}
