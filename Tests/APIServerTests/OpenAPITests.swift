// The OpenAPI documents: whole, consistent, and with what kubectl looks for.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct OpenAPITests {
    /// Every reference of a document.
    private static func references(_ tree: JSON) -> Set<String> {
        switch tree {
        case .array(let values): return values.reduce(into: []) { $0.formUnion(references($1)) }
        case .object(let object):
            return object.reduce(into: []) { found, member in
                if member.key == "$ref", let text = member.value.string { found.insert(text) }
                found.formUnion(references(member.value))
            }
        default: return []
        }
    }

    private static func operations(_ document: JSON) -> [(path: String, method: String, tree: JSON)] {
        (document["paths"]?.object ?? JSONObject()).flatMap { path in
            (path.value.object ?? JSONObject()).compactMap { member in
                member.key == "parameters" ? nil : (path.key, member.key, member.value)
            }
        }
    }

    @Test func everyGroupHasAWholeDocument() async throws {
        let server = try await Server()
        let index = try await server.get("/openapi/v3")
        let paths = try #require(index["paths"]?.object)
        #expect(paths.count == server.api.served.groups.reduce(0) { $0 + $1.versions.count })
        var identifiers: [String] = []
        for entry in paths {
            let url = try #require(entry.value["serverRelativeURL"]?.string)
            let answer = try await server.get(url)
            #expect(answer.code == 200)
            #expect(answer.fields[.cacheControl] == "public, immutable")
            let schemas = try #require(answer["components", "schemas"]?.object)
            for reference in Self.references(answer.tree) {
                #expect(schemas.contains(String(reference.dropFirst("#/components/schemas/".count))), "\(reference)")
            }
            for operation in Self.operations(answer.tree) {
                identifiers.append(operation.tree["operationId"]?.string ?? "")
                #expect(operation.tree["x-kubernetes-group-version-kind", "kind"]?.string?.isEmpty == false)
                guard operation.method == "patch", operation.tree["x-kubernetes-action"] == "patch" else { continue }
                let names = (operation.tree["parameters"]?.array ?? []).map { $0["name"] }
                #expect(names.contains("fieldValidation"), "\(operation.path)")
            }
        }
        #expect(Set(identifiers).count == identifiers.count)
        #expect(identifiers.contains("patchAppsV1NamespacedDeploymentScale"))
        #expect(identifiers.contains("listCoreV1PodForAllNamespaces"))
        #expect(identifiers.contains("deleteCoreV1CollectionNamespacedConfigMap"))
    }

    @Test func versionTwoSaysTheSameInBothForms() async throws {
        let server = try await Server()
        let document = try await server.get("/openapi/v2")
        let definitions = try #require(document["definitions"]?.object)
        for reference in Self.references(document.tree) {
            #expect(definitions.contains(String(reference.dropFirst("#/definitions/".count))), "\(reference)")
        }
        let deployment = document["definitions", "io.k8s.api.apps.v1.Deployment"]
        #expect(
            deployment?["x-kubernetes-group-version-kind"]
                == [["group": "apps", "kind": "Deployment", "version": "v1"]])
        let containers = document["definitions", "io.k8s.api.core.v1.PodSpec", "properties", "containers"]
        #expect(containers?["x-kubernetes-patch-merge-key"] == "name")
        #expect(containers?["x-kubernetes-patch-strategy"] == "merge")

        let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        let answer = await server.raw(.get, "/openapi/v2", accept: accept)
        #expect(answer.response.headerFields[.contentType] == OpenAPIProtobuf.answerType)
        guard case .bytes(let bytes) = answer.body else { throw Problem.badRequest("a stream") }
        let counts = try Self.counts(bytes)
        #expect(counts.swagger == "2.0")
        #expect(counts.paths == document["paths"]?.object?.count)
        #expect(counts.definitions == definitions.count)
        #expect(try await server.get("/openapi/v3", accept: accept).code == 406)
    }

    /// What a gnostic document begins with, and how many paths and definitions it has.
    private static func counts(_ bytes: [UInt8]) throws -> (swagger: String, paths: Int, definitions: Int) {
        var counts = (swagger: "", paths: 0, definitions: 0)
        var reader = ProtobufReader(bytes)
        while !reader.isAtEnd {
            let number = try reader.tag().number
            var content = try reader.content()
            switch number {
            case 1: counts.swagger = String(decoding: content.rest, as: UTF8.self)
            case 8, 9:
                while !content.isAtEnd {
                    _ = try content.tag()
                    _ = try content.content()
                    if number == 8 { counts.paths += 1 } else { counts.definitions += 1 }
                }
            default: break
            }
        }
        return counts
    }
}
