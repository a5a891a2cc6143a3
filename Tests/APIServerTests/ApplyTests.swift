// Server-side apply and managedFields through the handler.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct ApplyTests {
    static let maps = "/api/v1/namespaces/default/configmaps"
    static let deployments = "/apis/apps/v1/namespaces/default/deployments"

    private func apply(
        _ server: Server, _ path: String, _ body: JSON, as manager: String, more: String = ""
    ) async throws -> Server.Reply {
        try await server.send(
            .patch, "\(path)?fieldManager=\(manager)\(more)", body, type: ApplyRequest.contentType)
    }

    private func owners(_ reply: Server.Reply) -> [String] {
        (reply["metadata", "managedFields"]?.array ?? []).map { entry in
            let words = ["manager", "operation", "apiVersion", "subresource"].compactMap { entry[$0]?.string }
            return words.joined(separator: " ") + " " + (entry["fieldsV1"]?.text ?? "")
        }
    }

    @Test func applyMakesChangesAndRemoves() async throws {
        let server = try await Server()
        let made = try await apply(server, Self.maps + "/a", Sample.configMap("a", ["x": "1", "y": "2"]), as: "one")
        #expect(made.code == 201)
        #expect(owners(made) == [#"one Apply v1 {"f:data":{"f:x":{},"f:y":{}}}"#])
        let same = try await apply(server, Self.maps + "/a", Sample.configMap("a", ["x": "1", "y": "2"]), as: "one")
        #expect(same.code == 200)
        #expect(same.resourceVersion == made.resourceVersion)
        let changed = try await apply(server, Self.maps + "/a", Sample.configMap("a", ["x": "3"]), as: "one")
        #expect(changed["data"] == ["x": "3"])
        let conflict = try await apply(server, Self.maps + "/a", Sample.configMap("a", ["x": "4"]), as: "two")
        #expect(conflict.code == 409)
        #expect(conflict.reason == "Conflict")
        #expect(conflict.message == "Apply failed with 1 conflict: conflict with \"one\": .data.x")
        #expect(
            conflict["details", "causes"] == [
                ["reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.x"]
            ])
        let forced = try await apply(
            server, Self.maps + "/a", Sample.configMap("a", ["x": "4"]), as: "two", more: "&force=true")
        #expect(owners(forced) == [#"two Apply v1 {"f:data":{"f:x":{}}}"#])
        let dry = try await apply(
            server, Self.maps + "/b", Sample.configMap("b"), as: "one", more: "&dryRun=All")
        #expect(dry.code == 201)
        #expect(try await server.get(Self.maps + "/b").code == 404)
    }

    @Test func badAppliesAreRefused() async throws {
        let server = try await Server()
        let path = Self.maps + "/a"
        let nameless = try await server.send(.patch, path, Sample.configMap("a"), type: ApplyRequest.contentType)
        #expect(nameless.code == 422)
        #expect(
            nameless.message
                == "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        )
        let version = try await apply(server, path, ["apiVersion": "v2", "kind": "ConfigMap"], as: "one")
        #expect(version.code == 400)
        #expect(
            version.message
                == "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1")
        var owned = Sample.configMap("a")
        owned["metadata", "managedFields"] = []
        #expect(try await apply(server, path, owned, as: "one").message == "metadata.managedFields must be nil")
        let wrong = try await apply(
            server, path, ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "a"], "dada": [:]], as: "one")
        #expect(wrong.code == 500)
        #expect(
            wrong.message
                == "failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .dada: field not declared in schema"
        )
        let long = String(repeating: "x", count: 129)
        #expect(try await apply(server, path, Sample.configMap("a"), as: long).code == 422)
        let force = try await server.send(
            .patch, path + "?force=true", ["data": [:]], type: "application/merge-patch+json")
        #expect(force.message.hasSuffix("force: Forbidden: may not be specified for non-apply patch"))
        #expect(try await server.send(.patch, path, [:], type: "application/apply-patch+json").code == 415)
        var other = Sample.configMap("a")
        other["metadata", "uid"] = "1-2"
        #expect(try await apply(server, path, other, as: "one").message.contains("uid mismatch"))
    }

    @Test func everyWriterIsAccountedFor() async throws {
        let server = try await Server()
        let made = try await server.post(
            Self.deployments + "?fieldManager=maker", Sample.deployment("web", replicas: 1))
        let list = owners(made)
        #expect(list.count == 1)
        #expect(
            list.first?.hasPrefix(
                #"""
                maker Update apps/v1 {"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},\#
                "f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},\#
                "f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},\#
                "f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{}
                """#
            ) == true, "\(list)")
        let scale: JSON = ["spec": ["replicas": 4]]
        _ = try await server.send(
            .patch, Self.deployments + "/web/scale?fieldManager=scaler", scale, type: "application/merge-patch+json")
        let status: JSON = ["status": ["replicas": 4, "conditions": [["type": "Available", "status": "True"]]]]
        let reply = try await server.send(
            .patch, Self.deployments + "/web/status?fieldManager=controller", status,
            type: "application/merge-patch+json")
        let all = owners(reply)
        #expect(all.contains(#"scaler Update apps/v1 scale {"f:spec":{"f:replicas":{}}}"#), "\(all)")
        #expect(
            all.contains(
                #"""
                controller Update apps/v1 status {"f:status":{"f:conditions":{".":{},\#
                "k:{\"type\":\"Available\"}":{".":{},"f:status":{},"f:type":{}}},"f:replicas":{}}}
                """#
            ), "\(all)")
        #expect(!all.contains { $0.hasPrefix("maker") && $0.contains("f:replicas") })
    }

    @Test func theListItselfCanBeWritten() async throws {
        let server = try await Server()
        let made = try await server.post(Self.maps + "?fieldManager=maker", Sample.configMap("a", ["x": "1"]))
        let kept = try await server.send(
            .patch, Self.maps + "/a?fieldManager=x", ["metadata": ["managedFields": []]],
            type: "application/merge-patch+json")
        #expect(owners(kept) == owners(made))
        let renamed: JSON = [
            ["op": "replace", "path": "/metadata/managedFields/0/manager", "value": "kubectl"],
            ["op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Apply"],
        ]
        let moved = try await server.send(
            .patch, Self.maps + "/a?fieldManager=x", renamed, type: "application/json-patch+json")
        #expect(owners(moved) == [#"kubectl Apply v1 {"f:data":{".":{},"f:x":{}}}"#])
        let erased = try await server.send(
            .patch, Self.maps + "/a?fieldManager=x", ["metadata": ["managedFields": [[:]]]],
            type: "application/merge-patch+json")
        #expect(erased["metadata", "managedFields"] == nil)
        let unknown = try await server.send(.put, Self.maps + "/a?fieldManager=x", Sample.configMap("a", ["x": "2"]))
        #expect(unknown["metadata", "managedFields"] == nil)
        let first = try await apply(server, Self.maps + "/a", Sample.configMap("a", ["y": "2"]), as: "one")
        #expect(
            owners(first) == [
                #"one Apply v1 {"f:data":{"f:y":{}}}"#, #"before-first-apply Update v1 {"f:data":{".":{},"f:x":{}}}"#,
            ])
    }

    @Test func theStatusIsAppliedApart() async throws {
        let server = try await Server()
        _ = try await server.post(Self.deployments + "?fieldManager=maker", Sample.deployment("web"))
        let status: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
            "spec": ["replicas": 9], "status": ["replicas": 1],
        ]
        let reply = try await apply(server, Self.deployments + "/web/status", status, as: "one", more: "&force=true")
        #expect(reply["status", "replicas"] == 1)
        #expect(reply["spec", "replicas"] == 1)
        #expect(owners(reply).first == #"one Apply apps/v1 status {"f:status":{"f:replicas":{}}}"#)
        #expect(try await apply(server, Self.deployments + "/none/status", status, as: "one").code == 404)
        let main = try await apply(server, Self.deployments + "/web", status, as: "two", more: "&force=true")
        #expect(main["spec", "replicas"] == 9)
        #expect(owners(main).contains(#"two Apply apps/v1 {"f:spec":{"f:replicas":{}}}"#), "\(owners(main))")
    }

    @Test func anApplyThatMakesItsObjectNeedsLeaveToCreate() async throws {
        let server = try await GuardedServer()
        _ = try await server.give(RoleSample.role("patcher", in: "default", RoleSample.rule("patch", "configmaps")))
        _ = try await server.give(RoleSample.binding("b", in: "default", to: "Role/patcher", "User/jane"))
        func apply() async throws -> Server.Reply {
            try await server.send(
                .patch, Self.maps + "/a?fieldManager=jane", Sample.configMap("a", ["x": "1"]),
                type: ApplyRequest.contentType, as: GuardedServer.jane)
        }
        let refused = try await apply()
        #expect(refused.code == 403)
        #expect(refused.message.contains("cannot create resource \"configmaps\""), "\(refused.message)")
        #expect(try await server.post(Self.maps, Sample.configMap("a")).code == 201)
        #expect(try await apply().code == 200)
    }

    @Test func theUserAgentNamesTheWriter() {
        #expect(FieldTracking.name(userAgent: "kubectl/v1.32.4 (linux/amd64)") == "kubectl")
        #expect(FieldTracking.name(userAgent: "a\u{7}b") == "ab")
        #expect(FieldTracking.name(userAgent: nil) == "")
        #expect(FieldTracking.name(userAgent: String(repeating: "é", count: 100)).utf8.count == 128)
    }
}
