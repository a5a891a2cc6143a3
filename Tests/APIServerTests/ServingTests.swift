// What is around every request: paths, sizes, requests in flight, compression, health, metrics.

import Access
import Formats
import HTTPTypes
import Objects
import Storage
import Testing

@testable import APIServer

@Suite struct ServingTests {
    static let configMaps = "/api/v1/namespaces/default/configmaps"

    private func text(_ answer: APIAnswer) -> String {
        guard case .bytes(let bytes) = answer.body else { return "a stream" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func healthIsToldByName() async throws {
        let server = try await Server()
        #expect(text(await server.raw(.get, "/livez")) == "ok")
        #expect(text(await server.raw(.get, "/readyz/ping")) == "ok")
        #expect(text(await server.raw(.get, "/healthz/store")) == "ok")
        #expect(await server.raw(.get, "/livez/none").response.status.code == 404)
        #expect(
            text(await server.raw(.get, "/readyz?verbose"))
                == "[+]ping ok\n[+]store ok\n[+]bootstrap ok\nreadyz check passed\n")
        #expect(
            text(await server.raw(.get, "/livez?verbose&exclude=store&exclude=b&exclude=a"))
                == "[+]ping ok\n[+]store excluded: ok\n"
                + "warn: some health checks cannot be excluded: no matches for \"a\",\"b\"\nlivez check passed\n")
        server.store.close()
        let failed = await server.raw(.get, "/livez")
        #expect(failed.response.status.code == 500)
        #expect(text(failed) == "[+]ping ok\n[-]store failed: reason withheld\nlivez check failed\n")
        #expect(await server.raw(.get, "/livez?exclude=store").response.status.code == 200)
        #expect(text(await server.raw(.get, "/livez/store")).hasPrefix("internal server error: "))
    }

    @Test func aServerIsReadyWhenItsFirstObjectsAreThere() async throws {
        let server = try await Server(isBootstrapped: false)
        #expect(text(await server.raw(.get, "/livez")) == "ok")
        #expect(await server.raw(.get, "/livez/bootstrap").response.status.code == 404)
        for path in ["/readyz", "/healthz", "/readyz/bootstrap"] {
            #expect(await server.raw(.get, path).response.status.code == 500)
        }
        try await server.api.bootstrap(endpointAddress: "127.0.0.1", port: 6443)
        for path in ["/readyz", "/healthz", "/readyz/bootstrap"] {
            #expect(text(await server.raw(.get, path)) == "ok")
        }
    }

