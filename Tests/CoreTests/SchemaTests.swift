// The generated tables, checks against them, and strategic merges.

import Formats
import Objects
import Testing

@Suite struct SchemaTests {
    @Test func knowsTypesAndResources() throws {
        let container = try #require(Schema.type(named: "core.v1.Container"))
        #expect(container.fields["env"]?.mergeKey == "name")
        #expect(container.fields["ports"]?.mergeKey == "containerPort")
        #expect(container.fields["ports"]?.listType == .map(keys: ["containerPort", "protocol"]))
        #expect(container.fields["args"]?.mergesElements == false)
        #expect(container.fields["name"]?.isRequired == true)
        let deployment = try #require(Schema.type(of: .deployments))
        #expect(deployment.name == "apps.v1.Deployment")
        #expect(deployment.fields["spec"]?.type == .type("apps.v1.DeploymentSpec"))
        #expect(Schema.type(named: "meta.v1.ObjectMeta")?.fields["creationTimestamp"]?.type == .time)
        #expect(Schema.type(named: "core.v1.ServicePort")?.fields["targetPort"]?.type == .integerOrString)
        #expect(Schema.types.count > 500)

        let pods = try #require(ResourceTable.resource(group: "", version: "v1", plural: "pods"))
        #expect(pods == .pods && pods.shortNames == ["po"] && pods.categories == ["all"] && pods.verbs.count == 8)
        #expect(ResourceTable.resource(apiVersion: "apps/v1", kind: "ReplicaSet") == .replicaSets)
        #expect(ResourceTable.subresource("eviction", of: pods)?.apiVersion == "policy/v1")
        #expect(ResourceTable.subresource("scale", of: .deployments)?.kind == "Scale")
        #expect(ResourceTable.subresource("status", of: .namespaces)?.verbs == ["get", "patch", "update"])
    }

    @Test func everyReferenceLeadsSomewhere() {
        func missing(_ type: FieldType) -> String? {
            switch type {
            case .type(let name): Schema.type(named: name) == nil ? name : nil
            case .array(let element), .map(let element): missing(element)
            default: nil
            }
        }
        let gone = Schema.types.values.flatMap { type in type.fields.values.compactMap { missing($0.type) } }
        #expect(gone.isEmpty, "\(Set(gone).sorted())")
        let untyped = ResourceTable.all.filter { Schema.type(of: $0) == nil }.map(\.qualifiedName)
        #expect(untyped.isEmpty, "\(untyped)")
    }

