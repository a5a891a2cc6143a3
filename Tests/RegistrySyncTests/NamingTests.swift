// Names that cross between the catalogue and Kubernetes.

import Catalogue
import Objects
import RegistrySync
import Testing

@Suite struct NamingTests {
    @Test func keepsNamesThatDNSCanCarry() {
        #expect(ServiceName(name: "orders").kubernetesName == "orders")
        #expect(ServiceName(name: "a-1").kubernetesName == "a-1")
    }

    @Test(arguments: [
        "providers:com.acme.Orders:1.0.0:", "Orders", "1orders", "orders-", "订单", "", "a.b",
        String(repeating: "x", count: 64),
        String(repeating: "ab-", count: 60),
    ])
    func makesOtherNamesSafe(name: String) {
        let service = ServiceName(name: name)
        let safe = service.kubernetesName
        #expect(ServiceName(name: safe).kubernetesName == safe, "\(safe) is a label")
        #expect(safe != name)
        #expect(ServiceName(name: name).kubernetesName == safe)
        #expect(ServiceName(group: "other", name: name).kubernetesName != safe)
    }

    @Test func readsItsOwnAnnotation() {
        let name = ServiceName(namespace: "shop", group: "g", name: "providers:com.acme.Orders::")
        var service = Object(.services, namespace: "shop", name: name.kubernetesName)
        #expect(name.kubernetesName.hasPrefix("providers-com-acme-orders-"))
        service.annotations = [ExportMark.serviceAnnotation: name.annotation]
        #expect(ServiceName(service: service) == name)
        service.annotations = [ExportMark.serviceAnnotation: "plain"]
        #expect(ServiceName(service: service) == ServiceName(namespace: "shop", name: "plain"))
        service.annotations = [:]
        #expect(ServiceName(service: service).name == service.name)
    }
}
