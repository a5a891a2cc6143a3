// The HTTP open API in its three versions, answered without sockets.

import Catalogue
import Configurations
import Formats
import NIOHTTP1
import Objects
import GRPCServing
import Testing

@testable import NacosServer

extension OpenAPIRequest {
    mutating func set(_ name: String, _ value: String) {
        headers.replaceOrAdd(name: name, value: value)
    }
}

@Suite struct OpenAPITests {
    private let memory = MemoryBackend()
    private var catalogue: ServiceCatalogue { memory.catalogue }

    private func json(_ answer: OpenAPIResponse) throws -> JSON { try JSON(parsing: answer.bytes) }

    @Test func listsKubernetesAndNacosInstancesAlike() async throws {
        let pod = Instance(address: "10.1.0.1", port: 80, lifetime: .kubernetes, origin: .kubernetes)
        catalogue.replace([pod], of: .kubernetes, as: ServiceName(name: "orders"))
        let query = "serviceName=orders&ip=10.1.0.2&port=80&clusterName=None&ephemeral=True"
        #expect(await memory.ask("POST", "/nacos/v1/ns/instance", query) == .text("ok"))
        let list = try json(await memory.ask("GET", "/nacos/v1/ns/instance/list", "serviceName=orders"))
        #expect(list["name"]?.string == "DEFAULT_GROUP@@orders")
        #expect(list["hosts"]?.array?.compactMap { $0["ip"]?.string } == ["10.1.0.1", "10.1.0.2"])
        let second = try json(await memory.ask("GET", "/nacos/v2/ns/instance/list", "serviceName=orders"))
        #expect(second["code"]?.integer == 0 && second["data", "hosts"]?.array?.count == 2)
        let third = try json(await memory.ask("GET", "/nacos/v3/client/ns/instance/list", "serviceName=orders"))
        #expect(third["data"]?.array?.count == 2)
    }

    @Test func refusalsHaveTheFormOfTheirVersion() async throws {
        let missing = await memory.ask("POST", "/nacos/v1/ns/instance", "serviceName=orders&port=80")
        #expect(missing == .text("caused: Param 'ip' is required.;", status: 400))
        let second = await memory.ask("POST", "/nacos/v2/ns/instance", "serviceName=orders&port=80")
        #expect(second.status == 400)
        #expect(try json(second)["code"]?.integer == 10_000)
        #expect(try json(second)["message"]?.string == "parameter missing")
        #expect(await memory.ask("GET", "/nothing").status == 404)
        #expect(await memory.ask("GET", "/nacos/v1/ns/cmdb/x").status == 501)
    }

    @Test func aBeatOfNobodyAsksToRegisterInEveryVersion() async throws {
        let query = "serviceName=orders&ip=10.1.0.2&port=80"
        let first = try json(await memory.ask("PUT", "/nacos/v1/ns/instance/beat", query))
        #expect(first["code"]?.integer == 20_404)
        let third = await memory.ask("POST", "/nacos/v3/client/ns/instance", query + "&heartBeat=true")
        #expect(third.status == 200)
        #expect(try json(third)["code"]?.integer == 21_003)
        #expect(try json(await memory.ask("POST", "/nacos/v3/client/ns/instance", query))["data"]?.string == "ok")
        let beaten = await memory.ask("POST", "/nacos/v3/client/ns/instance", query + "&heartBeat=true")
        #expect(try json(beaten)["code"]?.integer == 0)
    }

    @Test func persistentInstancesStayUntilTheyAreTakenBack() async throws {
        let service = ServiceName(name: "orders")
        let query = "serviceName=orders&ip=10.1.0.2&port=80&ephemeral=false&weight=3"
        #expect(await memory.ask("POST", "/nacos/v1/ns/instance", query) == .text("ok"))
        #expect(catalogue.snapshot(of: service).instances.map(\.lifetime) == [.persistent])
        _ = await memory.ask("PUT", "/nacos/v1/ns/instance", "serviceName=orders&ip=10.1.0.2&port=80&enabled=false")
        #expect(catalogue.snapshot(of: service).instances.map(\.isEnabled) == [false])
        #expect(catalogue.snapshot(of: service).instances.map(\.weight) == [3])
        _ = await memory.ask(
            "PUT", "/nacos/v1/ns/health/instance", "serviceName=orders&ip=10.1.0.2&port=80&healthy=false")
        #expect(catalogue.snapshot(of: service).instances.map(\.isHealthy) == [false])
        #expect(await memory.ask("DELETE", "/nacos/v1/ns/instance", query) == .text("ok"))
        #expect(catalogue.snapshot(of: service).isEmpty)
    }