    @Test func findsWhatDoesNotFit() throws {
        let type = try #require(Schema.type(of: .deployments))
        let tree: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": ["name": "web", "labels": ["a": "b"], "nam": "x"],
            "spec": [
                "replicas": "2",
                "template": [
                    "spec": ["containers": [["name": "a", "imagee": "b", "resources": ["limits": ["cpu": 1]]]]]
                ],
            ],
            "more": 1,
        ]
        let findings = Schema.findings(in: tree, of: type)
        #expect(findings.unknown == ["metadata.nam", "spec.template.spec.containers[0].imagee", "more"])
        #expect(findings.mismatches.map(\.path) == ["spec.replicas"])
        let pruned = Schema.pruned(tree, of: type)
        #expect(Schema.unknownFields(in: pruned, of: type).isEmpty)
        #expect(pruned["metadata"] == ["name": "web", "labels": ["a": "b"]])
    }

    private func merged(_ patch: JSON, into spec: JSON) throws -> JSON {
        let type = Schema.type(named: "core.v1.PodSpec")
        return try StrategicMerge.apply(patch: patch, to: spec, type: type)
    }

    @Test func mergesListsByKey() throws {
        let spec: JSON = [
            "containers": [
                ["name": "a", "image": "1", "args": ["x", "y"], "env": [["name": "A", "value": "1"]]], ["name": "b"],
            ],
            "nodeName": "one",
        ]
        let result = try merged(
            ["containers": [["name": "a", "args": ["z"], "env": [["name": "B", "value": "2"]]]], "nodeName": nil],
            into: spec)
        #expect(
            result == [
                "containers": [
                    [
                        "name": "a", "image": "1", "args": ["z"],
                        "env": [["name": "B", "value": "2"], ["name": "A", "value": "1"]],
                    ],
                    ["name": "b"],
                ]
            ])
    }

    @Test func followsDirectives() throws {
        let spec: JSON = [
            "containers": [["name": "a"], ["name": "b"], ["name": "c"]], "nodeSelector": ["x": "1", "y": "2"],
        ]
        #expect(
            try merged(["containers": [["name": "b", "$patch": "delete"]]], into: spec)["containers"]
                == [["name": "a"], ["name": "c"]])
        #expect(
            try merged(["containers": [["$patch": "replace"], ["name": "z"]]], into: spec)["containers"] == [
                ["name": "z"]
            ])
        #expect(
            try merged(["nodeSelector": ["$patch": "replace", "z": "3"]], into: spec)["nodeSelector"] == ["z": "3"])
        #expect(try merged(["nodeSelector": ["$patch": "delete"]], into: spec)["nodeSelector"] == [:])
        #expect(
            try merged(
                [
                    "$setElementOrder/containers": [["name": "c"], ["name": "d"], ["name": "a"]],
                    "containers": [["name": "d"], ["name": "b", "$patch": "delete"]],
                ], into: spec)["containers"] == [["name": "c"], ["name": "d"], ["name": "a"]])
        #expect(throws: PatchProblem.self) { try merged(["containers": [["image": "x"]]], into: spec) }
        #expect(throws: PatchProblem.self) { try merged(["nodeSelector": ["$patch": "wrong"]], into: spec) }
        #expect(throws: PatchProblem.self) { try merged([1], into: spec) }
    }

    @Test func keepsServerItemsBetweenOrderedOnes() throws {
        let spec: JSON = ["containers": [["name": "a"], ["name": "side"], ["name": "b"]]]
        let result = try merged(
            [
                "$setElementOrder/containers": [["name": "a"], ["name": "b"]],
                "containers": [["name": "b", "image": "2"]],
            ], into: spec)
        #expect(result["containers"] == [["name": "a"], ["name": "side"], ["name": "b", "image": "2"]])
    }

    @Test func mergesSetsOfScalars() throws {
        let type = Schema.type(named: "meta.v1.ObjectMeta")
        let target: JSON = ["finalizers": ["a", "b"]]
        func apply(_ patch: JSON) throws -> JSON? {
            try StrategicMerge.apply(patch: patch, to: target, type: type)["finalizers"]
        }
        #expect(try apply(["finalizers": ["c", "a"]]) == ["c", "a", "b"])
        #expect(try apply(["$deleteFromPrimitiveList/finalizers": ["a"]]) == ["b"])
        #expect(
            try apply([
                "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"],
                "$deleteFromPrimitiveList/finalizers": ["a"],
            ])
                == ["b", "c"])
    }

    @Test func retainsKeys() throws {
        let type = Schema.type(named: "apps.v1.DeploymentSpec")
        let target: JSON = ["strategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 1]]]
        let result = try StrategicMerge.apply(
            patch: ["strategy": ["$retainKeys": ["type"], "type": "Recreate"]], to: target, type: type)
        #expect(result == ["strategy": ["type": "Recreate"]])
        #expect(throws: PatchProblem.self) {
            try StrategicMerge.apply(
                patch: ["strategy": ["$retainKeys": ["x"], "type": "Recreate"]], to: target, type: type)
        }
    }

    @Test func dropsDirectivesFromNewValues() throws {
        let result = try merged(
            [
                "$setElementOrder/volumes": [["name": "v"]],
                "volumes": [["name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": [:], "x": nil]],
                "securityContext": ["$patch": "replace", "runAsUser": 1],
            ], into: [:])
        #expect(result == ["volumes": [["name": "v", "emptyDir": [:]]], "securityContext": ["runAsUser": 1]])
    }
}