    @Test(
        arguments: [
            ("//api/v1/namespaces", 404), ("/api//v1/namespaces", 404), ("/api/v1/namespaces/../pods", 400),
            ("/api/v1/namespaces/./pods", 400), ("/api/v1/namespaces/%2e%2E/pods", 400),
            ("/api/v1/namespaces/default%2Fpods", 400), ("/api/v1/namespaces/default/configmaps/a%2fb", 400),
            ("/api/v1/namespaces/default/configmaps/a%00b", 400), ("/api/v1/namespaces/default/configmaps/a%25b", 400),
            ("/api/v1/namespaces/default/configmaps/%zz", 400), ("/api/v1/namespaces/default/configmaps/%", 400),
            ("/api/v1/namespaces/default/configmaps/%ff", 400), ("api/v1", 400),
            ("/api/v1/configmaps/default%2Fa", 400),
            ("/api/v1/configmaps/a", 404), ("/api/v1/namespaces/default/configmaps/a/b/c", 404),
            ("/api/v1/namespaces/", 200), ("/apis/", 200),
        ])
    func pathsLeadWhereTheySay(_ path: String, _ code: Int) async throws {
        let server = try await Server()
        #expect(try await server.get(path).code == code)
        if code >= 400 { #expect(try await server.send(.put, path, Sample.configMap("a")).code >= 400) }
    }

    @Test(
        arguments: [
            "continue=none", "continue=e30", "limit=1e3", "limit=99999999999999999999", "labelSelector=a+b+c",
            "labelSelector=a%20in%20(", "labelSelector=%00", "fieldSelector=metadata.name", "fieldSelector=spec.x%3D1",
            "resourceVersion=-1", "resourceVersion=99999999999999999999", "resourceVersionMatch=Newest",
            "timeoutSeconds=soon", "labelSelector=" + String(repeating: "(", count: 5000),
        ])
    func parametersThatAreNone(_ query: String) async throws {
        let server = try await Server()
        let answer = try await server.get(Self.configMaps + "?" + query)
        #expect([400, 422].contains(answer.code), "\(answer.tree.text)")
        #expect(answer.tree["kind"] == "Status")
    }

    @Test func sizesHaveLimits() async throws {
        var limits = APILimits()
        limits.bodyBytes = 2000
        let server = try await Server(limits: limits)
        let large = Sample.configMap("a", ["a": String(repeating: "x", count: 3000)])
        #expect(try await server.post(Self.configMaps, large).code == 413)
        #expect(try await server.get(Self.configMaps + "/a").code == 404)
        let selector = String(repeating: "x", count: 70_000)
        let refused = try await server.get(Self.configMaps + "?labelSelector=" + selector)
        #expect(refused.code == 431)
        var request = HTTPRequest(method: .post, scheme: "https", authority: "test", path: Self.configMaps)
        request.headerFields[.contentEncoding] = "gzip"
        let packed = await server.api.handle(request, body: [1], identity: .component("test"))
        #expect(packed.response.status.code == 415)
    }

    @Test func requestsInFlightHaveALimit() async throws {
        var limits = APILimits()
        limits.readOnlyInFlight = 0
        limits.mutatingInFlight = 0
        let server = try await Server(limits: limits)
        let somebody = Identity(name: "somebody", groups: ["system:authenticated"])
        let refused = await server.raw(.get, "/version", identity: somebody)
        #expect(refused.response.status.code == 429)
        #expect(refused.response.headerFields[.retryAfter] == "1")
        #expect(try JSON(parsing: text(refused))["reason"] == "TooManyRequests")
        let master = Identity(name: "admin", groups: ["system:masters"])
        #expect(await server.raw(.get, "/version", identity: master).response.status.code == 200)
    }

    @Test func trafficIsCountedAndGivenBack() {
        var limits = APILimits()
        limits.readOnlyInFlight = 1
        limits.mutatingInFlight = 1
        var machine = TrafficMachine()
        let kinds = [false, false, true, true]
        #expect(kinds.map { machine.arrived(isMutating: $0, limits) } == [true, false, true, false])
        machine.left(isMutating: false)
        #expect(kinds.map { machine.arrived(isMutating: $0, limits) } == [true, false, false, false])
        var histogram = TrafficMachine.Histogram()
        for seconds in [0.001, 0.005, 0.3, 100] { histogram.observe(seconds) }
        #expect(histogram.buckets[0] == 2)
        #expect(histogram.buckets.last == 1)
        #expect(histogram.count == 4)
    }

    @Test func largeAnswersAreCompressedForThoseWhoTakeIt() async throws {
        let server = try await Server()
        let value = String(repeating: "0123456789", count: 20_000)
        _ = try await server.post(Self.configMaps, Sample.configMap("large", ["a": value]))
        func get(_ encoding: String?, _ path: String) async -> APIAnswer {
            var request = HTTPRequest(method: .get, scheme: "https", authority: "test", path: path)
            request.headerFields[.acceptEncoding] = encoding
            return await server.api.handle(request, body: [], identity: .component("test"))
        }
        let plain = await get(nil, Self.configMaps + "/large")
        #expect(plain.response.headerFields[.contentEncoding] == nil)
        #expect(plain.response.headerFields[.vary] == "Accept-Encoding")
        #expect(text(plain).contains(value))
        let refused = await get("gzip;q=0, identity", Self.configMaps + "/large")
        #expect(refused.response.headerFields[.contentEncoding] == nil)
        let packed = await get("gzip, deflate", Self.configMaps + "/large")
        #expect(packed.response.headerFields[.contentEncoding] == "gzip")
        guard case .bytes(let bytes) = packed.body else { throw Problem.badRequest("a stream") }
        #expect(bytes.prefix(3) == [0x1F, 0x8B, 8])
        #expect(bytes.count < 20_000)
        let small = await get("gzip", "/api/v1/namespaces/default")
        #expect(small.response.headerFields[.contentEncoding] == nil)
    }

    @Test func metricsTellWhatHappened() async throws {
        let server = try await Server()
        _ = try await server.post(Self.configMaps, Sample.configMap("one"))
        _ = try await server.get(Self.configMaps + "/none")
        let watch = await server.raw(.get, Self.configMaps + "?watch=1")
        let answer = await server.raw(.get, "/metrics")
        #expect(answer.response.headerFields[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
        let lines = text(answer).split(separator: "\n").map(String.init)
        let labels = "component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\""
        let post = "\(labels),scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\""
        #expect(lines.contains("apiserver_request_total{\(post),code=\"201\"} 1"))
        #expect(lines.contains("apiserver_request_duration_seconds_count{\(post)} 1"))
        let get = "\(labels),scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\""
        #expect(lines.contains("apiserver_request_total{\(get),code=\"404\"} 1"))
        let open = "\(labels),scope=\"namespace\",subresource=\"\",verb=\"WATCH\",version=\"v1\""
        #expect(lines.contains("apiserver_longrunning_requests{\(open)} 1"))
        #expect(lines.contains { $0.hasPrefix("apiserver_storage_objects{resource=\"configmaps\"} ") })
        #expect(lines.contains { $0.hasPrefix("kubernetes_build_info{") && $0.hasSuffix("} 1") })
        let samples = lines.filter { !$0.hasPrefix("#") }.map { $0.prefix(upTo: $0.lastIndex(of: " ") ?? $0.endIndex) }
        #expect(Set(samples).count == samples.count)
        withExtendedLifetime(watch) {}
    }
}
