// What the catalogue's services become in Kubernetes.

import Catalogue
import Formats
import Objects
import RegistrySync
import Testing

@Suite struct ExportMachineTests {
    let name = ServiceName(namespace: "shop", name: "orders")

    func instance(_ address: String, _ port: Int = 8080, healthy: Bool = true) -> Instance {
        Instance(
            address: address, port: port, weight: 2, isHealthy: healthy, metadata: ["zone": "a"],
            lifetime: .connection("c"),
            origin: .nacos)
    }

    func plan(
        _ instances: [Instance], services: [Object] = [], slices: [Object] = [], keeps: Bool = false
    ) -> ExportPlan {
        ExportMachine.plan(name, instances: instances, services: services, slices: slices, keepsService: keeps)
    }

    /// Applies plans as an API server would until nothing is left to do.
    func settled(_ instances: [Instance], services: [Object] = [], slices: [Object] = []) -> (
        services: [Object], slices: [Object]
    ) {
        var services = services
        var slices = slices
        for round in 0..<5 {
            let actions = plan(instances, services: services, slices: slices).actions
            if actions.isEmpty { return (services, slices) }
            for action in actions {
                switch action {
                case .createService(var service):
                    service.tree["metadata", "uid"] = .string("uid-\(round)")
                    services.append(service)
                case .deleteService(let service):
                    services.removeAll { $0.key == service.key }
                    slices.removeAll { $0.ownerReferences.first?.uid == service.uid }
                case .createSlice(let slice): slices.append(slice)
                case .updateSlice(let slice): slices = slices.map { $0.key == slice.key ? slice : $0 }
                case .deleteSlice(let slice): slices.removeAll { $0.key == slice.key }
                }
            }
        }
        Issue.record("the plans do not come to rest")
        return (services, slices)
    }

    @Test func makesAServiceThenItsSlices() throws {
        let (services, slices) = settled([instance("10.0.0.2"), instance("10.0.0.1", healthy: false)])
        let service = try #require(services.first)
        #expect(service.key == ObjectKey(namespace: "shop", name: "orders"))
        #expect(service.labels[ExportMark.originLabel] == "nacos")
        #expect(service["spec", "ports"] == [["port": 8080, "protocol": "TCP", "targetPort": 8080]])
        #expect(service["spec", "selector"] == nil)
        let slice = try #require(slices.first)
        #expect(slices.count == 1 && slice.name == "orders-nacos-8080")
        #expect(slice.labels[ExportMark.sliceService] == "orders")
        #expect(slice.ownerReferences.first?.uid == service.uid)
        let endpoints = slice["endpoints"]?.array ?? []
        #expect(endpoints.map { $0["addresses"]?.strings?.first } == ["10.0.0.1", "10.0.0.2"])
        #expect(endpoints.map { $0["conditions"]?["ready"]?.bool } == [false, true])
        #expect(slice.annotations[ExportMark.instancesAnnotation]?.contains(#""metadata":{"zone":"a"}"#) == true)
    }

    @Test func groupsByPortAndFamilyAndRefusesTheRest() {
        let wanted = [instance("10.0.0.1"), instance("10.0.0.2", 9090), instance("fd00::1"), instance("10.0.0.3")]
        let refused = [instance("127.0.0.1"), instance("db.example.com"), instance("10.0.0.4", 0)]
        let (_, slices) = settled(wanted + refused)
        #expect(
            Set(slices.map(\.name)) == [
                "orders-nacos-8080", "orders-nacos-9090", "orders-nacos-ipv6-8080", "orders-nacos-local",
            ])
        #expect(plan(wanted + refused).unusable.count == 3)
    }

    @Test func joinsAServiceThatExists() throws {
        var service = Object(.services, namespace: "shop", name: "orders")
        service.tree["metadata", "uid"] = "theirs"
        service.spec = ["selector": ["app": "orders"], "ports": [["name": "http", "port": 80, "targetPort": 8080]]]
        let (services, slices) = settled([instance("10.0.0.1")], services: [service])
        #expect(services == [service])
        #expect(slices.first?["ports"] == [["name": "http", "port": 8080, "protocol": "TCP"]])
        let (after, none) = settled([], services: services, slices: slices)
        #expect(after == [service] && none.isEmpty)
    }

    @Test func givesWayToAServiceThatTakesTheName() {
        let (services, slices) = settled([instance("10.0.0.1")])
        var theirs = Object(.services, namespace: "shop", name: "orders-v1")
        theirs.tree["metadata", "uid"] = "theirs"
        theirs.annotations = [ExportMark.serviceAnnotation: name.annotation]
        let (after, moved) = settled([instance("10.0.0.1")], services: services + [theirs], slices: slices)
        #expect(after == [theirs])
        #expect(moved.map(\.name) == ["orders-v1-nacos-8080"])
    }

    @Test func removesTheSlicesAtOnceAndTheServiceLater() throws {
        let (services, slices) = settled([instance("10.0.0.1")])
        let service = try #require(services.first)
        let slice = try #require(slices.first)
        #expect(plan([], services: services, slices: slices, keeps: true).actions == [.deleteSlice(slice)])
        #expect(plan([], services: services, slices: slices).actions == [.deleteSlice(slice), .deleteService(service)])
    }

    @Test func followsChanges() {
        let first = settled([instance("10.0.0.1"), instance("10.0.0.2")])
        let second = settled(
            [instance("10.0.0.2"), instance("10.0.0.3", 9090)], services: first.services, slices: first.slices)
        #expect(second.services == first.services)
        #expect(second.slices.map(\.name).sorted() == ["orders-nacos-8080", "orders-nacos-9090"])
        #expect(second.slices.first?["endpoints"]?.array?.count == 1)
    }

    @Test func splitsWhatIsTooMuchForOneSlice() {
        let many = (0..<(ExportMachine.endpointLimit + 5)).map { instance("10.1.\($0 / 250).\($0 % 250)") }
        let (_, slices) = settled(many)
        #expect(slices.map { $0["endpoints"]?.array?.count } == [ExportMachine.endpointLimit, 5])
    }
}
