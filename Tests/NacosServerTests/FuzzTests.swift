// Mutated requests of both protocols.

import Catalogue
import Formats
import Fuzzing
import GRPCServing
import Testing

@testable import Configurations
@testable import NacosServer

private let fuzz = Fuzz(
    [
        "{", "}", "[", "\"", ":", ",", "null", "-1", "99999999999999999999", "1e999", "%00", "%", "&", "=", "@@", ">>",
        "*", "+", "\u{1}", "\u{2}", "None", "true", "public", "\\ud800",
    ],
    bytes: [[0], [0xFF], [0x80], [0x1A, 0xFF, 0xFF, 0xFF, 0x7F], [0x12, 0x00]])

/// None of these may trap; what they answer is nobody's concern but the sender's.
@Suite struct NacosFuzzTests {
    @Test func payloads() {
        let whole = Payload(
            type: "InstanceRequest", clientIP: "1.2.3.4", headers: ["a": "1"], body: Array(#"{"a":1}"#.utf8)
        ).encoded
        for bytes in fuzz.inputs(of: [whole]) { _ = try? Payload(decoding: bytes) }
    }

    @Test func texts() {
        let samples = [
            "a.yaml\u{2}G\u{2}m\u{2}shop\u{1}b\u{2}H\u{2}\u{1}", "public>>G*>>*or*", "k=v,k2=v2", #"{"k":"v"}"#,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJuYWNvcyJ9.c2ln", "pbkdf2-sha256$1$c2FsdA==$c2FsdA==",
        ].map { Array($0.utf8) }
        let tokens = AccessTokens(key: Array(repeating: 1, count: 32))
        for bytes in fuzz.inputs(of: samples) {
            let text = String(decoding: bytes, as: UTF8.self)
            _ = try? ListeningConfigs.items(parsing: text)
            _ = try? FuzzyPattern(parsing: text)
            _ = try? NacosInstance.metadata(parsing: text)
            _ = try? tokens.user(of: text, nowSeconds: 0)
            _ = (try? JSON(parsing: text)).map { (ServiceRecord($0), AccountBook($0), ConfigDetails($0)) }
        }
    }

    @Test func gRPCRequests() async {
        let memory = MemoryBackend()
        let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
        #expect(memory.backend.connections.add(connection))
        let requests = GRPCRequests(backend: memory.backend)
        let samples: [(String, String)] = [
            ("InstanceRequest", #"{"type":"registerInstance","serviceName":"a","instance":{"ip":"1.2.3.4","port":1}}"#),
            (
                "BatchInstanceRequest",
                #"{"type":"batchRegisterInstance","serviceName":"a","instances":[{"ip":"1","port":1}]}"#
            ),
            (
                "PersistentInstanceRequest",
                #"{"type":"registerInstance","serviceName":"a","instance":{"ip":"1","port":1}}"#
            ),
            ("SubscribeServiceRequest", #"{"serviceName":"a","clusters":"x,y","subscribe":true}"#),
            ("ServiceListRequest", #"{"pageNo":1,"pageSize":10,"namespace":"public"}"#),
            (
                "ConfigPublishRequest",
                #"{"dataId":"a","group":"G","content":"1","additionMap":{"betaIps":"1,2","tag":"t"}}"#
            ),
            (
                "ConfigBatchListenRequest",
                #"{"listen":true,"configListenContexts":[{"dataId":"a","group":"G","md5":""}]}"#
            ),
            (
                "NamingFuzzyWatchRequest",
                #"{"groupKeyPattern":"public>>*>>*","watchType":"WATCH","receivedGroupKeys":["a"]}"#
            ),
            ("ConfigFuzzyWatchRequest", #"{"groupKeyPattern":"public>>*>>*","watchType":"WATCH"}"#),
        ]
        let bodies = fuzz.inputs(of: samples.map { Array($0.1.utf8) })
        for (round, body) in bodies.enumerated() {
            let answer = await requests.reply(
                Payload(type: samples[round % samples.count].0, body: body), peer: connection.peer)
            #expect((try? JSON(parsing: answer.body))?["resultCode"] != nil)
        }
    }

    @Test func openAPIRequests() async {
        let memory = MemoryBackend()
        let paths = [
            "v1/ns/instance", "v1/ns/instance/list", "v1/ns/instance/beat", "v1/ns/service", "v1/cs/configs",
            "v1/cs/configs/listener", "v1/cs/history", "v2/ns/instance", "v2/cs/config", "v3/client/ns/instance",
            "v3/admin/cs/config/list", "v3/admin/ns/service/list", "v1/console/namespaces", "v1/auth/login",
        ]
        let samples = [
            "serviceName=G%40%40a&ip=1.2.3.4&port=80&weight=1.5&metadata=%7B%22a%22%3A1%7D&ephemeral=false&pageNo=1",
            "dataId=a.yaml&group=G&tenant=shop&content=a%3D1&type=yaml&search=blur&pageSize=10&nid=1&ids=1,2",
            "Listening-Configs=a%02G%02m%01&namespaceId=public&customNamespaceId=x&protectThreshold=0.5",
            "beat=%7B%22ip%22%3A%221.2.3.4%22%2C%22port%22%3A1%7D&serviceName=a&heartBeat=true",
        ].map { Array($0.utf8) }
        for (round, bytes) in fuzz.inputs(of: samples).enumerated() {
            let query = String(decoding: bytes, as: UTF8.self)
            let method = ["GET", "POST", "PUT", "DELETE"][round % 4]
            let answer = await memory.ask(method, "/nacos/" + paths[round / 4 % paths.count], query)
            #expect((200..<600).contains(answer.status))
        }
    }
}
