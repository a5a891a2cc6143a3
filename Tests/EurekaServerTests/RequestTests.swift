// Requests as Spring Cloud and py-eureka-client send them, answered without sockets.

import Catalogue
import Formats
import HTTPServing
import Testing

@testable import EurekaServer

@Suite struct RouteTests {
    @Test(arguments: [
        "/eureka/apps", "/eureka/apps/", "/eureka/v2/apps", "/eureka//apps", "/eureka/namespaces/default/apps",
        "/eureka/v2/namespaces/default/apps/",
    ])
    func prefixesAndSlashes(_ path: String) {
        let found = EurekaRoute.parse(path[...], defaultNamespace: "default")
        #expect(found?.route == .apps && found?.namespace == "default")
    }

    @Test func whatAPathNames() {
        func route(_ path: String) -> EurekaRoute? { EurekaRoute.parse(path[...], defaultNamespace: "default")?.route }
        #expect(route("/eureka/apps/delta") == .delta)
        #expect(
            route("/eureka/apps/orders/10.1.0.7%3Aorders%3A8080")
                == .instance(app: "ORDERS", id: "10.1.0.7:orders:8080"))
        #expect(route("/eureka/apps/orders/a+b/status") == .status(app: "ORDERS", id: "a+b"))
        #expect(route("/eureka/peerreplication/batch/") == .replication)
        for other in ["/", "/apps", "/eureka", "/eureka/other", "/eureka/apps/a/b/c", "/eureka/apps/a/b/status/d"] {
            #expect(route(other) == nil, "\(other)")
        }
        #expect(EurekaRoute.parse("/eureka/namespaces/shop/vips/a", defaultNamespace: "default")?.namespace == "shop")
    }
}

@Suite struct EurekaAPITests {
    private let catalogue = ServiceCatalogue(sources: [])
    private let api: EurekaAPI
    private let path = "/eureka/apps/ORDERS/10.1.0.7:orders:8080"

    init() { api = EurekaAPI(catalogue: catalogue) }

    private func ask(
        _ method: String, _ target: String, _ body: JSON? = nil, peer: String = "10.0.0.9",
        fields: [String: String] = [:]
    ) async -> EurekaAnswer {
        var request = HTTPRequest(method: method, target: target, body: body?.bytes ?? [], peer: peer)
        request.fields.add(name: "Accept", value: "application/json")
        if body != nil { request.fields.add(name: "Content-Type", value: "application/json") }
        for (name, value) in fields { request.fields.replaceOrAdd(name: name, value: value) }
        return await api.answer(request)
    }

    private func register(_ tree: JSON = Sample.registration()) async -> Int {
        await ask("POST", "/eureka/apps/ORDERS", ["instance": tree]).status
    }

    private func tree(_ target: String) async throws -> JSON { try JSON(parsing: await ask("GET", target).body) }

    @Test func aRegistrationIsFoundEverywhere() async throws {
        #expect(await register() == 204)
        let record = catalogue.snapshot(of: ServiceName(name: "orders")).instances.first
        #expect(record?.address == "10.1.0.7" && record?.port == 8080 && record?.isHealthy == true)
        for target in [
            "/eureka/apps", "/eureka/apps/delta?regions=us-east-1", "/eureka/vips/ORDERS", "/eureka/svips/orders",
        ] {
            let applications = try await tree(target)["applications"]
            #expect(applications?["apps__hashcode"]?.string == "UP_1_", "\(target)")
            let instance = applications?["application"]?.array?.first?["instance"]?.array?.first
            #expect(instance?["hostName"]?.string == "10.1.0.7", "\(target)")
        }
        #expect(try await tree("/eureka/apps/orders")["application", "name"]?.string == "ORDERS")
        #expect(try await tree(path)["instance", "actionType"]?.string == "ADDED")
        #expect(try await tree("/eureka/instances/10.1.0.7%3Aorders%3A8080")["instance", "app"]?.string == "ORDERS")
        #expect(try await tree("/eureka/vips/none")["applications", "application"]?.array == [])
        #expect(await ask("GET", "/eureka/apps/NONE").status == 404)
        #expect(try await tree("/eureka/namespaces/shop/apps")["applications", "apps__hashcode"]?.string == "")
    }

    @Test func xmlIsReadAndIsTheDefault() async throws {
        let xml = String(decoding: RegistryWriter.bytes(try Sample.info(), AnswerForm(isJSON: false)), as: UTF8.self)
        for type in ["application/xml", ""] {
            var request = HTTPRequest(method: "POST", target: "/eureka/v2/apps/ORDERS", body: Array(xml.utf8))
            request.fields.add(name: "Content-Type", value: type)
            #expect(await api.answer(request).status == 204)
        }
        let answer = await ask("GET", "/eureka/apps/", fields: ["Accept": ""])
        #expect(answer.contentType == "application/xml")
        #expect(String(decoding: answer.body, as: UTF8.self).hasPrefix("<applications>\n  <versions__delta>1<"))
        let vendor = await ask("GET", "/eureka/apps/", fields: ["Accept": "application/vnd.netflix.eureka.v2+json"])
        #expect(vendor.contentType == "application/json")
    }

