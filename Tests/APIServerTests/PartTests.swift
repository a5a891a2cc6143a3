// The pure parts: paths, names, durations, addresses, services' allocations.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct PartTests {
    @Test func pathsLeadSomewhere() {
        guard case .resource(let pod) = Route(path: "/api/v1/namespaces/shop/pods/web/log") else {
            Issue.record("no resource")
            return
        }
        #expect(pod.namespace == "shop")
        #expect(pod.plural == "pods")
        #expect(pod.name == "web")
        #expect(pod.subresource == "log")
        guard case .resource(let space) = Route(path: "/api/v1/namespaces/shop/finalize") else {
            Issue.record("no resource")
            return
        }
        #expect(space.plural == "namespaces")
        #expect(space.subresource == "finalize")
        #expect(Route(path: "/apis/apps/v1") == .groupVersion(group: "apps", version: "v1"))
        #expect(Route(path: "/openapi/v3/apis/apps/v1") == .openAPIv3("apis/apps/v1"))
        #expect(Route(path: "/api/v1/namespaces/a/pods/b/log/c") == .unknown)
        guard case .resource(let proxied) = Route(path: "/api/v1/namespaces/a/services/http:b:c/proxy/d%2F/e/") else {
            Issue.record("a path through a proxy is no resource")
            return
        }
        #expect(proxied.name == "http:b:c" && proxied.subresource == "proxy" && proxied.proxyRest == "/d%2F/e/")
        #expect(Route(path: "/livez/ping") == .health("livez", check: "ping"))
    }

    @Test func queriesAreDecoded() {
        let query = Query(parsing: "labelSelector=app%3Dx%2Ctier+in+(a)&watch&limit=5&follow=false")
        #expect(query["labelSelector"] == "app=x,tier in (a)")
        #expect(query.flag("watch"))
        #expect(!query.flag("follow"))
        #expect(!query.flag("absent"))
    }

    @Test(arguments: [
        (5, "5s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (3 * 3600, "3h"), (3 * 3600 + 300, "3h5m"),
        (2 * 86400, "2d"), (2 * 86400 + 7200, "2d2h"), (10 * 86400, "10d"), (800 * 86400, "2y70d"),
    ])
    func durationsReadAsUpstreamWritesThem(seconds: Int, text: String) {
        #expect(Cell.humanDuration(seconds) == text)
    }

    @Test func addressesAreHandedOutOnce() throws {
        var machine = ServiceAddressMachine()
        #expect(try machine.takeAddress(random: 0) == "10.96.1.0")
        #expect(try machine.takeAddress(random: 0) == "10.96.1.1")
        try machine.take(address: "10.96.0.1")
        #expect(throws: ServiceAddressMachine.Refusal.taken) { try machine.take(address: "10.96.0.1") }
        #expect(throws: ServiceAddressMachine.Refusal.outOfRange) { try machine.take(address: "10.112.0.1") }
        #expect(throws: ServiceAddressMachine.Refusal.outOfRange) { try machine.take(address: "10.96.0.0") }
        #expect(try machine.takePort(random: 2767) == 32767)
        #expect(try machine.takePort(random: 2767) == 30000)
        #expect(throws: ServiceAddressMachine.Refusal.outOfRange) { try machine.take(port: 80) }
    }

    @Test func servicesGetAndKeepTheirAddresses() async throws {
        let server = try await Server()
        let path = "/api/v1/namespaces/default/services"
        let web = try await server.post(path, Sample.service("web", type: "NodePort"))
        let address = web["spec", "clusterIP"]?.string ?? ""
        let port = web["spec", "ports"]?.array?.first?["nodePort"]?.integer ?? 0
        #expect(address.hasPrefix("10."))
        #expect((30000...32767).contains(port))
        let again = try await server.send(.put, path + "/web", Sample.service("web", type: "NodePort"))
        #expect(again.resourceVersion == web.resourceVersion)
        var thief = Sample.service("thief", type: "NodePort")
        thief["spec", "clusterIP"] = .string(address)
        #expect(try await server.post(path, thief).message.contains("provided IP is already allocated"))
        thief = Sample.service("thief", type: "NodePort")
        thief["spec", "ports"] = [["port": 80, "nodePort": JSON(port)]]
        #expect(try await server.post(path, thief).message.contains("provided port is already allocated"))
        var moved = Sample.service("web", type: "NodePort")
        moved["spec", "clusterIP"] = "10.96.9.9"
        #expect(try await server.send(.put, path + "/web", moved).message.contains("may not change once set"))
        let plain = try await server.send(.put, path + "/web", Sample.service("web"))
        #expect(plain["spec", "ports"]?.array?.first?["nodePort"] == nil)
        #expect(try await server.post(path, thief).code == 201)
        _ = try await server.send(.delete, path + "/web")
        var heir = Sample.service("heir")
        heir["spec", "clusterIP"] = .string(address)
        #expect(try await server.post(path, heir).code == 201)
        let reborn = try KubernetesAPI(
            store: server.store, hub: server.hub, nodeAccess: SpeakingNode(), logger: .init(label: "test"))
        #expect(reborn.serviceAddresses.withLock { machine in (try? machine.take(address: address)) == nil })
        let kubernetes = try await server.get(path + "/kubernetes")
        #expect(kubernetes["spec", "clusterIP"] == "10.96.0.1")
    }

    @Test(arguments: [("web", true), ("we-b.io", true), ("-web", false), ("Web", false), ("", false)])
    func subdomainNames(name: String, isGood: Bool) {
        #expect((NameRules.fault(name, .subdomain) == nil) == isGood)
    }
}
