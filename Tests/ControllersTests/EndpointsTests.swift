// EndpointSlices and Endpoints by script: which addresses a Service shows, and in which slice.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct EndpointsTests {
    private func service(_ spec: JSON = [:]) -> Object {
        var service = Object(.services, namespace: "shop", name: "web")
        service.labels = ["team": "shop"]
        service.spec = [
            "selector": ["app": "web"], "clusterIP": "10.96.0.7", "ports": [["port": 80, "targetPort": "http"]],
        ]
        for member in spec.object ?? JSONObject() { service.spec[member.key] = member.value }
        return service.stored()
    }

    private func pod(_ number: Int, port: Int? = 8080, isReady: Bool = true) -> Object {
        var pod = Thing.pod("web-\(number)").running(readySince: isReady ? noon : nil)
        pod.status["podIP"] = .string("10.0.\(number / 250).\(number % 250)")
        if let port {
            pod.spec["containers"] = [["name": "main", "ports": [["name": "http", "containerPort": JSON(port)]]]]
        }
        return pod
    }

    private func slices(_ service: Object, _ pods: [Object], _ slices: [Object] = []) -> [EndpointSliceMachine.Action] {
        EndpointSliceMachine(service: service, pods: pods, slices: slices).actions()
    }

    private func created(_ actions: [EndpointSliceMachine.Action]) -> [Object] {
        actions.enumerated().compactMap { position, action in
            guard case .create(let slice) = action else { return nil }
            var named = slice
            named.name = "web-s\(position)"
            return named.stored()
        }
    }

    @Test func conditionsTellReadyServingAndTerminating() {
        let pods = [pod(1), pod(2, isReady: false), pod(3).going(), pod(4).running("Failed")]
        let slice = created(slices(service(), pods)).first
        let conditions = slice?["endpoints"]?.array?.map { $0["conditions"] ?? .null }
        #expect(
            conditions == [
                ["ready": true, "serving": true, "terminating": false],
                ["ready": false, "serving": false, "terminating": false],
                ["ready": false, "serving": true, "terminating": true],
            ])
        #expect(slice?["ports"] == [["name": "", "protocol": "TCP", "port": 8080]])
        #expect(slice?.labels["team"] == "shop")
        #expect(slice?.labels["kubernetes.io/service-name"] == "web")
        let open = created(slices(service(["publishNotReadyAddresses": true]), [pod(2, isReady: false)])).first
        #expect(open?["endpoints"]?.array?.first?["conditions", "ready"] == true)
    }

    @Test func aSliceHoldsAHundred() {
        let pods = (1...250).map { pod($0) }
        var known = created(slices(service(), pods))
        #expect(known.map { $0["endpoints"]?.array?.count ?? 0 }.sorted() == [50, 100, 100])
        #expect(slices(service(), pods, known).isEmpty)
        // What stays keeps its place: one pod less touches one slice.
        let fewer = slices(service(), pods.filter { $0.name != "web-7" }, known)
        #expect(fewer.count == 1)
        // A new one fills the slice that has room.
        guard case .update(let filled)? = slices(service(), pods + [pod(251)], known).first else {
            Issue.record("nothing was updated")
            return
        }
        #expect(filled["endpoints"]?.array?.count == 51)
        known = known.filter { $0["endpoints"]?.array?.count == 100 }
        #expect(created(slices(service(), pods, known)).count == 1)
    }

    @Test func namedPortsMayDifferByPod() {
        let made = created(slices(service(), [pod(1, port: 8080), pod(2, port: 9090), pod(3, port: nil)]))
        #expect(Set(made.compactMap { $0["ports"]?.array?.first?["port"]?.integer }) == [8080, 9090])
        #expect(made.count == 3)
        // The last pod is gone: one empty slice says that the Service is known.
        let left = slices(service(), [], made)
        #expect(left.filter { if case .delete = $0 { true } else { false } }.count == 2)
    }

    @Test func endpointsAreTheFlatForm() {
        let pods = [pod(1), pod(2, isReady: false), pod(3).going()]
        let made = EndpointsMachine(service: service(), pods: pods).wanted(over: nil)
        let subset = made?["subsets"]?.array?.first
        #expect(subset?["addresses"]?.array?.compactMap { $0["ip"]?.string } == ["10.0.0.1"])
        #expect(subset?["notReadyAddresses"]?.array?.compactMap { $0["ip"]?.string } == ["10.0.0.2"])
        #expect(subset?["addresses"]?.array?.first?["targetRef", "name"] == "web-1")
        #expect(subset?["ports"] == [["protocol": "TCP", "port": 8080]])
        #expect(EndpointsMachine(service: service(), pods: pods).wanted(over: made) == nil)
        let many = EndpointsMachine(service: service(), pods: (1...1100).map { pod($0) }).wanted(over: nil)
        #expect(many?["subsets"]?.array?.first?["addresses"]?.array?.count == 1000)
        #expect(many?.annotations[EndpointsMachine.overCapacity] == "truncated")
    }

    @Test func handWrittenEndpointsBecomeSlices() {
        let bare = service(["selector": .null])
        var endpoints = Object(.endpoints, namespace: "shop", name: "web").stored()
        endpoints["subsets"] = [
            [
                "addresses": [["ip": "192.0.2.1"], ["ip": "2001:db8::1"]], "notReadyAddresses": [["ip": "192.0.2.2"]],
                "ports": [["port": 80]],
            ]
        ]
        #expect(MirrorMachine.applies(to: endpoints, service: bare))
        #expect(!MirrorMachine.applies(to: endpoints, service: service()))
        var skipped = endpoints
        skipped.labels = [MirrorMachine.skipLabel: "true"]
        #expect(!MirrorMachine.applies(to: skipped, service: bare))
        let made = created(MirrorMachine(endpoints: endpoints, slices: []).actions())
        #expect(made.map { $0["addressType"] } == ["IPv4", "IPv6"])
        #expect(made[0]["endpoints"]?.array?.map { $0["conditions", "ready"] } == [true, false])
        #expect(MirrorMachine(endpoints: endpoints, slices: made).actions().isEmpty)
        endpoints["subsets"] = []
        #expect(MirrorMachine(endpoints: endpoints, slices: made).actions().count == 2)
    }
}
