// Custom resources through the API: from the definition to the last instance.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct CustomResourceTests {
    static let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    static let boats = "/apis/example.com/v1/namespaces/default/boats"

    /// A namespaced kind with status, scale, columns and a selectable field.
    static let definition: JSON = [
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": ["name": "boats.example.com"],
        "spec": [
            "group": "example.com", "scope": "Namespaced",
            "names": ["plural": "boats", "kind": "Boat", "shortNames": ["bo"], "categories": ["all", "fleet"]],
            "versions": [version("v1")],
        ],
    ]

    static func version(_ name: String, isStorage: Bool = true) -> JSON {
        [
            "name": .string(name), "served": true, "storage": .bool(isStorage),
            "schema": ["openAPIV3Schema": schema],
            "subresources": [
                "status": [:],
                "scale": [
                    "specReplicasPath": ".spec.crew", "statusReplicasPath": ".status.aboard",
                    "labelSelectorPath": ".status.selector",
                ],
            ],
            "additionalPrinterColumns": [
                ["name": "Crew", "type": "integer", "jsonPath": ".spec.crew", "description": "Sailors"],
                ["name": "Home", "type": "string", "jsonPath": ".spec.home", "priority": 1],
                ["name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"],
            ],
            "selectableFields": [["jsonPath": ".spec.home"]],
        ]
    }

    static let schema: JSON = [
        "type": "object",
        "properties": [
            "spec": [
                "type": "object", "required": ["crew"],
                "properties": [
                    "crew": ["type": "integer", "minimum": 1], "home": ["type": "string", "default": "Kiel"],
                    "note": ["type": "string", "nullable": true],
                    "sails": [
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": [
                            "type": "object", "required": ["name"],
                            "properties": ["name": ["type": "string"], "area": ["type": "integer"]],
                        ],
                    ],
                ],
            ],
            "status": [
                "type": "object", "properties": ["aboard": ["type": "integer"], "selector": ["type": "string"]],
            ],
        ],
    ]

    static func boat(_ name: String, crew: JSON = 3, version: String = "v1") -> JSON {
        [
            "apiVersion": .string("example.com/\(version)"), "kind": "Boat", "metadata": ["name": .string(name)],
            "spec": ["crew": crew],
        ]
    }

    private func served(_ definition: JSON = Self.definition) async throws -> Server {
        let server = try await Server()
        let created = try await server.post(Self.definitions, definition)
        #expect(created.code == 201, "\(created.message)")
        return server
    }

    @Test func noMoreDefinitionsAreKeptThanTheLimitSays() async throws {
        var limits = APILimits()
        limits.definitions = 1
        let server = try await Server(limits: limits)
        #expect(try await server.post(Self.definitions, Self.definition).code == 201)
        var other = Self.definition
        other["metadata", "name"] = "ships.example.com"
        other["spec", "names"] = ["plural": "ships", "kind": "Ship"]
        let refused = try await server.post(Self.definitions, other)
        #expect(refused.code == 403 && refused.message.contains("there are 1 CustomResourceDefinitions already"))
        let path = Self.definitions + "/ships.example.com?fieldManager=a"
        #expect(try await server.send(.patch, path, other, type: "application/apply-patch+yaml").code == 403)
        // What is there may still change.
        #expect(
            try await server.send(
                .patch, Self.definitions + "/boats.example.com", ["metadata": ["labels": ["a": "b"]]],
                type: "application/merge-patch+json"
            ).code == 200)
    }

    @Test func aDefinitionIsEstablishedAndPublishedAtOnce() async throws {
        let server = try await served()
        let definition = try await server.get("\(Self.definitions)/boats.example.com")
        #expect(definition.object.isTrue("NamesAccepted"))
        #expect(definition.object.isTrue("Established"))
        #expect(definition["status", "storedVersions"] == ["v1"])
        #expect(definition["status", "acceptedNames", "listKind"] == "BoatList")
        #expect(definition["spec", "conversion"] == ["strategy": "None"])

        let groups = try await server.get("/apis")
        #expect(groups["groups"]?.array?.contains { $0["name"] == "example.com" } == true)
        let list = try await server.get("/apis/example.com/v1")
        let names = (list["resources"]?.array ?? []).compactMap { $0["name"]?.string }
        #expect(names == ["boats", "boats/status", "boats/scale"])
        let entry = try #require(list["resources"]?.array?.first)
        #expect(entry["shortNames"] == ["bo"])
        #expect(entry["categories"] == ["all", "fleet"])
        let aggregated = try await server.get("/apis", accept: Discovery.aggregatedType)
        #expect(aggregated["items"]?.array?.contains { $0["metadata", "name"] == "example.com" } == true)

        let three = try await server.get("/openapi/v3/apis/example.com/v1")
        let schema = try #require(three.tree.value(at: ["components", "schemas", "com.example.v1.Boat"]))
        #expect(
            schema["x-kubernetes-group-version-kind"] == [["group": "example.com", "kind": "Boat", "version": "v1"]])
        #expect(schema["properties", "spec", "properties", "crew", "minimum"] == 1)
        let two = try await server.get("/openapi/v2")
        #expect(two.tree.value(at: ["definitions", "com.example.v1.Boat"]) != nil)
    }

    @Test func objectsAreCheckedPrunedAndCompleted() async throws {
        let server = try await served()
        var boat = Self.boat("one")
        boat["spec", "captain"] = "Ahab"
        boat["spec", "note"] = .null
        boat["status"] = ["aboard": 9]
        let created = try await server.post(Self.boats, boat)
        #expect(created.code == 201, "\(created.message)")
        #expect(created["spec"] == ["crew": 3, "note": .null, "home": "Kiel"])
        #expect(created["status"] == nil)
        #expect(created.object.generation == 1)
        #expect(created.warning?.contains("unknown field \\\"spec.captain\\\"") == true)

        let strict = try await server.post(Self.boats + "?fieldValidation=Strict", boat)
        #expect(strict.code == 400)
        #expect(
            strict.message
                == "Boat in version \"v1\" cannot be handled as a Boat: strict decoding error: unknown field \"spec.captain\""
        )

        let wrong = try await server.post(Self.boats, Self.boat("two", crew: "many"))
        #expect(wrong.code == 422)
        #expect(
            wrong.message
                == "Boat.example.com \"two\" is invalid: spec.crew: Invalid value: \"string\": spec.crew in body must be of "
                + "type integer: \"string\"")
        #expect(wrong["details", "causes"]?.array?.first?["reason"] == "FieldValueTypeInvalid")
        var twice = Self.boat("three")
        twice["spec", "sails"] = [["name": "jib"], ["name": "jib"]]
        #expect(
            try await server.post(Self.boats, twice).message
                == "Boat.example.com \"three\" is invalid: spec.sails[1]: Duplicate value: {\"name\":\"jib\"}")
    }

    @Test func statusAndSpecGoTheirOwnWays() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        let merge = "application/merge-patch+json"
        let status = try await server.send(
            .patch, "\(Self.boats)/one/status", ["spec": ["crew": 9], "status": ["aboard": 2, "selector": "a=b"]],
            type: merge)
        #expect(status.code == 200, "\(status.message)")
        #expect(status["spec", "crew"] == 3)
        #expect(status["status", "aboard"] == 2)
        #expect(status.object.generation == 1)
        let spec = try await server.send(
            .patch, "\(Self.boats)/one", ["spec": ["crew": 4], "status": ["aboard": 7]], type: merge)
        #expect(spec["spec", "crew"] == 4)
        #expect(spec["status", "aboard"] == 2)
        #expect(spec.object.generation == 2)
        let bad = try await server.send(.patch, "\(Self.boats)/one/status", ["status": ["aboard": "all"]], type: merge)
        #expect(bad.code == 422)
        let json = try await server.send(
            .patch, "\(Self.boats)/one", [["op": "replace", "path": "/spec/crew", "value": 5]],
            type: "application/json-patch+json")
        #expect(json["spec", "crew"] == 5)
        let strategic = try await server.send(
            .patch, "\(Self.boats)/one", ["spec": ["crew": 6]], type: "application/strategic-merge-patch+json")
        #expect(strategic.code == 415)
    }

    @Test func scaleReadsAndWritesWhereTheDefinitionSays() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        _ = try await server.send(
            .patch, "\(Self.boats)/one/status", ["status": ["aboard": 2, "selector": "a=b"]],
            type: "application/merge-patch+json")
        let scale = try await server.get("\(Self.boats)/one/scale")
        #expect(scale["kind"] == "Scale")
        #expect(scale["spec", "replicas"] == 3)
        #expect(scale["status"] == ["replicas": 2, "selector": "a=b"])
        var wanted = scale.tree
        wanted["spec", "replicas"] = 7
        let changed = try await server.send(.put, "\(Self.boats)/one/scale", wanted)
        #expect(changed["spec", "replicas"] == 7)
        #expect(try await server.get("\(Self.boats)/one")["spec", "crew"] == 7)
        let applied: JSON = [
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": ["name": "one"], "spec": ["replicas": 9],
        ]
        let forced = try await server.send(
            .patch, "\(Self.boats)/one/scale?fieldManager=hpa&force=true", applied, type: ApplyRequest.contentType)
        #expect(forced["spec", "replicas"] == 9, "\(forced)")
        let boat = try await server.get("\(Self.boats)/one")
        #expect(boat["spec", "crew"] == 9)
        let owner = boat["metadata", "managedFields"]?.array?.first { $0["manager"] == "hpa" }
        #expect(owner?["subresource"] == "scale" && owner?["fieldsV1", "f:spec", "f:crew"] != nil)
    }

    @Test func tablesAndFieldSelectorsFollowTheDefinition() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        var other = Self.boat("two")
        other["spec", "home"] = "Bremen"
        _ = try await server.post(Self.boats, other)
        let table = try await server.get(Self.boats, accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
        let heads = (table["columnDefinitions"]?.array ?? []).compactMap { $0["name"]?.string }
        #expect(heads == ["Name", "Crew", "Home", "Age"])
        #expect(table["columnDefinitions"]?.array?[2]["priority"] == 1)
        #expect(table["columnDefinitions"]?.array?[1]["description"] == "Sailors")
        let cells = table["rows"]?.array?.first?["cells"]?.array ?? []
        #expect(cells.prefix(3) == ["one", 3, "Kiel"])
        #expect(cells.last?.string?.hasSuffix("s") == true)
        let selected = try await server.get(Self.boats + "?fieldSelector=spec.home%3DBremen")
        #expect(selected.items.map(\.name) == ["two"])
        #expect(try await server.get(Self.boats + "?fieldSelector=spec.crew%3D3").code == 400)
    }

    @Test func versionsShareTheirObjects() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        var definition = try await server.get("\(Self.definitions)/boats.example.com").tree
        definition["spec", "versions"] = [Self.version("v1", isStorage: false), Self.version("v2")]
        let updated = try await server.send(.put, "\(Self.definitions)/boats.example.com", definition)
        #expect(updated.code == 200, "\(updated.message)")
        #expect(updated["status", "storedVersions"] == ["v1", "v2"])
        let two = "/apis/example.com/v2/namespaces/default/boats"
        #expect(try await server.get("\(two)/one")["apiVersion"] == "example.com/v2")
        #expect(try await server.get(two).items.first?.apiVersion == "example.com/v2")
        _ = try await server.post(two, Self.boat("two", version: "v2"))
        #expect(try await server.get("\(Self.boats)/two")["apiVersion"] == "example.com/v1")
        #expect(try await server.get(Self.boats).items.map(\.apiVersion) == ["example.com/v1", "example.com/v1"])
        let group = try await server.get("/apis/example.com")
        #expect(group["preferredVersion", "version"] == "v2")
        definition["spec", "versions"] = [Self.version("v2")]
        definition["metadata"] = try await server.get("\(Self.definitions)/boats.example.com").tree["metadata"]
        let dropped = try await server.send(.put, "\(Self.definitions)/boats.example.com", definition)
        #expect(dropped.code == 422)
        #expect(dropped.message.contains("missing from spec.versions; v1 was previously a storage version"))
    }

    @Test func deletingTheDefinitionDeletesItsObjectsFirst() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        var held = Self.boat("two")
        held["metadata", "finalizers"] = ["example.com/anchor"]
        _ = try await server.post(Self.boats, held)
        let path = "\(Self.definitions)/boats.example.com"
        #expect(try await server.send(.delete, path).code == 200)
        let dying = try await server.get(path)
        #expect(dying.object.isTrue("Terminating"))
        #expect(dying.object.finalizers == ["customresourcecleanup.apiextensions.k8s.io"])
        #expect(try await server.get("\(Self.boats)/one").code == 404)
        let refused = try await server.post(Self.boats, Self.boat("three"))
        #expect(refused.code == 405)
        #expect(refused.message == "create not allowed while custom resource definition is terminating")
        _ = try await server.send(
            .patch, "\(Self.boats)/two", ["metadata": ["finalizers": .null]], type: "application/merge-patch+json")
        #expect(try await server.get(path).code == 404)
        #expect(try await server.get(Self.boats).code == 404)
        #expect(try await server.get("/apis/example.com/v1").code == 404)
    }

    @Test func watchesEndWhenTheDefinitionChanges() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one"))
        let lines = try await server.watch(Self.boats + "?watch=true")
        #expect(try await lines.word() == "ADDED one")
        _ = try await server.send(
            .patch, "\(Self.definitions)/boats.example.com", ["spec": ["names": ["categories": ["fleet"]]]],
            type: "application/merge-patch+json")
        #expect(try await lines.word() == "END")
        let again = try await server.watch(Self.boats + "?watch=true")
        #expect(try await again.word() == "ADDED one")
    }

    @Test func takenNamesAreWaitedFor() async throws {
        let server = try await served()
        var second = Self.definition
        second["metadata", "name"] = "ships.example.com"
        second["spec", "names"] = ["plural": "ships", "kind": "Boat", "listKind": "ShipList"]
        #expect(try await server.post(Self.definitions, second).code == 201)
        let waiting = try await server.get("\(Self.definitions)/ships.example.com")
        #expect(waiting.object.condition("NamesAccepted")?["reason"] == "KindConflict")
        #expect(!waiting.object.isTrue("Established"))
        #expect(try await server.get("/apis/example.com/v1/ships").code == 404)
        #expect(try await server.send(.delete, "\(Self.definitions)/boats.example.com").code == 200)
        #expect(try await server.get("\(Self.definitions)/ships.example.com").object.isTrue("Established"))
        #expect(try await server.get("/apis/example.com/v1/ships").code == 200)
    }

    @Test func badDefinitionsAreRefusedAndNothingIsServed() async throws {
        let server = try await Server()
        var bad = Self.definition
        bad["spec", "conversion"] = ["strategy": "Webhook"]
        let refused = try await server.post(Self.definitions, bad)
        #expect(refused.code == 422)
        #expect(refused.message.contains("this server does not call conversion webhooks"))
        #expect(try await server.get("/apis/example.com/v1").code == 404)
        var ruled = Self.definition
        var version = Self.version("v1")
        version["schema", "openAPIV3Schema", "x-kubernetes-validations"] = [["rule": "self.spec.crew < 5"]]
        version["deprecated"] = true
        ruled["spec", "versions"] = [version]
        let warned = try await server.post(Self.definitions, ruled)
        #expect(warned.code == 201, "\(warned.message)")
        #expect(warned.warning?.contains("does not evaluate CEL rules") == true)
        let old = try await server.get(Self.boats)
        #expect(old.warning?.contains("example.com/v1 Boat is deprecated") == true)
    }

    /// What was valid under an older schema may stay as it is.
    @Test func stricterSchemasAreHeldAgainstChangesOnly() async throws {
        let server = try await served()
        _ = try await server.post(Self.boats, Self.boat("one", crew: 2))
        let merge = "application/merge-patch+json"
        var definition = try await server.get("\(Self.definitions)/boats.example.com").tree
        var version = Self.version("v1")
        version["schema", "openAPIV3Schema", "properties", "spec", "properties", "crew", "minimum"] = 5
        definition["spec", "versions"] = [version]
        #expect(try await server.send(.put, "\(Self.definitions)/boats.example.com", definition).code == 200)
        let home = try await server.send(.patch, "\(Self.boats)/one", ["spec": ["home": "Hull"]], type: merge)
        #expect(home.code == 200, "\(home.message)")
        #expect(try await server.send(.patch, "\(Self.boats)/one", ["spec": ["crew": 3]], type: merge).code == 422)
    }
}

