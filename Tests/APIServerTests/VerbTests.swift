// Create, update, patch and delete through the handler, without sockets.

import Access
import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct VerbTests {
    static let pods = "/api/v1/namespaces/default/pods"
    static let maps = "/api/v1/namespaces/default/configmaps"
    static let deployments = "/apis/apps/v1/namespaces/default/deployments"

    @Test func createFillsInWhatTheSystemOwns() async throws {
        let server = try await Server()
        let reply = try await server.post(Self.pods, Sample.pod("web"))
        #expect(reply.code == 201)
        #expect(reply.object.uid.count == 36)
        #expect(reply.object.generation == 1)
        #expect(reply["status", "phase"] == "Pending")
        #expect(reply["spec", "dnsPolicy"] == "ClusterFirst")
        #expect(reply["spec", "containers"]?.array?.first?["imagePullPolicy"] == "Always")
        #expect(reply["spec", "serviceAccountName"] == "default")
        #expect(try await server.get(Self.pods + "/web").resourceVersion == reply.resourceVersion)
        let second = try await server.post(Self.pods, Sample.pod("web"))
        #expect(second.code == 409)
        #expect(second.reason == "AlreadyExists")
        #expect(second.message == "pods \"web\" already exists")
    }

    @Test func namesAreGeneratedAndChecked() async throws {
        let server = try await Server()
        var map = Sample.configMap("x")
        map["metadata"] = ["generateName": "made-"]
        let made = try await server.post(Self.maps, map)
        #expect(made.object.name.hasPrefix("made-"))
        #expect(made.object.name.count == 10)
        let bad = try await server.post(Self.maps, Sample.configMap("Bad_Name"))
        #expect(bad.code == 422)
        #expect(
            bad.message.hasPrefix(
                "ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a low"))
        #expect(bad["details", "causes"]?.array?.first?["field"] == "metadata.name")
        let nowhere = try await server.post("/api/v1/namespaces/nowhere/pods", Sample.pod("web"))
        #expect(nowhere.message == "namespaces \"nowhere\" not found")
    }

    @Test func dryRunsKeepNothing() async throws {
        let server = try await Server()
        let before = server.store.revision
        let reply = try await server.post(Self.pods + "?dryRun=All", Sample.pod("web"))
        #expect(reply.code == 201)
        #expect(server.store.revision == before)
        #expect(try await server.get(Self.pods + "/web").code == 404)
        let service = "/api/v1/namespaces/default/services"
        #expect(try await server.post(service + "?dryRun=All", Sample.service("web")).code == 201)
        _ = try await server.post(Self.maps, Sample.configMap("a"))
        let stored = server.store.revision
        _ = try await server.send(.delete, Self.maps + "/a?dryRun=All")
        _ = try await server.send(.put, Self.maps + "/a?dryRun=All", Sample.configMap("a", ["k": "v"]))
        #expect(server.store.revision == stored)
        #expect(try await server.send(.delete, Self.maps + "/a?dryRun=Some").code == 422)
    }

    @Test func updatesAreCheckedAgainstTheRevision() async throws {
        let server = try await Server()
        let created = try await server.post(Self.maps, Sample.configMap("a", ["k": "1"]))
        var next = created.tree
        next["data"] = ["k": "2"]
        let updated = try await server.send(.put, Self.maps + "/a", next)
        #expect(updated.code == 200)
        #expect(updated.resourceVersion != created.resourceVersion)
        #expect(updated.object.uid == created.object.uid)
        let late = try await server.send(.put, Self.maps + "/a", next)
        #expect(late.code == 409)
        #expect(late.message.hasSuffix("please apply your changes to the latest version and try again"))
        let same = try await server.send(.put, Self.maps + "/a", Sample.configMap("a", ["k": "2"]))
        #expect(same.resourceVersion == updated.resourceVersion)
        let misnamed = try await server.send(.put, Self.maps + "/a", Sample.configMap("b"))
        #expect(misnamed.code == 400)
    }

    @Test func patchesOfThreeKinds() async throws {
        let server = try await Server()
        _ = try await server.post(Self.deployments, Sample.deployment("web"))
        let path = Self.deployments + "/web"
        let image: JSON = ["spec": ["template": ["spec": ["containers": [["name": "main", "image": "nginx:2"]]]]]]
        let strategic = try await server.send(.patch, path, image, type: "application/strategic-merge-patch+json")
        let container = strategic["spec", "template", "spec", "containers"]?.array?.first
        #expect(container?["image"] == "nginx:2")
        #expect(container?["ports"]?.array?.count == 1)
        #expect(strategic.object.generation == 2)
        let merge = try await server.send(
            .patch, path, ["spec": ["replicas": 5]], type: "application/merge-patch+json")
        #expect(merge["spec", "replicas"] == 5)
        let operations: JSON = [["op": "replace", "path": "/spec/replicas", "value": 6]]
        let json = try await server.send(.patch, path, operations, type: "application/json-patch+json")
        #expect(json["spec", "replicas"] == 6)
        let test: JSON = [["op": "test", "path": "/spec/replicas", "value": 1]]
        #expect(try await server.send(.patch, path, test, type: "application/json-patch+json").code == 422)
        let label = try await server.send(
            .patch, path, ["metadata": ["labels": ["a": "b"]]], type: "application/merge-patch+json")
        #expect(label.object.generation == 4)
        let selector: JSON = ["spec": ["selector": ["matchLabels": ["app": "other"]]]]
        let immutable = try await server.send(.patch, path, selector, type: "application/merge-patch+json")
        #expect(immutable.code == 422)
        #expect(immutable.message.contains("field is immutable"))
    }

    @Test func unknownFieldsGoTheWayThatIsAskedFor() async throws {
        let server = try await Server()
        var pod = Sample.pod("web")
        pod["spec", "sepc"] = 1
        let strict = try await server.post(Self.pods + "?fieldValidation=Strict", pod)
        #expect(strict.code == 400)
        #expect(strict.message.hasSuffix("strict decoding error: unknown field \"spec.sepc\""))
        let warned = try await server.post(Self.pods, pod)
        #expect(warned.fields[values: .init("Warning") ?? .accept] == ["299 - \"unknown field \\\"spec.sepc\\\"\""])
        #expect(warned["spec", "sepc"] == nil)
        var wrong = Sample.deployment("web")
        wrong["spec", "replicas"] = "3"
        #expect(try await server.post(Self.deployments, wrong).code == 400)
        let unread = await server.raw(.post, Self.pods, Array("k8s".utf8), type: "application/cbor")
        #expect(unread.response.status.code == 415)
    }

    @Test func statusAndSpecAreWrittenApart() async throws {
        let server = try await Server()
        var tree = try await server.post(Self.deployments, Sample.deployment("web", replicas: 2)).tree
        tree["metadata", "resourceVersion"] = nil
        tree["status"] = ["replicas": 2]
        tree["spec", "replicas"] = 9
        let status = try await server.send(.put, Self.deployments + "/web/status", tree)
        #expect(status["spec", "replicas"] == 2)
        #expect(status["status", "replicas"] == 2)
        #expect(status.object.generation == 1)
        tree["status"] = ["replicas": 7]
        let spec = try await server.send(.put, Self.deployments + "/web", tree)
        #expect(spec["spec", "replicas"] == 9)
        #expect(spec["status", "replicas"] == 2)
        let scale = try await server.get(Self.deployments + "/web/scale")
        #expect(scale["kind"] == "Scale")
        #expect(scale["spec", "replicas"] == 9)
        #expect(scale["status", "selector"] == "app=web")
        var smaller = scale.tree
        smaller["spec", "replicas"] = 1
        #expect(try await server.send(.put, Self.deployments + "/web/scale", smaller)["spec", "replicas"] == 1)
        #expect(try await server.get(Self.deployments + "/web")["spec", "replicas"] == 1)
    }

    @Test func podsAreBoundOnce() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("web"))
        let binding: JSON = [
            "apiVersion": "v1", "kind": "Binding", "metadata": ["name": "web"],
            "target": ["apiVersion": "v1", "kind": "Node", "name": "one"],
        ]
        #expect(try await server.post(Self.pods + "/web/binding", binding).code == 201)
        let pod = try await server.get(Self.pods + "/web").object
        #expect(pod["spec", "nodeName"] == "one")
        #expect(pod.isTrue("PodScheduled"))
        #expect(try await server.post(Self.pods + "/web/binding", binding).code == 409)
        let log = try await server.get(Self.pods + "/web/log?tailLines=3")
        #expect(log.tree == "default/web/main\ntail 3\n")
        #expect(try await server.get(Self.pods + "/web/log?container=no").code == 400)
        #expect(try await server.get(Self.pods + "/web/exec?command=ls&stdout=1").code == 400)
    }

    @Test func secretsTakeText() async throws {
        let server = try await Server()
        let secret: JSON = [
            "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"], "stringData": ["user": "me"],
        ]
        let reply = try await server.post("/api/v1/namespaces/default/secrets", secret)
        #expect(reply["data", "user"] == "bWU=")
        #expect(reply["stringData"] == nil)
        #expect(reply["type"] == "Opaque")
    }

    @Test func strangersAreRefused() async throws {
        let server = try await Server()
        let list = try await server.send(.get, Self.pods, identity: .anonymous)
        #expect(list.code == 403)
        #expect(list.message.contains("User \"system:anonymous\" cannot list resource \"pods\""))
        #expect(try await server.send(.get, "/version", identity: .anonymous).code == 200)
        #expect(try await server.send(.get, "/readyz", identity: .anonymous).tree == "ok")
        let large = await server.raw(.post, Self.pods, [UInt8](repeating: 0x20, count: 3 * 1024 * 1024 + 1))
        #expect(large.response.status.code == 413)
        #expect(try await server.get("/nowhere").code == 404)
        #expect(try await server.send(.put, Self.pods, [:]).code == 405)
    }
}
