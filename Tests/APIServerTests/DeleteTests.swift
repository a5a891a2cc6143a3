// Deletes: grace, finalizers, preconditions, propagation, namespaces and collections.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct DeleteTests {
    static let pods = VerbTests.pods
    static let maps = VerbTests.maps

    private func boundPod(_ server: Server, _ name: String) async throws {
        _ = try await server.post(Self.pods, Sample.pod(name))
        let binding: JSON = ["metadata": ["name": .string(name)], "target": ["kind": "Node", "name": "one"]]
        _ = try await server.post("\(Self.pods)/\(name)/binding", binding)
    }

    @Test func podsOnANodeGoGracefully() async throws {
        let server = try await Server()
        try await boundPod(server, "web")
        let first = try await server.send(.delete, Self.pods + "/web")
        #expect(first.code == 200)
        #expect(first.object.isTerminating)
        #expect(first["metadata", "deletionGracePeriodSeconds"] == 30)
        #expect(first.object.generation == 2)
        let second = try await server.send(.delete, Self.pods + "/web")
        #expect(second.resourceVersion == first.resourceVersion)
        let shorter = try await server.send(.delete, Self.pods + "/web", ["gracePeriodSeconds": 5])
        #expect(shorter["metadata", "deletionGracePeriodSeconds"] == 5)
        let longer = try await server.send(.delete, Self.pods + "/web?gracePeriodSeconds=60")
        #expect(longer["metadata", "deletionGracePeriodSeconds"] == 5)
        let status = try await server.send(
            .patch, Self.pods + "/web/status", ["status": ["phase": "Running"]], type: "application/merge-patch+json")
        #expect(status.code == 200)
        #expect(try await server.send(.delete, Self.pods + "/web?gracePeriodSeconds=0").code == 200)
        #expect(try await server.get(Self.pods + "/web").code == 404)
    }

    @Test func podsOnNoNodeGoAtOnce() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("web"))
        #expect(try await server.send(.delete, Self.pods + "/web").code == 200)
        #expect(try await server.get(Self.pods + "/web").code == 404)
    }

    @Test func finalizersHoldAnObject() async throws {
        let server = try await Server()
        var map = Sample.configMap("a")
        map["metadata", "finalizers"] = ["example.com/hold"]
        _ = try await server.post(Self.maps, map)
        let deleted = try await server.send(.delete, Self.maps + "/a")
        #expect(deleted.object.isTerminating)
        let more: JSON = ["metadata": ["finalizers": ["example.com/hold", "example.com/new"]]]
        let merge = "application/merge-patch+json"
        #expect(try await server.send(.patch, Self.maps + "/a", more, type: merge).code == 422)
        let none: JSON = ["metadata": ["finalizers": .null]]
        #expect(try await server.send(.patch, Self.maps + "/a", none, type: merge).code == 200)
        #expect(try await server.get(Self.maps + "/a").code == 404)
    }

    @Test func propagationBecomesFinalizers() async throws {
        let server = try await Server()
        let path = VerbTests.deployments
        _ = try await server.post(path, Sample.deployment("web"))
        let foreground = try await server.send(.delete, path + "/web", ["propagationPolicy": "Foreground"])
        #expect(foreground.object.finalizers == ["foregroundDeletion"])
        #expect(foreground.object.isTerminating)
        let orphan = try await server.send(.delete, path + "/web", ["propagationPolicy": "Orphan"])
        #expect(orphan.object.finalizers == ["orphan"])
        let background = try await server.send(.delete, path + "/web", ["propagationPolicy": "Background"])
        #expect(background["status"] == "Success")
        #expect(background["details", "kind"] == "deployments")
        #expect(try await server.send(.delete, path + "/web", ["propagationPolicy": "Sideways"]).code == 422)
    }

    @Test func preconditionsNameTheObject() async throws {
        let server = try await Server()
        let created = try await server.post(Self.maps, Sample.configMap("a"))
        let wrong = try await server.send(.delete, Self.maps + "/a", ["preconditions": ["uid": "other"]])
        #expect(wrong.code == 409)
        let right: JSON = ["preconditions": ["uid": .string(created.object.uid)]]
        #expect(try await server.send(.delete, Self.maps + "/a", right)["status"] == "Success")
    }

    @Test func namespacesTerminateFirst() async throws {
        let server = try await Server()
        let namespace: JSON = ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "shop"]]
        #expect(try await server.post("/api/v1/namespaces", namespace)["status", "phase"] == "Active")
        let deleted = try await server.send(.delete, "/api/v1/namespaces/shop")
        #expect(deleted["status", "phase"] == "Terminating")
        let late = try await server.post("/api/v1/namespaces/shop/pods", Sample.pod("web"))
        #expect(late.code == 403)
        #expect(late.message.hasSuffix("namespace shop because it is being terminated"))
        var empty = deleted.tree
        empty["spec", "finalizers"] = []
        #expect(try await server.send(.put, "/api/v1/namespaces/shop/finalize", empty).code == 200)
        #expect(try await server.get("/api/v1/namespaces/shop").code == 404)
        #expect(try await server.send(.delete, "/api/v1/namespaces/default").code == 403)
    }

    @Test func collectionsGoBySelector() async throws {
        let server = try await Server()
        for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
            _ = try await server.post(Self.pods, Sample.pod(name, labels: ["app": app]))
        }
        let deleted = try await server.send(.delete, Self.pods + "?labelSelector=app%3Dx")
        #expect(deleted.items.map(\.name) == ["a", "b"])
        #expect(try await server.get(Self.pods).items.map(\.name) == ["c"])
    }
}
