// Mutated texts and bytes for every decoder of the core rooms.

import Formats
import Fuzzing
import Testing

@testable import Objects

private let fuzz = Fuzz(
    [
        "{", "}", "[", "]", "\"", ":", ",", "null", "\\u", "\\ud800", "1e999", "-", "0", "99999999999999999999", "&a",
        "*a", "<<: *a", "---", "!!int", "$patch", "replace", "/", "~1", "..", "%00", "=", "!=", " in (", "(", ")",
    ],
    bytes: [[0], [0xFF], [0x80], [0xC3], [0x0A], [0x08, 0x96, 0x01], [0x0A, 0xFF, 0xFF, 0xFF, 0x7F]])

@Suite struct FuzzTests {
    private func run(_ samples: [[UInt8]], _ body: ([UInt8]) throws -> Void) {
        #expect(fuzz.failure(of: samples) { input, _ in try body(input) } == nil)
    }

    static let manifests: [JSON] = [
        [
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": ["name": "web", "labels": ["app": "web"], "creationTimestamp": "2026-01-02T03:04:05Z"],
            "spec": [
                "replicas": 3, "selector": ["matchLabels": ["app": "web"]],
                "strategy": ["rollingUpdate": ["maxSurge": "25%", "maxUnavailable": 0]],
                "template": [
                    "metadata": ["labels": ["app": "web"]],
                    "spec": [
                        "containers": [
                            [
                                "name": "web", "image": "nginx",
                                "ports": [["containerPort": 80], ["containerPort": 81]],
                                "resources": ["limits": ["cpu": "1500m", "memory": "1Gi"]],
                                "livenessProbe": ["httpGet": ["path": "/", "port": "http"], "periodSeconds": 1],
                            ]
                        ], "volumes": [["name": "a", "emptyDir": [:]], ["name": "b", "secret": ["secretName": "s"]]],
                    ],
                ],
            ],
        ],
        [
            "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "é🌊\n\"\\"], "data": ["a": "AAEC", "b": ""],
            "immutable": true,
        ],
        [
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": ["name": "a.b"],
            "spec": [
                "versions": [
                    [
                        "name": "v1",
                        "schema": [
                            "openAPIV3Schema": [
                                "type": "object", "default": ["a": [1, 2.5, nil]], "maximum": 1.5,
                                "additionalProperties": ["items": ["type": "string"], "additionalItems": false],
                            ]
                        ],
                    ]
                ]
            ],
        ],
    ]
    private static let patches: [JSON] = [
        ["spec": ["replicas": nil, "template": ["spec": ["containers": [["name": "web", "image": "b"]]]]]],
        [
            "spec": [
                "template": [
                    "spec": [
                        "$setElementOrder/containers": [["name": "web"], ["name": "b"]],
                        "containers": [["$patch": "delete", "name": "web"], ["name": "b", "$retainKeys": ["name"]]],
                        "volumes": [["$patch": "replace"], ["name": "a", "$retainKeys": ["name", "emptyDir"]]],
                    ]
                ]
            ], "metadata": ["$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["b"]],
        ],
    ]
    private static let operations: [JSON] = [
        [
            ["op": "test", "path": "/spec/replicas", "value": 3],
            ["op": "add", "path": "/spec/template/a~1b", "value": [:]],
            ["op": "move", "from": "/metadata/labels", "path": "/x"], ["op": "remove", "path": "/spec/template"],
            ["op": "copy", "from": "", "path": "/spec/-"], ["op": "replace", "path": "/kind", "value": nil],
        ] as JSON
    ]

    @Test func textsOfJSON() {
        run(Self.manifests.map(\.bytes)) { input in
            guard let tree = try? JSON(parsing: input) else { return }
            guard try JSON(parsing: tree.bytes) == tree else { throw Broken("written JSON reads otherwise") }
            guard try JSON(parsing: tree.pretty()) == tree else { throw Broken("indented JSON reads otherwise") }
        }
    }

    @Test func textsOfYAML() {
        let anchors = Array("a: &a {b: 1}\nc: {<<: *a, d: [*a, ~, 0x1F, 1e3, yes]}\ne: |\n  x\n  y\n".utf8)
        run(Self.manifests.map { Array($0.yaml.utf8) } + [anchors]) { input in
            guard let document = try? YAMLDocument(parsing: input) else { return }
            let again = try YAMLDocument(parsing: Array(document.value.yaml.utf8))
            guard again.value == document.value, again.duplicates.isEmpty else {
                throw Broken("written YAML reads otherwise: \(document.value.text) as \(again.value.text)")
            }
        }
    }

    @Test func envelopesOfProtobuf() throws {
        let samples = try Self.manifests.map { try KubernetesProtobuf.bytes(of: $0) }
        run(samples) { input in
            guard let envelope = try? KubernetesProtobuf.Envelope(opening: input),
                let type = KubernetesProtobuf.type(apiVersion: envelope.apiVersion, kind: envelope.kind),
                let tree = try? envelope.object(as: type)
            else { return }
            let bytes = try KubernetesProtobuf.bytes(of: tree)
            let again = try KubernetesProtobuf.Envelope(opening: bytes).object(as: type)
            guard again == tree else { throw Broken("written protobuf reads otherwise: \(tree.text) as \(again.text)") }
            _ = Schema.findings(in: tree, of: type)
        }
    }

    @Test func patchesOfAllKinds() throws {
        let deployment = try #require(Self.manifests.first)
        let type = try #require(Schema.type(apiVersion: "apps/v1", kind: "Deployment"))
        run((Self.patches + Self.operations).map(\.bytes)) { input in
            guard let patch = try? JSON(parsing: input) else { return }
            let merged = MergePatch.apply(patch, to: deployment)
            guard MergePatch.apply(patch, to: merged) == merged else { throw Broken("a merge patch has no end") }
            if let result = try? StrategicMerge.apply(patch: patch, to: deployment, type: type) {
                _ = Schema.findings(in: Schema.pruned(result, of: type), of: type)
            }
            if let operations = try? JSONPatch(patch) { _ = try? operations.apply(to: deployment) }
        }
    }

    @Test func selectorsOfLabelsAndFields() {
        let samples = [
            "app=web,tier in (front, back),!canary,a notin (b),n>5,x", "example.com/app!=web", "k8s.io/a==b , c",
            "metadata.name=a,spec.nodeName!=b", "status.phase=a\\,b\\=c\\\\",
        ]
        run(samples.map { Array($0.utf8) }) { input in
            let text = String(decoding: input, as: UTF8.self)
            if let selector = try? LabelSelector(parsing: text) {
                guard try LabelSelector(parsing: selector.text).text == selector.text else {
                    throw Broken("the label selector \(selector.text) reads otherwise")
                }
                _ = selector.matches(["app": "web", "n": "6"])
            }
            if let selector = try? FieldSelector(parsing: text) {
                guard try FieldSelector(parsing: selector.text).text == selector.text else {
                    throw Broken("the field selector \(selector.text) reads otherwise")
                }
            }
        }
    }

    @Test func quantitiesAndTimes() {
        let samples = ["1500m", "1.5Gi", "-3e-3", "100", "2026-01-02T03:04:05.123456Z", "2026-12-31T23:59:60+01:00"]
        run(samples.map { Array($0.utf8) }) { input in
            let text = String(decoding: input, as: UTF8.self)
            if let quantity = try? Quantity(parsing: text) {
                guard try Quantity(parsing: quantity.text) == quantity else {
                    throw Broken("the quantity \(quantity.text) reads otherwise")
                }
            }
            if let moment = Timestamp(rfc3339: text) {
                guard Timestamp(rfc3339: moment.rfc3339Nano) == moment else {
                    throw Broken("the time \(moment) reads otherwise")
                }
            }
            if let bytes = Base64.decode(text) {
                guard Base64.decode(Base64.encode(bytes)) == bytes else { throw Broken("base64 reads otherwise") }
            }
        }
    }
}