extension Server.Reply {
    /// The text of the Warning headers.
    fileprivate var warning: String? {
        let texts = fields.filter { $0.name.canonicalName == "warning" }.map(\.value)
        return texts.isEmpty ? nil : texts.joined(separator: "\n")
    }
}

extension CustomResourceTests {
    private func apply(_ server: Server, _ boat: JSON, by manager: String) async throws -> Server.Reply {
        try await server.send(
            .patch, "\(Self.boats)/one?fieldManager=\(manager)", boat, type: "application/apply-patch+yaml")
    }

    /// The sails are told apart by their names, as the schema says.
    @Test func appliersShareLists() async throws {
        let server = try await Server()
        #expect(try await server.post(Self.definitions, Self.definition).code == 201)
        var first = Self.boat("one")
        first["spec", "sails"] = [["name": "jib", "area": 20]]
        #expect(try await apply(server, first, by: "first").code == 201)
        var second = Self.boat("one")
        second["spec"] = ["crew": 3, "sails": [["name": "main", "area": 40]]]
        let merged = try await apply(server, second, by: "second")
        #expect(merged.code == 200, "\(merged.message)")
        #expect(merged["spec", "sails"] == [["name": "jib", "area": 20], ["name": "main", "area": 40]])
        second["spec", "sails"] = [["name": "jib", "area": 30]]
        let conflict = try await apply(server, second, by: "second")
        #expect(conflict.code == 409)
        #expect(conflict.message.contains(".spec.sails[name=\"jib\"].area"))
    }
}
