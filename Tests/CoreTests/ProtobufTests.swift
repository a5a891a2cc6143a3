// Kubernetes' protobuf: bodies as kubectl 1.32 sent them, round trips of every type, and bytes that are none.

import Formats
import Testing

@testable import Objects

/// Request bodies recorded from kubectl 1.32.4.
private enum Recorded {
    static let configMap = bytes(
        """
        6b3873000a0f0a0276311209436f6e6669674d617012230a120a02636d12001a0022002a0032003800420012060a0161
        12013112050a016212001a002200
        """)
    static let deployment = bytes(
        """
        6b3873000a150a07617070732f7631120a4465706c6f796d656e7412b8010a1f0a0377656212001a0022002a00320038
        0042005a0a0a0361707012037765621286010800120c0a0a0a0361707012037765621a6c0a1c0a0012001a0022002a00
        3200380042005a0a0a036170701203776562124c122e0a056e67696e7812056e67696e782a00320a0a00100018502200
        2a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01009a0100c20100
        22020a00280038001a0c0800100018002000280038001a002200
        """)
    static let quota = bytes(
        """
        6b3873000a130a027631120d5265736f7572636551756f746112340a110a017112001a0022002a00320038004200121d
        0a0a0a0363707512030a01310a0f0a066d656d6f727912050a033147691a001a002200
        """)
    static let ingress = bytes(
        """
        6b3873000a1f0a146e6574776f726b696e672e6b38732e696f2f76311207496e677265737312580a110a016912001a00
        22002a00320038004200123f120e0a07666f6f2e636f6d12037365631a2d0a07666f6f2e636f6d12220a200a1e0a042f
        626172120e220c0a0373766312050a0010903f1a065072656669781a020a001a002200
        """)
    static let cronJob = bytes(
        """
        6b3873000a130a0862617463682f7631120743726f6e4a6f6212a4010a120a02636a12001a0022002a00320038004200
        128b010a0b2a2f31202a202a202a202a1a002a7a0a120a02636a12001a0022002a00320038004200126432620a100a00
        12001a0022002a00320038004200124e12270a02636a120762757379626f781a04646174652a0042006a007200800100
        880100900100a201001a094f6e4661696c757265320042004a0052005800600068008201008a01009a0100c201001a00
        1a002200
        """)
    static let service = bytes(
        """
        6b3873000a0d0a02763112075365727669636512640a1b0a017312001a0022002a003200380042005a080a0361707012
        017312410a1c0a0638302d776562120354435018502209080110001a03776562280012080a036170701201731a002209
        436c757374657249503a00420052005a00600068001a020a001a002200
        """)
    static let disruptionBudget = bytes(
        """
        6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e42756467657412360a110a017012001a
        0022002a0032003800420012150a09080110001a0335302512080a060a01611201621a0a080018002000280030001a00
        2200
        """)
    static let tokenRequest = bytes(
        """
        6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374121d
        0a100a0012001a0022002a00320038004200120320901c1a040a0012001a002200
        """)
    static let secret = bytes(
        """
        6b3873000a0c0a0276311206536563726574121d0a110a017812001a0022002a0032003800420012060a016b1201761a
        001a002200
        """)

