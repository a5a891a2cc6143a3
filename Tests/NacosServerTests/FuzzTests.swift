// Mutated requests of both protocols. `make fuzz` runs many rounds, the tests a few; the same seed gives the same rounds.
//
// MANGROVE_FUZZ_ROUNDS and MANGROVE_FUZZ_SEED say how many and which.

import Catalogue
import Formats
import Glibc
import Testing

@testable import Configurations
@testable import NacosServer

/// SplitMix64: a small generator whose whole state is its seed.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

private enum Fuzz {
    static let rounds = number("MANGROVE_FUZZ_ROUNDS") ?? 400
    static let seed = UInt64(number("MANGROVE_FUZZ_SEED") ?? 20_261_126)

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    static func mutations(of samples: [[UInt8]]) -> [[UInt8]] {
        (0..<rounds).map { round in
            var generator = SeededGenerator(state: seed &+ UInt64(round))
            return mutated(samples, using: &generator)
        }
    }

    private static let fragments: [[UInt8]] =
        [
            "{", "}", "[", "\"", ":", ",", "null", "-1", "99999999999999999999", "1e999", "%00", "%", "&", "=", "@@",
            ">>",
            "*", "+", "\u{1}", "\u{2}", "None", "true", "public", "\\ud800",
        ].map { Array($0.utf8) } + [[0], [0xFF], [0x80], [0x1A, 0xFF, 0xFF, 0xFF, 0x7F], [0x12, 0x00]]

    private static func mutated(_ samples: [[UInt8]], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = samples.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...5, using: &generator) {
            let position = Int.random(in: 0...bytes.count, using: &generator)
            let end = min(bytes.count, position + Int.random(in: 0...12, using: &generator))
            switch Int.random(in: 0..<5, using: &generator) {
            case 0 where position < bytes.count: bytes[position] = UInt8.random(in: .min ... .max, using: &generator)
            case 1: bytes.removeSubrange(position..<end)
            case 2: bytes.insert(contentsOf: fragments.randomElement(using: &generator) ?? [], at: position)
            case 3: bytes.insert(contentsOf: bytes[position..<end], at: position)
            default: bytes.removeSubrange(end...)
            }
        }
        return bytes
    }
}

/// None of these may trap; what they answer is nobody's concern but the sender's.
@Suite struct NacosFuzzTests {
    @Test func payloads() {
        let whole = Payload(
            type: "InstanceRequest", clientIP: "1.2.3.4", headers: ["a": "1"], body: Array(#"{"a":1}"#.utf8)
        ).encoded
        for bytes in Fuzz.mutations(of: [whole]) { _ = try? Payload(decoding: bytes) }
    }

    @Test func texts() {
        let samples = [
            "a.yaml\u{2}G\u{2}m\u{2}shop\u{1}b\u{2}H\u{2}\u{1}", "public>>G*>>*or*", "k=v,k2=v2", #"{"k":"v"}"#,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJuYWNvcyJ9.c2ln", "pbkdf2-sha256$1$c2FsdA==$c2FsdA==",
        ].map { Array($0.utf8) }
        let tokens = AccessTokens(key: Array(repeating: 1, count: 32))
        for bytes in Fuzz.mutations(of: samples) {
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
        let connection = Connection(id: "c", peer: "ipv4:10.0.0.9:5000")
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
        let bodies = Fuzz.mutations(of: samples.map { Array($0.1.utf8) })
        for (round, body) in bodies.enumerated() {
            let answer = await requests.answer(
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
        for (round, bytes) in Fuzz.mutations(of: samples).enumerated() {
            let query = String(decoding: bytes, as: UTF8.self)
            let method = ["GET", "POST", "PUT", "DELETE"][round % 4]
            let answer = await memory.ask(method, "/nacos/" + paths[round / 4 % paths.count], query)
            #expect((200..<600).contains(answer.status))
        }
    }
}