    @Test func whatAnOperatorChangesStaysWhenTheWriterComesAgain() async throws {
        let service = ServiceName(name: "orders")
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(memory.backend.connections.add(connection))
        let register = Payload(
            type: "InstanceRequest",
            body: JSON(
                dictionaryLiteral: ("type", "registerInstance"), ("serviceName", "orders"),
                ("instance", ["ip": "10.0.0.9", "port": 80])
            ).bytes)
        let requests = GRPCRequests(backend: memory.backend)
        _ = await requests.reply(register, peer: connection.peer)
        let change = "serviceName=orders&ip=10.0.0.9&port=80&enabled=false"
        #expect(await memory.ask("PUT", "/nacos/v1/ns/instance", change) == .text("ok"))
        #expect(catalogue.snapshot(of: service).instances.map(\.isEnabled) == [false])
        _ = await requests.reply(register, peer: connection.peer)
        #expect(catalogue.snapshot(of: service).instances.map(\.isEnabled) == [false])
        #expect(catalogue.snapshot(of: service).instances.map(\.lifetime) == [.connection("c")])
    }

    @Test func servicesMayBeEmptyAndProtected() async throws {
        #expect(
            await memory.ask("POST", "/nacos/v1/ns/service", "serviceName=orders&protectThreshold=0.5") == .text("ok"))
        let list = try json(await memory.ask("GET", "/nacos/v1/ns/service/list", "pageNo=1&pageSize=10"))
        #expect(list["doms"] == ["orders"])
        for (ip, healthy) in [("10.1.0.1", true), ("10.1.0.2", false), ("10.1.0.3", false)] {
            _ = await memory.ask(
                "POST", "/nacos/v1/ns/instance", "serviceName=orders&ip=\(ip)&port=80&healthy=\(healthy)")
        }
        let shown = try json(
            await memory.ask("GET", "/nacos/v1/ns/instance/list", "serviceName=orders&healthyOnly=true"))
        #expect(shown["hosts"]?.array?.count == 3 && shown["reachProtectionThreshold"]?.bool == true)
        #expect(await memory.ask("DELETE", "/nacos/v1/ns/service", "serviceName=orders").status == 400)
        for ip in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
            _ = await memory.ask("DELETE", "/nacos/v1/ns/instance", "serviceName=orders&ip=\(ip)&port=80")
        }
        #expect(await memory.ask("DELETE", "/nacos/v1/ns/service", "serviceName=orders") == .text("ok"))
        #expect(await memory.ask("GET", "/nacos/v1/ns/service", "serviceName=orders").status == 404)
    }

    @Test func configurationOverVersion1() async throws {
        let item = "dataId=a.json&group=G&tenant="
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item).status == 404)
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs", item + "&content=%7B%7D&type=json").text == "true")
        let got = await memory.ask("GET", "/nacos/v1/cs/configs", item)
        #expect(got.text == "{}" && got.contentType.hasPrefix("application/json"))
        #expect(got.headers.contains(.init(name: "Content-MD5", value: ConfigText.md5("{}"))))
        let found = try json(
            await memory.ask("GET", "/nacos/v1/cs/configs", "search=blur&dataId=a*&group=&pageNo=1&pageSize=10"))
        #expect(found["totalCount"]?.integer == 1)
        #expect(found["pageItems"]?.array?.first?["content"]?.string == "{}")
        let stale = "Listening-Configs=a.json%02G%02old%02%01"
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs/listener", stale).text == "a.json%02G%01")
        let history = try json(await memory.ask("GET", "/nacos/v1/cs/history", item + "&search=accurate"))
        #expect(history["pageItems"]?.array?.map { $0["opType"]?.string } == ["I"])
        #expect(await memory.ask("DELETE", "/nacos/v1/cs/configs", item).text == "true")
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item).status == 404)
    }

    @Test func configurationOverVersions2And3() async throws {
        let item = "dataId=a&groupName=G"
        let published = await memory.ask("POST", "/nacos/v3/admin/cs/config", item + "&content=x%3D1&type=properties")
        #expect(try json(published)["data"]?.bool == true)
        #expect(try json(await memory.ask("GET", "/nacos/v2/cs/config", "dataId=a&group=G"))["data"]?.string == "x=1")
        let third = try json(await memory.ask("GET", "/nacos/v3/client/cs/config", item))
        #expect(third["data", "content"]?.string == "x=1" && third["data", "contentType"]?.string == "properties")
        let absent = await memory.ask("GET", "/nacos/v3/client/cs/config", "dataId=b&groupName=G")
        #expect(absent.status == 404)
        #expect(try json(absent)["code"]?.integer == 20_004)
        #expect(await memory.ask("POST", "/nacos/v3/client/cs/config", item + "&content=1").status == 501)
        let conflict = await memory.ask(
            "POST", "/nacos/v2/cs/config", "dataId=a&group=G&content=2", headers: [("casMd5", "old")])
        #expect(try json(conflict)["code"]?.integer == 20_005)
        let list = try json(
            await memory.ask("GET", "/nacos/v3/admin/cs/config/list", "dataId=&groupName=&pageNo=1&pageSize=9"))
        #expect(list["data", "totalCount"]?.integer == 1)
    }

    @Test func betaAndTagChooseTheText() async throws {
        let item = "dataId=a&group=G"
        _ = await memory.ask("POST", "/nacos/v1/cs/configs", item + "&content=all")
        _ = await memory.ask(
            "POST", "/nacos/v1/cs/configs", item + "&content=beta", headers: [("betaIps", "10.0.0.1, 10.0.0.2")])
        _ = await memory.ask("POST", "/nacos/v1/cs/configs", item + "&content=gray&tag=t")
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item, peer: "10.0.0.2").text == "beta")
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item, headers: [("Vipserver-Tag", "t")]).text == "gray")
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item).text == "all")
        _ = await memory.ask("DELETE", "/nacos/v1/cs/configs", item + "&beta=true")
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", item, peer: "10.0.0.2").text == "all")
    }

    @Test func tooLongContentsAndBadNamesAreRefused() async throws {
        let long = String(repeating: "x", count: memory.configurations.limits.contentBytes + 1)
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs", "dataId=a&group=G&content=" + long).status == 400)
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs", "dataId=a%20b&group=G&content=1").status == 400)
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs", "dataId=a&group=G").status == 400)
        #expect(await memory.ask("POST", "/nacos/v1/cs/configs", "dataId=a&group=G&content=1&tag=a%2Fb").status == 400)
    }

    @Test func aConfigMapOfTheirsIsConfiguration() async throws {
        var object = Object(.configMaps, namespace: "default", name: "theirs")
        object.annotations = ["mangrove.dev/nacos-data-id": "app.properties"]
        object["data"] = ["app.properties": "a=1"]
        memory.configurations.put(object)
        let query = "dataId=app.properties&group=DEFAULT_GROUP"
        #expect(await memory.ask("GET", "/nacos/v1/cs/configs", query).text == "a=1")
    }

    @Test(arguments: [
        ("/nacos/v1/console/health/liveness", "OK"), ("/nacos/v3/admin/core/state/liveness", #""data":"ok""#),
        ("/nacos/v1/console/server/state", "standalone"), ("/nacos/v1/console/namespaces", "public"),
        ("/nacos/v3/admin/core/namespace/list", "public"), ("/nacos/v2/core/cluster/node/list", "UP"),
        ("/nacos/v1/ns/operator/metrics", "UP"), ("/nacos/v1/ns/catalog/services?withInstances=false", "serviceList"),
        ("/nacos/v2/ns/client/list", "[]"), ("/actuator/health", "UP"),
    ])
    func whatClientsAndConsolesProbe(_ path: String, _ words: String) async throws {
        let parts = path.split(separator: "?").map(String.init)
        let answer = await memory.ask("GET", parts[0], parts.count > 1 ? parts[1] : "")
        #expect(answer.status == 200 && answer.text.contains(words), "\(answer.text)")
    }

    @Test func aClientThatTakesDatagramsIsASubscriberOnlyWhereItCanBeTold() async throws {
        // No socket is lent, so it polls like everybody.
        let answer = await memory.ask(
            "GET", "/nacos/v1/ns/instance/list", "serviceName=orders&udpPort=5000",
            userAgent: "Nacos-Java-Client:v1.4.2")
        #expect(try json(answer)["cacheMillis"]?.integer == ServiceInfo.polledCacheMilliseconds)
        #expect(catalogue.subscribers(of: ServiceName(name: "orders")).isEmpty)
    }
}
