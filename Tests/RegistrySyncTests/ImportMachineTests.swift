// Services as the catalogue sees them.

import Catalogue
import Formats
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

    @Test func ignoresItsOwnExportsAndOtherProtocols() {
        let endpoints: JSON = [["addresses": ["10.0.0.1"]]]
        let own = slice(endpoints, labels: [ExportMark.sliceManagedBy: ExportMark.manager])
        let datagrams = slice(endpoints, ports: [["name": "dns", "port": 53, "protocol": "UDP"]])
        #expect(ImportMachine.instances(of: service, slices: [own, datagrams]).isEmpty)
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