    @Test func beatsFollowTheDirtyTimestamp() async {
        #expect(await ask("PUT", path).status == 404)
        _ = await register()
        #expect(await ask("PUT", path + "?status=UP&lastDirtyTimestamp=1700000000000").status == 200)
        #expect(await ask("PUT", path + "?status=UP&lastDirtyTimestamp=1700000000001").status == 404)
        let behind = await ask(
            "PUT", path + "?lastDirtyTimestamp=1", fields: ["X-Netflix-Discovery-Replication": "true"])
        #expect(behind.status == 200 && !behind.body.isEmpty, "a peer that is behind is told")
        #expect(await ask("PUT", path + "?lastDirtyTimestamp=soon").status == 400)
        #expect(await ask("DELETE", path).status == 200)
        #expect(await ask("DELETE", path).status == 404)
        #expect(await ask("PUT", path).status == 404)
    }

    @Test func aBeatDoesNotRaiseTheDead() async throws {
        #expect(await register(Sample.registration(status: "DOWN")) == 204)
        #expect(await ask("PUT", path).status == 200)
        #expect(try await tree(path)["instance", "status"]?.string == "DOWN")
        #expect(catalogue.snapshot(of: ServiceName(name: "orders")).instances.first?.isHealthy == false)
    }

    @Test func overridesAndMetadata() async throws {
        _ = await register()
        #expect(try await tree(path)["instance", "actionType"]?.string == "ADDED")
        #expect(await ask("PUT", path + "/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=1").status == 200)
        let taken = try await tree(path)["instance"]
        #expect(taken?["status"]?.string == "OUT_OF_SERVICE" && taken?["overriddenStatus"]?.string == "OUT_OF_SERVICE")
        #expect(taken?["actionType"]?.string == "MODIFIED")
        #expect(catalogue.snapshot(of: ServiceName(name: "orders")).instances.first?.isEnabled == false)
        #expect(await ask("DELETE", path + "/status?value=UP").status == 200)
        #expect(try await tree(path)["instance", "status"]?.string == "UP")
        #expect(await ask("PUT", path + "/metadata?weight=7&team=a%20b").status == 200)
        #expect(try await tree(path)["instance", "metadata", "team"]?.string == "a b")
        #expect(catalogue.snapshot(of: ServiceName(name: "orders")).instances.first?.weight == 7)
        #expect(await ask("PUT", path + "/status?value=GREAT").status == 400)
        #expect(await ask("PUT", "/eureka/apps/ORDERS/none/status?value=UP").status == 404)
        #expect(await ask("PUT", "/eureka/apps/ORDERS/none/metadata?a=b").status == 404)
    }

