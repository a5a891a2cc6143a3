// Bytes and texts as Nacos clients send them, and as they must never break the reader.

import Catalogue
import Testing

@testable import NacosServer

@Suite struct PayloadTests {
    @Test func aPayloadSurvivesTheWire() throws {
        let payload = Payload(
            type: "InstanceRequest", clientIP: "10.0.0.1", headers: ["a": "1", "b": ""], body: Array("{}".utf8))
        #expect(try Payload(decoding: payload.encoded) == payload)
    }

    /// Made by google.protobuf from nacos_grpc_service.proto.
    @Test func readsAndWritesProtobufsBytes() throws {
        let golden: [UInt8] = [
            0x12, 0x12, 0x1a, 0x07, 0x41, 0x42, 0x43, 0x52, 0x65, 0x71, 0x31, 0x42, 0x07, 0x31, 0x2e, 0x32, 0x2e, 0x33,
            0x2e, 0x34, 0x1a, 0x04, 0x12, 0x02, 0x7b, 0x7d,
        ]
        let payload = Payload(type: "ABCReq1", clientIP: "1.2.3.4", body: Array("{}".utf8))
        #expect(payload.encoded == golden)
        #expect(try Payload(decoding: golden) == payload)
    }

    @Test func brokenBytesAreRefusedNotFatal() {
        var seed: UInt64 = 42
        func next() -> UInt8 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: seed >> 33)
        }
        let whole = Payload(type: "InstanceRequest", headers: ["a": "1"], body: Array("{\"a\":1}".utf8)).encoded
        for _ in 0..<5_000 {
            var bytes = whole
            bytes[Int(next()) % bytes.count] = next()
            _ = try? Payload(decoding: bytes)
            _ = try? Payload(decoding: (0..<Int(next() % 40)).map { _ in next() })
        }
        for count in 0..<whole.count { _ = try? Payload(decoding: Array(whole.prefix(count))) }
    }
}

@Suite struct FormParametersTests {
    @Test func readsWhatURLEncodingMakes() {
        let form = FormParameters(
            "serviceName=a%40%40b&metadata=%7B%22k%22%3A+%22%C3%BC%22%7D&empty=&flag=True&a=1&a=2")
        #expect(form["serviceName"] == "a@@b")
        #expect(form["metadata"] == "{\"k\": \"ü\"}")
        #expect(form["empty"] == "")
        #expect(form.flag("flag") == true)
        #expect(form["a"] == "1")
        #expect(form["absent"] == nil)
    }

    @Test(arguments: ["%", "%4", "%zz", "=", "&&", "a=%"])
    func oddTextsAreHarmless(_ text: String) { _ = FormParameters(text) }
}

@Suite struct NacosNamesTests {
    @Test func groupMayTravelInTheName() throws {
        let service = try NacosNames.service(namespace: "public", group: "B", name: "A@@orders")
        #expect(service.description == "default/A@@orders")
        #expect(try NacosNames.service(namespace: "", group: nil, name: "orders").group == "DEFAULT_GROUP")
        let dubbo = try NacosNames.service(namespace: "shop", group: "", name: "providers:com.acme.Orders::")
        #expect(dubbo == ServiceName(namespace: "shop", name: "providers:com.acme.Orders::"))
    }

    @Test func sofaSaysANamespaceWhenItWasGivenNone() throws {
        let interface = try NacosNames.service(namespace: "sofa-rpc", group: nil, name: "com.acme.Stock:DEFAULT")
        #expect(interface.namespace == "default")
        let other = try NacosNames.service(namespace: "sofa-rpc", group: nil, name: "orders")
        #expect(other.namespace == "sofa-rpc")
    }

    @Test func badNamesAreRefused() {
        #expect(throws: NacosProblem.missing(parameter: "serviceName")) {
            try NacosNames.service(namespace: nil, group: nil, name: nil)
        }
        #expect(throws: NacosProblem.self) { try NacosNames.service(namespace: nil, group: nil, name: "a b") }
        #expect(throws: NacosProblem.self) {
            try NacosNames.service(namespace: nil, group: nil, name: String(repeating: "a", count: 513))
        }
    }

    @Test func metadataIsJSONOrPairs() throws {
        #expect(try NacosInstance.metadata(parsing: "{\"a\":\"1\",\"b\":2}") == ["a": "1", "b": "2"])
        #expect(try NacosInstance.metadata(parsing: "a=1,b=x=y") == ["a": "1", "b": "x=y"])
        #expect(throws: NacosProblem.self) { try NacosInstance.metadata(parsing: "nonsense") }
    }
}
