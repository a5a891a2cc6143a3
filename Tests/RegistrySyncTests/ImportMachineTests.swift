// Services as the catalogue sees them.

import Catalogue
import Formats
import Frameworks
import Objects
import RegistrySync
import Testing

@Suite struct ImportMachineTests {
    let service = Object([
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "shop"],
        "spec": ["ports": [["name": "http", "port": 80], ["name": "admin", "port": 81]]],
    ])

    func slice(_ endpoints: JSON, ports: JSON? = nil, labels: [String: String] = [:]) -> Object {
        var slice = Object(.endpointSlices, namespace: "shop", name: "web-1")
        slice.labels = labels
        slice["endpoints"] = endpoints
        slice["ports"] =
            ports ?? [["name": "admin", "port": 9090], ["name": "http", "port": 8080, "protocol": "TCP"]]
        return slice
    }

    @Test func takesTheServicesFirstPortAndEveryName() {
        let instances = ImportMachine.instances(
            of: service,
            slices: [
                slice([["addresses": ["10.0.0.1"], "targetRef": ["name": "web-a"]], ["addresses": ["10.0.0.2"]]])
            ])
        #expect(instances.map(\.address) == ["10.0.0.1", "10.0.0.2"])
        #expect(instances.first?.port == 8080)
        #expect(instances.first?.ports == ["admin": 9090, "http": 8080])
        #expect(instances.first?.id == "web-a")
        #expect(instances.allSatisfy { $0.isHealthy && $0.isEnabled && $0.origin == .kubernetes })
    }

    @Test func tellsReadyFromLeaving() {
        let instances = ImportMachine.instances(
            of: service,
            slices: [
                slice([
                    ["addresses": ["10.0.0.1"], "conditions": ["ready": false]],
                    ["addresses": ["10.0.0.2"], "conditions": ["ready": false, "serving": true, "terminating": true]],
                ])
            ])
        #expect(instances.map(\.isHealthy) == [false, false])
        #expect(instances.map(\.isEnabled) == [true, false])
    }

    @Test func ignoresItsOwnExportsAndHiddenServices() {
        let endpoints: JSON = [["addresses": ["10.0.0.1"]]]
        let own = slice(endpoints, labels: [ExportMark.sliceManagedBy: ExportMark.manager])
        #expect(ImportMachine.instances(of: service, slices: [own]).isEmpty)
        var hidden = service
        hidden.annotations = [ExportMark.hiddenAnnotation: "true"]
        #expect(ImportMachine.instances(of: hidden, slices: [slice(endpoints)]).isEmpty)
    }

    @Test func takesDatagramPortsAfterTheOthers() {
        let endpoints: JSON = [["addresses": ["10.0.0.1"]]]
        let both = slice(
            endpoints, ports: [["name": "dns", "port": 53, "protocol": "UDP"], ["name": "admin", "port": 9090]])
        let mixed = ImportMachine.instances(of: service, slices: [both])
        #expect(mixed.map(\.port) == [9090] && mixed.first?.ports == ["dns": 53, "admin": 9090])
        let datagrams = slice(endpoints, ports: [["name": "dns", "port": 53, "protocol": "UDP"]])
        let only = ImportMachine.instances(of: service, slices: [datagrams])
        #expect(only.map(\.port) == [53] && only.map(\.protocolName) == ["udp"])
    }

    @Test func annotationsSayWhatRegistriesShow() {
        var annotated = service
        annotated.annotations = [
            DeclaredInterface.dubboKey: "com.acme.Web:1.0.0@admin", ExportMark.groupAnnotation: "blue",
            ExportMark.protocolAnnotation: "dubbo", ExportMark.metadataAnnotation: "version = 2, zone=a,broken",
        ]
        let instances = ImportMachine.instances(of: annotated, slices: [slice([["addresses": ["10.0.0.1"]]])])
        #expect(
            instances.map(\.metadata) == [
                [DeclaredInterface.dubboKey: "com.acme.Web:1.0.0@admin", "version": "2", "zone": "a"]
            ])
        #expect(instances.map(\.protocolName) == ["dubbo"])
        #expect(ServiceName(service: annotated) == ServiceName(namespace: "shop", group: "blue", name: "web"))
        annotated.annotations[ExportMark.serviceAnnotation] = "orders"
        #expect(ServiceName(service: annotated) == ServiceName(namespace: "shop", group: "blue", name: "orders"))
        annotated.annotations[ExportMark.serviceAnnotation] = "red@@orders"
        #expect(ServiceName(service: annotated).group == "red")
    }

    @Test func aPodOfBothFamiliesIsOneInstance() {
        let first = slice([["addresses": ["10.0.0.1"], "targetRef": ["name": "web-a"]], ["addresses": ["10.0.0.2"]]])
        let second = slice([["addresses": ["fd00::1"], "targetRef": ["name": "web-a"]], ["addresses": ["fd00::2"]]])
        let instances = ImportMachine.instances(of: service, slices: [second, first])
        #expect(instances.map(\.addresses) == [["10.0.0.1", "fd00::1"], ["10.0.0.2"], ["fd00::2"]])
    }

    @Test func countsAnAddressInTwoSlicesOnce() {
        let waiting = slice([["addresses": ["10.0.0.1"], "conditions": ["ready": false]]])
        let ready = slice([["addresses": ["10.0.0.1"], "conditions": ["ready": true]]])
        for slices in [[waiting, ready], [ready, waiting]] {
            let instances = ImportMachine.instances(of: service, slices: slices)
            #expect(instances.count == 1 && instances.first?.isHealthy == true)
        }
    }
}
