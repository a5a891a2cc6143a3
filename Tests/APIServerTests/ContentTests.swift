// Forms of content: protobuf in and out, negotiation, and what is refused.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct ContentTests {
    static let configMaps = "/api/v1/namespaces/default/configmaps"
    static let protobuf = KubernetesProtobuf.mediaType

    /// The object in a protobuf answer.
    private static func object(_ answer: APIAnswer) throws -> JSON {
        guard case .bytes(let bytes) = answer.body else { throw Problem.badRequest("a stream") }
        let envelope = try KubernetesProtobuf.Envelope(opening: bytes)
        let type = try #require(KubernetesProtobuf.type(apiVersion: envelope.apiVersion, kind: envelope.kind))
        return try envelope.object(as: type)
    }

    @Test func protobufGoesInAndComesOut() async throws {
        let server = try await Server()
        let body = try KubernetesProtobuf.bytes(of: Sample.configMap("one", ["a": "1"]))
        let created = await server.raw(.post, Self.configMaps, body, type: Self.protobuf, accept: Self.protobuf)
        #expect(created.response.status.code == 201)
        #expect(created.response.headerFields[.contentType] == Self.protobuf)
        let object = try Self.object(created)
        #expect(object["data"] == ["a": "1"])
        #expect(object["metadata", "uid"]?.string?.isEmpty == false)
        #expect(try await server.get(Self.configMaps + "/one").tree == object)

        let list = try Self.object(await server.raw(.get, Self.configMaps, accept: Self.protobuf))
        #expect(list["kind"] == "ConfigMapList")
        #expect(list["items"]?.array?.contains { $0["metadata", "name"] == "one" } == true)

        let metadata = Self.protobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        let partial = try Self.object(await server.raw(.get, Self.configMaps, accept: metadata))
        #expect(partial["kind"] == "PartialObjectMetadataList")
        #expect(partial["items"]?.array?.allSatisfy { $0["data"] == nil } == true)

        let missing = await server.raw(.get, Self.configMaps + "/none", accept: Self.protobuf)
        #expect(missing.response.status.code == 404)
        #expect(try Self.object(missing)["reason"] == "NotFound")
    }

    @Test func deleteOptionsMayBeProtobuf() async throws {
        let server = try await Server()
        let uid = try await server.post(Self.configMaps, Sample.configMap("one"))["metadata", "uid"]
        var options: JSON = ["apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": "other"]]
        let refused = await server.raw(
            .delete, Self.configMaps + "/one", try KubernetesProtobuf.bytes(of: options), type: Self.protobuf)
        #expect(refused.response.status.code == 409)
        options["preconditions"] = ["uid": uid ?? .null]
        let gone = await server.raw(
            .delete, Self.configMaps + "/one", try KubernetesProtobuf.bytes(of: options), type: Self.protobuf,
            accept: Self.protobuf)
        #expect(gone.response.status.code == 200)
        #expect(try Self.object(gone)["status"] == "Success")
    }

    @Test func watchesAreFramedByLength() async throws {
        let server = try await Server()
        _ = try await server.post(Self.configMaps, Sample.configMap("one"))
        let answer = await server.raw(.get, Self.configMaps + "?watch=1", accept: Self.protobuf)
        #expect(answer.response.headerFields[.contentType] == Self.protobuf + ";stream=watch")
        guard case .stream(let chunks) = answer.body else {
            Issue.record("no stream")
            return
        }
        var bytes: [UInt8] = []
        var names: [String] = []
        while !names.contains("one") {
            bytes += try #require(try await chunks.next())
            while bytes.count >= 4 {
                let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
                guard bytes.count >= 4 + length else { break }
                let type = try #require(Schema.type(named: "meta.v1.WatchEvent"))
                var reader = ProtobufReader(Array(bytes[4..<(4 + length)]))
                #expect(try reader.tag().number == 1)
                #expect(String(decoding: try reader.content().rest, as: UTF8.self) == "ADDED")
                #expect(type.fields["object"]?.protobufPath == [2])
                #expect(try reader.tag().number == 2)
                var raw = try reader.content()
                #expect(try raw.tag().number == 1)
                let envelope = try KubernetesProtobuf.Envelope(opening: Array(try raw.content().rest))
                let object = try envelope.object(as: try #require(Schema.type(apiVersion: "v1", kind: "ConfigMap")))
                names.append(object["metadata", "name"]?.string ?? "")
                bytes.removeFirst(4 + length)
            }
        }
    }

    @Test func whatCannotBeReadOrShownIsSaid() async throws {
        let server = try await Server()
        let pod = try KubernetesProtobuf.bytes(of: Sample.pod("one"))
        let wrongKind = await server.raw(.post, Self.configMaps, pod, type: Self.protobuf)
        #expect(wrongKind.response.status.code == 400)
        let broken = await server.raw(.post, Self.configMaps, Array(pod.dropLast(9)), type: Self.protobuf)
        #expect(broken.response.status.code == 400)
        let noMagic = await server.raw(.post, Self.configMaps, Array("{}".utf8), type: Self.protobuf)
        #expect(noMagic.response.status.code == 400)
        #expect(try await server.get(Self.configMaps, accept: "application/cbor").code == 406)
        let table = Self.protobuf + ";as=Table;g=meta.k8s.io;v=v1"
        #expect(try await server.get(Self.configMaps, accept: table).code == 406)
        #expect(try await server.get(Self.configMaps, accept: table + ", application/json")["kind"] == "ConfigMapList")
        let weighted = "application/yaml;q=0.1, application/json;q=0.9, \(Self.protobuf);q=0"
        let shown = try await server.get(Self.configMaps, accept: weighted)
        #expect(shown.fields[.contentType] == "application/json")
    }
}
