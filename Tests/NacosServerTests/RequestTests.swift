// Nacos requests, answered without sockets.

import Catalogue
import Formats
import GRPCServing
import Testing

@testable import NacosServer

@Suite struct GRPCRequestTests {
    private let memory = MemoryBackend()
    private var catalogue: ServiceCatalogue { memory.catalogue }
    private var connections: ConnectionTable { memory.backend.connections }
    private var requests: GRPCRequests { GRPCRequests(backend: memory.backend) }

    private func ask(_ type: String, _ body: JSON, peer: GRPCPeer = GRPCPeer(address: "10.0.0.9", port: 5000))
        async throws -> (String, JSON)
    {
        let answer = await requests.reply(Payload(type: type, body: body.bytes), peer: peer)
        return (answer.type, try JSON(parsing: answer.body))
    }

    @Test func onlyTheServerCheckIsAllowedBeforeSetUp() async throws {
        let (type, check) = try await ask("ServerCheckRequest", ["requestId": "1"])
        #expect(type == "ServerCheckResponse")
        #expect(check["connectionId"]?.string?.hasSuffix("_10.0.0.9_5000") == true)
        #expect(check["supportAbilityNegotiation"]?.bool == true)
        let (refusedType, refused) = try await ask("HealthCheckRequest", ["requestId": "2"])
        #expect(refusedType == "ErrorResponse")
        #expect(refused["errorCode"]?.integer == 301)
        #expect(refused["success"]?.bool == false)
        #expect(refused["requestId"]?.string == "2")
    }

    @Test func aConnectionHoldsOneInstanceOrOneBatch() async throws {
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(connections.add(connection))
        for port in [1, 2] {
            let (type, answer) = try await ask(
                "InstanceRequest",
                [
                    "type": "registerInstance", "serviceName": "orders", "namespace": "public",
                    "instance": ["ip": "10.0.0.9", "port": .integer(Int64(port)), "clusterName": ""],
                ])
            #expect(type == "InstanceResponse" && answer["resultCode"]?.integer == 200)
            #expect(answer["message"]?.string == "")
        }
        let service = ServiceName(name: "orders")
        #expect(catalogue.snapshot(of: service).instances.map(\.port) == [2])
        _ = try await ask(
            "BatchInstanceRequest",
            [
                "type": "batchRegisterInstance", "serviceName": "orders",
                "instances": [["ip": "10.0.0.9", "port": 3], ["ip": "10.0.0.9", "port": 4]],
            ])
        #expect(catalogue.snapshot(of: service).instances.map(\.port) == [3, 4])
        let (_, query) = try await ask("ServiceQueryRequest", ["serviceName": "DEFAULT_GROUP@@orders"])
        #expect(query["serviceInfo", "name"]?.string == "orders")
        #expect(query["serviceInfo", "hosts"]?.array?.count == 2)
    }

    @Test func whatIsNotServedSaysSo() async throws {
        #expect(connections.add(Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))))
        let (unknownType, unknown) = try await ask("LockOperationRequest", [:])
        #expect(unknownType == "ErrorResponse")
        #expect(unknown["errorCode"]?.integer == 302)
    }

    @Test func persistentInstancesOutliveTheConnection() async throws {
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(connections.add(connection))
        let instance: JSON = ["ip": "10.0.0.9", "port": 7, "ephemeral": false]
        let request: JSON = ["type": "registerInstance", "serviceName": "orders", "instance": instance]
        let (type, answer) = try await ask("PersistentInstanceRequest", request)
        #expect(type == "InstanceResponse" && answer["resultCode"]?.integer == 200)
        catalogue.connectionClosed("c", subscriber: connection.subscriber)
        let service = ServiceName(name: "orders")
        #expect(catalogue.snapshot(of: service).instances.map(\.lifetime) == [.persistent])
        var back = request
        back["type"] = "deregisterInstance"
        _ = try await ask("PersistentInstanceRequest", back)
        #expect(catalogue.snapshot(of: service).isEmpty)
    }

    @Test func configurationIsPublishedReadListenedToAndRemoved() async throws {
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(connections.add(connection))
        let item: JSON = ["dataId": "a.yaml", "group": "G", "tenant": ""]
        let (_, missing) = try await ask("ConfigQueryRequest", item)
        #expect(missing["resultCode"]?.integer == 500 && missing["errorCode"]?.integer == 300)
        var published = item
        published["content"] = "a: 1"
        published["additionMap"] = ["type": "yaml", "appName": "shop", "tag": ""]
        let (type, answer) = try await ask("ConfigPublishRequest", published)
        #expect(type == "ConfigPublishResponse" && answer["success"]?.bool == true)
        let (_, query) = try await ask("ConfigQueryRequest", item)
        #expect(query["content"]?.string == "a: 1" && query["contentType"]?.string == "yaml")
        #expect(query["lastModified"]?.integer != nil && query["tag"] == nil)
        let md5 = query["md5"]?.string ?? ""
        func listen(_ md5: String) async throws -> Int? {
            var context = item
            context["md5"] = .string(md5)
            let (_, answer) = try await ask(
                "ConfigBatchListenRequest", ["listen": true, "configListenContexts": [context]])
            return answer["changedConfigs"]?.array?.count
        }
        #expect(try await listen(md5) == 0)
        #expect(try await listen("old") == 1)
        published["casMd5"] = "old"
        let (_, refused) = try await ask("ConfigPublishRequest", published)
        #expect(refused["success"]?.bool == false && refused["message"]?.string?.contains("md5") == true)
        _ = try await ask("ConfigRemoveRequest", item)
        let (_, gone) = try await ask("ConfigQueryRequest", item)
        #expect(gone["errorCode"]?.integer == 300)
    }

    @Test func aFuzzyWatchIsToldWhatMatches() async throws {
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(connections.add(connection))
        let pod = Instance(address: "10.1.0.1", port: 80, lifetime: .kubernetes, origin: .kubernetes)
        catalogue.replace([pod], of: .kubernetes, as: ServiceName(name: "orders"))
        let (type, _) = try await ask(
            "NamingFuzzyWatchRequest",
            ["groupKeyPattern": "public>>DEFAULT_GROUP>>or*", "watchType": "WATCH", "initializing": true])
        #expect(type == "NamingFuzzyWatchResponse")
        let step = connection.takeStep()
        guard case .push(let subject, _)? = step else {
            Issue.record("nothing to push: \(String(describing: step))")
            return
        }
        let payload = PushPayloads(backend: memory.backend).payload(for: subject, again: false, to: connection)
        let body = try JSON(parsing: payload?.body ?? [])
        #expect(payload?.type == "NamingFuzzyWatchSyncRequest")
        #expect(body["syncType"]?.string == "FUZZY_WATCH_INIT_NOTIFY")
        #expect(body["contexts"] == [["serviceKey": "public@@DEFAULT_GROUP@@orders", "changedType": "ADD_SERVICE"]])
    }
}
