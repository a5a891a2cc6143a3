// Lists and watches: pages, selectors, revisions, bookmarks, tables.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct ListWatchTests {
    static let pods = VerbTests.pods
    static let merge = "application/merge-patch+json"

    @Test func listsComeInPages() async throws {
        let server = try await Server()
        for name in ["a", "b", "c", "d", "e"] { _ = try await server.post(Self.pods, Sample.pod(name)) }
        let first = try await server.get(Self.pods + "?limit=2")
        #expect(first.items.map(\.name) == ["a", "b"])
        #expect(first["metadata", "remainingItemCount"] == 3)
        _ = try await server.post(Self.pods, Sample.pod("bb"))
        let token = first["metadata", "continue"]?.string ?? ""
        let second = try await server.get(Self.pods + "?limit=2&continue=\(token)")
        #expect(second.items.map(\.name) == ["c", "d"])
        #expect(second["metadata", "resourceVersion"] == first["metadata", "resourceVersion"])
        let last = try await server.get(Self.pods + "?limit=2&continue=\(second["metadata", "continue"]?.string ?? "")")
        #expect(last.items.map(\.name) == ["e"])
        #expect(last["metadata", "continue"] == nil)
        #expect(try await server.get(Self.pods + "?continue=junk").code == 400)
        #expect(try await server.get(Self.pods + "?fieldSelector=metadata.name%3Dc").items.map(\.name) == ["c"])
        #expect(try await server.get(Self.pods + "?fieldSelector=spec.nodeName%3D").items.count == 6)
        #expect(try await server.get(Self.pods + "?fieldSelector=spec.nope%3D").code == 400)
        #expect(try await server.get("/api/v1/pods").items.count == 6)
        let exact = try await server.get(
            Self.pods
                + "?resourceVersionMatch=Exact&resourceVersion=\(first["metadata", "resourceVersion"]?.string ?? "")")
        #expect(exact.items.count == 5)
        let future = try await server.get(Self.pods + "?resourceVersion=99999")
        #expect(future.code == 504)
        #expect(future["details", "causes"]?.array?.first?["reason"] == "ResourceVersionTooLarge")
    }

    @Test func watchesFollowFromARevision() async throws {
        let server = try await Server()
        let first = try await server.post(Self.pods, Sample.pod("a"))
        let watch = try await server.watch(Self.pods + "?watch=true&resourceVersion=\(first.resourceVersion)")
        _ = try await server.post(Self.pods, Sample.pod("b"))
        #expect(try await watch.word() == "ADDED b")
        _ = try await server.send(.patch, Self.pods + "/b", ["metadata": ["labels": ["x": "y"]]], type: Self.merge)
        #expect(try await watch.word() == "MODIFIED b")
        _ = try await server.send(.delete, Self.pods + "/b")
        let gone = try await watch.next()
        #expect(gone?["type"] == "DELETED")
        #expect(gone?["object", "metadata", "resourceVersion"]?.string == String(server.store.revision))
    }

    @Test func watchesWithoutARevisionBeginWithTheState() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("a"))
        let watch = try await server.watch(Self.pods + "?watch=true")
        #expect(try await watch.word() == "ADDED a")
        let one = try await server.watch(Self.pods + "?watch=1&fieldSelector=metadata.name%3Dc&resourceVersion=0")
        _ = try await server.post(Self.pods, Sample.pod("b"))
        _ = try await server.post(Self.pods, Sample.pod("c"))
        #expect(try await one.word() == "ADDED c")
    }

    @Test func watchListsEndTheirStateWithABookmark() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("a"))
        let query = "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
        let watch = try await server.watch(Self.pods + query + "&resourceVersionMatch=NotOlderThan")
        #expect(try await watch.word() == "ADDED a")
        let bookmark = try await watch.next()
        #expect(bookmark?["type"] == "BOOKMARK")
        #expect(bookmark?["object", "metadata", "annotations", "k8s.io/initial-events-end"] == "true")
        _ = try await server.post(Self.pods, Sample.pod("b"))
        #expect(try await watch.word() == "ADDED b")
        #expect(try await server.get(Self.pods + query).code == 422)
        #expect(try await server.get(Self.pods + "?sendInitialEvents=true").code == 422)
        let exact = try await server.get(Self.pods + query + "&resourceVersionMatch=Exact&resourceVersion=1")
        #expect(exact.message.contains("Unsupported value: \"Exact\": supported values: \"NotOlderThan\""))
    }

    @Test func pinnedNamesAndLabelsSelectWhatHasThem() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("b", labels: ["app": "x"]))
        _ = try await server.post(Self.pods, Sample.pod("web-b", labels: ["example.com/app": "x"]))
        func names(_ query: String) async throws -> [String] {
            try await server.get(Self.pods + "?" + query).items.map(\.name)
        }
        #expect(try await names("fieldSelector=metadata.name%3Db") == ["b"])
        #expect(try await names("fieldSelector=metadata.name!%3Db") == ["web-b"])
        #expect(try await names("labelSelector=app") == ["b"])
        #expect(try await names("labelSelector=example.com%2Fapp%3Dx") == ["web-b"])
        #expect(try await names("labelSelector=!app") == ["web-b"])
        #expect(try await names("labelSelector=app+notin+(y)") == ["b", "web-b"])
        let watch = try await server.watch(Self.pods + "?watch=true&fieldSelector=metadata.name%3Db")
        #expect(try await watch.word() == "ADDED b")
        _ = try await server.send(.delete, Self.pods + "/web-b?gracePeriodSeconds=0", nil)
        _ = try await server.send(.delete, Self.pods + "/b?gracePeriodSeconds=0", nil)
        #expect(try await watch.word() == "DELETED b")
    }

    @Test func selectorsTurnChangesIntoComingsAndGoings() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("a", labels: ["app": "x"]))
        let watch = try await server.watch(Self.pods + "?watch=true&labelSelector=app%3Dx")
        #expect(try await watch.word() == "ADDED a")
        _ = try await server.send(.patch, Self.pods + "/a", ["metadata": ["labels": ["app": "y"]]], type: Self.merge)
        let left = try await watch.next()
        #expect(left?["type"] == "DELETED")
        #expect(left?["object", "metadata", "labels", "app"] == "x")
        #expect(left?["object", "metadata", "resourceVersion"]?.string == String(server.store.revision))
        _ = try await server.send(.patch, Self.pods + "/a", ["metadata": ["labels": ["app": "x"]]], type: Self.merge)
        #expect(try await watch.word() == "ADDED a")
    }

    /// Whatever is selected and however it is shown. Of a bookmark a reader in this program wants the revision only.
    @Test(arguments: [
        ("?watch=true", nil), ("?watch=true&labelSelector=x%3Dy", nil), ("?watch=true&resourceVersion=1", nil),
        ("?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan", nil),
        ("?watch=true", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
    ])
    func readersInThisProgramAreToldWhatLinesTell(query: String, accept: String?) async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("a", labels: ["x": "y"]))
        let lines = try await server.watch(Self.pods + query, accept: accept)
        let values = try await server.watch(Self.pods + query, accept: accept)
        _ = try await server.post(Self.pods, Sample.pod("b"))
        for label: JSON in ["y", .null] {
            let patch: JSON = ["metadata": ["labels": ["x": label]]]
            _ = try await server.send(.patch, Self.pods + "/b", patch, type: Self.merge)
        }
        _ = try await server.send(.delete, Self.pods + "/b")
        var told: [JSON] = []
        while told.last?["type"] != "DELETED", let line = try await lines.next() {
            let revision = line["object", "metadata", "resourceVersion"]
            let isBookmark = line["type"] == "BOOKMARK"
            told.append(
                isBookmark
                    ? ["type": "BOOKMARK", "object": ["metadata": ["resourceVersion": revision ?? .null]]] : line)
        }
        var heard: [JSON] = []
        while heard.count < told.count {
            let events = try await values.values()
            if events.isEmpty { break }
            heard += events
        }
        #expect(told.count >= 3)
        #expect(heard.prefix(told.count).elementsEqual(told))
    }

    @Test func aReaderInThisProgramIsToldWhyAWatchFailed() async throws {
        let server = try await Server()
        let watch = try await server.watch(Self.pods + "?watch=true&resourceVersion=1")
        server.hub.close()
        await #expect(throws: Problem.self) { try await watch.values() }
        #expect(try await watch.values().isEmpty)
    }

    @Test func watchesEndInTime() async throws {
        var limits = APILimits()
        limits.watchSeconds = 0
        let server = try await Server(limits: limits)
        let watch = try await server.watch(Self.pods + "?watch=true&timeoutSeconds=0&allowWatchBookmarks=true")
        #expect(try await watch.next()?["type"] == "BOOKMARK")
        #expect(try await watch.next() == nil)
        #expect(try await server.get(Self.pods + "?watch=true&resourceVersion=99999").code == 504)
    }

    @Test func tablesAndMetadata() async throws {
        let server = try await Server()
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        let empty = try await server.get(Self.pods, accept: accept)
        #expect(empty["rows"] == [])
        _ = try await server.post(Self.pods, Sample.pod("a"))
        let table = try await server.get(Self.pods, accept: accept)
        let row = table["rows"]?.array?.first
        #expect(row?["cells"]?.array?.prefix(4) == ["a", "0/1", "Pending", "0"])
        #expect(row?["object", "kind"] == "PartialObjectMetadata")
        let watch = try await server.watch(Self.pods + "?watch=true", accept: accept)
        #expect(try await watch.next()?["object", "columnDefinitions"]?.array?.count == 9)
        _ = try await server.post(Self.pods, Sample.pod("b"))
        #expect(try await watch.next()?["object", "columnDefinitions"] == .null)
        let metadata = try await server.get(
            Self.pods, accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
        #expect(metadata["kind"] == "PartialObjectMetadataList")
        #expect(metadata.items.first?["spec"] == nil)
        #expect(try await server.get(Self.pods, accept: "application/cbor").code == 406)
        #expect(
            try await server.get(Self.pods, accept: "application/vnd.kubernetes.protobuf,application/json").code == 200)
    }

    @Test func discoveryIsServedInBothForms() async throws {
        let server = try await Server()
        let legacy = try await server.get("/apis/apps/v1")
        let names = (legacy["resources"]?.array ?? []).compactMap { $0["name"]?.string }
        #expect(names.contains("deployments/scale"))
        #expect(try await server.get("/apis").tree["groups"]?.array?.contains { $0["name"] == "apps" } == true)
        let accept = Discovery.aggregatedType + ",application/json"
        for path in ["/api", "/apis"] {
            let reply = try await server.get(path, accept: accept)
            #expect(reply["kind"] == "APIGroupDiscoveryList")
            #expect(reply.fields[.contentType] == Discovery.aggregatedType)
        }
        let index = try await server.get("/openapi/v3")
        let url = index["paths", "apis/apps/v1", "serverRelativeURL"]?.string ?? ""
        let document = try await server.get(url)
        let patch = document["paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch"]
        #expect(patch?["x-kubernetes-group-version-kind", "kind"] == "Deployment")
        #expect(patch?["parameters"]?.array?.contains { $0["name"] == "fieldValidation" } == true)
    }
}