    @Test func refusalsSayWhy() async {
        func refusal(_ answer: EurekaAnswer) -> String {
            "\(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
        }
        #expect(
            refusal(await ask("POST", "/eureka/apps/WEB", ["instance": Sample.registration()]))
                == "400 Mismatched appName, expecting WEB but was ORDERS")
        var nameless = Sample.registration()
        nameless["hostName"] = nil
        #expect(refusal(await ask("POST", "/eureka/apps/ORDERS", ["instance": nameless])) == "400 Missing hostname")
        let half = HTTPRequest(method: "POST", target: "/eureka/apps/ORDERS", body: Array("{".utf8))
        #expect(await api.answer(half).status == 400)
        #expect(await ask("POST", "/eureka/apps/ORDERS", [1, 2]).status == 400)
        #expect(await ask("POST", "/eureka/apps/ORDERS", fields: ["Content-Type": "image/png"]).status == 415)
        #expect(await ask("POST", "/eureka/apps/ORDERS", [:], fields: ["Content-Encoding": "gzip"]).status == 415)
        #expect(await ask("PATCH", "/eureka/apps").status == 405)
        #expect(await ask("GET", "/other").status == 404)
        #expect(await ask("GET", "/eureka/namespaces/A%20B/apps").status == 400)
        #expect(await ask("GET", "/metrics").status == 200)
    }

    @Test func peersSendBatches() async throws {
        let batch: JSON = [
            "replicationList": [
                ["appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "Heartbeat", "lastDirtyTimestamp": 1],
                [
                    "appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "Register",
                    "instanceInfo": Sample.registration(),
                ],
                ["appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "Heartbeat", "lastDirtyTimestamp": "1"],
                [
                    "appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "StatusUpdate",
                    "status": "OUT_OF_SERVICE",
                    "lastDirtyTimestamp": 1,
                ],
                ["appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "DeleteStatusOverride", "status": "UP"],
                ["appName": "ORDERS", "id": "10.1.0.7:orders:8080", "action": "Cancel"], ["action": "Dance"], 7,
            ]
        ]
        let answer = await ask("POST", "/eureka/peerreplication/batch/", batch)
        let responses = try JSON(parsing: answer.body)["responseList"]?.array ?? []
        #expect(responses.compactMap { $0["statusCode"]?.integer } == [404, 200, 200, 200, 200, 200, 400, 400])
        #expect(responses[2]["responseEntity", "app"]?.string == "ORDERS")
    }

    @Test func answersAreNeverOlderThanTheCatalogueAndCompressed() async throws {
        for port in 1...30 {
            let pod = (1...port).map {
                Instance(address: "10.0.0.1", port: $0, lifetime: .kubernetes, origin: .kubernetes)
            }
            catalogue.replace(pod, of: .kubernetes, as: ServiceName(name: "web"))
            #expect(try await tree("/eureka/apps")["applications", "apps__hashcode"]?.string == "UP_\(port)_")
            #expect(try await tree("/eureka/apps/delta")["applications", "apps__hashcode"]?.string == "UP_\(port)_")
        }
        let plain = await ask("GET", "/eureka/apps")
        for _ in 1...2 {
            let small = await ask("GET", "/eureka/apps", fields: ["Accept-Encoding": "gzip"])
            #expect(small.isGzip && small.body.count < plain.body.count / 4 && small.body.prefix(2) == [0x1F, 0x8B])
        }
    }

    @Test func aRestartedCatalogueTakesABeatForARegistration() async throws {
        var record = try Sample.info().record
        record.lifetime = .lease(.adopted)
        try catalogue.register(record, as: ServiceName(name: "orders"))
        #expect(await ask("PUT", path + "?status=UP&lastDirtyTimestamp=1700000000000").status == 200)
        #expect(catalogue.snapshot(of: ServiceName(name: "orders")).records.first?.lifetime.lease?.isAdopted == false)
        record.words = ""
        record.port = 9
        record.id = "other"
        try catalogue.register(record, as: ServiceName(name: "orders"))
        #expect(await ask("PUT", "/eureka/apps/ORDERS/other").status == 404, "its words are not known")
    }

    @Test func consumersAreWaitedFor() async {
        let pod = Instance(address: "10.88.0.3", port: 80, lifetime: .kubernetes, origin: .kubernetes)
        catalogue.replace([pod], of: .kubernetes, as: ServiceName(name: "web"))
        for target in ["/eureka/apps", "/eureka/apps/delta"] { _ = await ask("GET", target, peer: "10.0.0.1") }
        for _ in 1...2 { _ = await ask("GET", "/eureka/apps/WEB", peer: "10.0.0.2") }
        for _ in 1...2 { _ = await ask("GET", "/eureka/vips/web", peer: "10.0.0.5") }
        _ = await ask("GET", "/eureka/apps", peer: "10.0.0.3")
        for _ in 1...2 { _ = await ask("GET", "/eureka/namespaces/shop/apps", peer: "10.0.0.4") }
        let client = ["DiscoveryIdentity-Name": "A"]
        _ = await ask("GET", "/eureka/apps", peer: "10.0.0.6", fields: client)
        catalogue.withdraw(address: "10.88.0.3")
        let outstanding = Set(catalogue.outstanding(address: "10.88.0.3").map(\.subscriber.text))
        #expect(
            outstanding == [
                "eureka/10.0.0.1///", "eureka/10.0.0.2///", "eureka/10.0.0.5///", "eureka/10.0.0.6/A//",
            ])
        _ = await ask("GET", "/eureka/apps/delta", peer: "10.0.0.1")
        _ = await ask("GET", "/eureka/apps/delta", peer: "10.0.0.6", fields: client)
        _ = await ask("GET", "/eureka/vips/web", peer: "10.0.0.5")
        #expect(await ask("GET", "/eureka/apps/WEB", peer: "10.0.0.2").status == 404)
        #expect(catalogue.outstanding(address: "10.88.0.3").isEmpty, "who asks for what is gone knows that it is")
    }

    @Test func selfPreservationKeepsWhatTheCatalogueWouldEnd() async throws {
        for (preservation, isKept) in [(SelfPreservation(), true), (nil, false)] {
            let catalogue = ServiceCatalogue(sources: [])
            let api = EurekaAPI(catalogue: catalogue, preservation: preservation)
            var tree = Sample.registration()
            tree["leaseInfo"] = ["durationInSecs": 1]
            var request = HTTPRequest(method: "POST", target: "/eureka/apps/ORDERS", body: tree.bytes)
            request.fields.add(name: "Content-Type", value: "application/json")
            #expect(await api.answer(request).status == 204)
            try await Task.sleep(for: .milliseconds(700))
            api.registrations.sweep()
            #expect(api.registrations.isPreserving == isKept)
            try await Task.sleep(for: .milliseconds(400))
            catalogue.sweep()
            #expect(catalogue.snapshot(of: ServiceName(name: "orders")).isEmpty == !isKept)
        }
    }

    @Test func nobodyReadsHalfAPicture() async {
        let api = EurekaAPI(catalogue: ServiceCatalogue(sources: [.kubernetes]))
        #expect(await api.answer(HTTPRequest(method: "GET", target: "/eureka/apps")).status == 503)
    }
}