    static func bytes(_ text: String) -> [UInt8] {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

private func read(_ bytes: [UInt8]) throws -> JSON {
    let envelope = try KubernetesProtobuf.Envelope(opening: bytes)
    let type = try #require(KubernetesProtobuf.type(apiVersion: envelope.apiVersion, kind: envelope.kind))
    return try envelope.object(as: type)
}

@Suite struct ProtobufTests {
    @Test func readsWhatKubectlSends() throws {
        #expect(
            try read(Recorded.configMap) == [
                "kind": "ConfigMap", "apiVersion": "v1", "metadata": ["name": "cm"], "data": ["a": "1", "b": ""],
            ])
        #expect(
            try read(Recorded.secret) == [
                "kind": "Secret", "apiVersion": "v1", "metadata": ["name": "x"], "data": ["k": "dg=="],
            ])
        #expect(
            try read(Recorded.quota) == [
                "kind": "ResourceQuota", "apiVersion": "v1", "metadata": ["name": "q"],
                "spec": ["hard": ["cpu": "1", "memory": "1Gi"]], "status": [:],
            ])
    }

    @Test func keepsZerosThatMeanSomethingAndDropsTheOthers() throws {
        let deployment = try read(Recorded.deployment)
        #expect(deployment["spec", "replicas"] == 0)
        #expect(deployment["spec", "minReadySeconds"] == nil)
        #expect(deployment["spec", "paused"] == nil)
        #expect(
            deployment["spec", "template"] == [
                "metadata": ["labels": ["app": "web"]],
                "spec": [
                    "containers": [
                        ["name": "nginx", "image": "nginx", "ports": [["containerPort": 80]], "resources": [:]]
                    ]
                ],
            ])
    }

    @Test func readsIntegersOrStringsAndInlinedMessages() throws {
        let service = try read(Recorded.service)
        #expect(service["spec", "ports"] == [["name": "80-web", "protocol": "TCP", "port": 80, "targetPort": "web"]])
        #expect(try read(Recorded.disruptionBudget)["spec", "minAvailable"] == "50%")
        let rules = try read(Recorded.ingress)["spec", "rules"]
        #expect(
            rules == [
                [
                    "host": "foo.com",
                    "http": [
                        "paths": [
                            [
                                "path": "/bar", "pathType": "Prefix",
                                "backend": ["service": ["name": "svc", "port": ["number": 8080]]],
                            ]
                        ]
                    ],
                ]
            ])
        #expect(try read(Recorded.cronJob)["spec", "schedule"] == "*/1 * * * *")
        #expect(try read(Recorded.tokenRequest)["spec", "expirationSeconds"] == 3600)
    }

    /// What is written is read back as it was, for every kind and every field of the table.
    @Test func everyTypeComesBack() throws {
        let number = try #require(Int("7"))
        for type in Schema.types.values where type.fields.values.contains(where: { !$0.protobufPath.isEmpty }) {
            let tree = Sample.object(of: type, depth: 3, number: number)
            let bytes = try ProtobufObjectWriter().message(tree, as: type)
            let back = try ProtobufObjectReader().object(ProtobufReader(bytes), as: type, depthLeft: 64)
            #expect(JSON.object(back) == tree, "\(type.name)")
        }
    }

    @Test func numbersAreUniqueInTheirMessages() {
        for type in Schema.types.values {
            let paths = type.fields.values.map(\.protobufPath).filter { !$0.isEmpty }
            #expect(Set(paths).count == paths.count, "\(type.name)")
        }
    }

    @Test(arguments: [
        "", "6b3873", "6b3873000a", "6b38730012ffffffffffffffffff01", "6b387300120a0a", "6b3873000a040a0276310b",
        "6b3873001a04677a6970",
    ])
    func refusesWhatIsNoEnvelope(_ text: String) {
        #expect(throws: FormatProblem.self) { try KubernetesProtobuf.Envelope(opening: Recorded.bytes(text)) }
    }

    @Test(arguments: [
        // A string where metadata is, metadata that is longer than its message, replicas as a string, an endless group.
        "0801", "0a050a01", "12020a00" + "1203080", "2b2b2b2b",
    ])
    func refusesBrokenMessages(_ text: String) throws {
        let type = try #require(Schema.type(apiVersion: "apps/v1", kind: "Deployment"))
        let reader = ProtobufReader(Recorded.bytes(text))
        #expect(throws: FormatProblem.self) { try ProtobufObjectReader().object(reader, as: type, depthLeft: 64) }
    }

    @Test func nestingHasALimit() throws {
        let type = try #require(Schema.type(named: "apiextensions.v1.JSONSchemaProps"))
        var message: [UInt8] = []
        for _ in 0..<400 {
            var writer = ProtobufWriter()
            writer.write(28, content: message)
            message = writer.bytes
        }
        #expect(throws: FormatProblem.self) {
            try ProtobufObjectReader().object(ProtobufReader(message), as: type, depthLeft: KubernetesProtobuf.depth)
        }
    }

    @Test func unknownFieldsAreLeftOutAndPackedNumbersAreRead() throws {
        let type = try #require(Schema.type(named: "core.v1.PodSecurityContext"))
        // supplementalGroups (4) packed as 1 and 300, an unknown field 99, runAsUser (2) = -1.
        let bytes = Recorded.bytes("220301ac02" + "9a0602aabb" + "10ffffffffffffffffff01")
        let tree = try ProtobufObjectReader().object(ProtobufReader(bytes), as: type, depthLeft: 8)
        #expect(JSON.object(tree) == ["supplementalGroups": [1, 300], "runAsUser": -1])
    }
}

/// An object with every field of its type set.
private enum Sample {
    static func object(of type: SchemaType, depth: Int, number: Int) -> JSON {
        var tree: JSON = [:]
        for name in type.order {
            guard let field = type.fields[name], !field.protobufPath.isEmpty else { continue }
            tree[name] = value(field.type, field.alternative, depth: depth, number: number)
        }
        return tree
    }

    static func value(_ type: FieldType, _ alternative: SchemaField.Alternative?, depth: Int, number: Int) -> JSON? {
        if alternative != nil, type == .anything {
            switch alternative {
            case .bool: return true
            case .array: return [["type": "string"], ["type": "integer"]]
            case .strings, nil: return ["a", "b"]
            }
        }
        switch type {
        case .string: return "text"
        case .base64: return "AP8="
        case .boolean: return true
        case .int32: return -7
        case .int64: return 7_000_000_000
        case .number: return 0.25
        case .quantity: return "1500m"
        case .time: return "2026-01-02T03:04:05Z"
        case .microTime: return "2026-01-02T03:04:05.000006Z"
        case .integerOrString: return number == 7 ? "http" : 80
        case .anyObject: return ["f:a": ["nested": [1, "two"]]]
        case .anything: return [1, "two", ["three": 3.5]]
        case .array(let element): return value(element, alternative, depth: depth, number: number).map { [$0, $0] }
        case .map(let element): return value(element, alternative, depth: depth, number: number).map { ["key": $0] }
        case .type(let name):
            guard depth > 0, let type = Schema.type(named: name) else { return nil }
            return object(of: type, depth: depth - 1, number: number)
        }
    }
}
