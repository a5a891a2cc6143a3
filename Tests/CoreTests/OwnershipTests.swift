// Applies and updates by several writers, as scripts: who owns what, what conflicts, what goes.

import Formats
import Objects
import Testing

/// One object and its owners through a row of writes.
private struct Story {
    var live: JSON?
    var managed = ManagedFields()
    let machine: OwnershipMachine
    private let apiVersion: String
    private let kind: String
    private var clock = 0

    init(_ apiVersion: String, _ kind: String) {
        self.apiVersion = apiVersion
        self.kind = kind
        machine = OwnershipMachine(
            type: SchemaMergeType(apiVersion: apiVersion, kind: kind) ?? DeducedType(), apiVersion: apiVersion)
    }

    private func whole(_ object: JSON) -> JSON {
        var object = object
        object["apiVersion"] = .string(apiVersion)
        object["kind"] = .string(kind)
        object["metadata", "name"] = "it"
        return object
    }

    private mutating func tick() -> String {
        clock += 1
        return "2026-01-01T00:00:\(clock < 10 ? "0" : "")\(clock)Z"
    }

    mutating func apply(_ name: String, _ object: JSON, force: Bool = false) throws(OwnershipMachine.Refusal) {
        let applied = try machine.appliedByClient(
            whole(object), to: live, managed, by: name, force: force, at: tick())
        live = applied.tree
        managed = applied.managed
    }

    mutating func update(_ name: String, _ object: JSON) {
        let new = whole(object)
        managed = machine.updated(managed, from: live, to: new, by: name, at: tick())
        live = new
    }

    /// `name: fields` of everybody, appliers first.
    var owners: [String] {
        (managed.tree?.array ?? []).map {
            "\($0["manager"]?.string ?? "") \($0["operation"]?.string ?? ""): \($0["fieldsV1"]?.text ?? "")"
        }
    }
}

@Suite struct OwnershipTests {
    @Test func aFieldGoesWithItsLastApplier() throws {
        var story = Story("v1", "ConfigMap")
        try story.apply("a", ["data": ["x": "1", "y": "2"]])
        try story.apply("b", ["data": ["y": "2", "z": "3"]])
        #expect(story.live?["data"] == ["x": "1", "y": "2", "z": "3"])
        try story.apply("a", [:])
        #expect(story.live?["data"] == ["y": "2", "z": "3"])
        try story.apply("b", ["data": ["z": "3"]])
        #expect(story.live?["data"] == ["z": "3"])
        try story.apply("b", [:])
        #expect(story.live?["data"] == nil)
        #expect(story.owners == [])
    }

    @Test func anotherValueOfAnOwnedFieldIsAConflict() throws {
        var story = Story("apps/v1", "Deployment")
        try story.apply("a", ["spec": ["replicas": 2]])
        let conflict = #expect(throws: OwnershipMachine.Refusal.self) {
            try story.apply("b", ["spec": ["replicas": 3]])
        }
        guard case .conflicts(let conflicts)? = conflict else { return }
        #expect(conflicts.message == "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas")
        #expect(conflicts.causes.map(\.message) == ["conflict with \"a\""])
        #expect(conflicts.causes.map(\.field) == [".spec.replicas"])
        #expect(story.live?["spec", "replicas"] == 2)
        try story.apply("b", ["spec": ["replicas": 2]])
        #expect(
            story.owners == [
                #"a Apply: {"f:spec":{"f:replicas":{}}}"#, #"b Apply: {"f:spec":{"f:replicas":{}}}"#,
            ])
        try story.apply("b", ["spec": ["replicas": 3]], force: true)
        #expect(story.live?["spec", "replicas"] == 3)
        #expect(story.owners == [#"b Apply: {"f:spec":{"f:replicas":{}}}"#])
    }

    @Test func severalConflictsAreListedByOwner() throws {
        var story = Story("v1", "ConfigMap")
        try story.apply("b", ["data": ["x": "1"]])
        story.update("c", ["data": ["x": "1", "y": "2", "z": "3"]])
        let conflict = #expect(throws: OwnershipMachine.Refusal.self) {
            try story.apply("a", ["data": ["x": "9", "y": "9", "z": "9"]])
        }
        guard case .conflicts(let conflicts)? = conflict else { return }
        #expect(
            conflicts.message == """
                Apply failed with 3 conflicts: conflicts with "b":
                - .data.x
                conflicts with "c" using v1:
                - .data.y
                - .data.z
                """)
    }

    @Test func anUpdateTakesWhatItChangesAndNeverConflicts() throws {
        var story = Story("v1", "ConfigMap")
        try story.apply("a", ["data": ["x": "1", "y": "2"]])
        story.update("u", ["data": ["x": "9", "y": "2", "w": "0"]])
        #expect(
            story.owners == [
                #"a Apply: {"f:data":{"f:y":{}}}"#, #"u Update: {"f:data":{"f:w":{},"f:x":{}}}"#,
            ])
        story.update("u", ["data": ["y": "2"]])
        #expect(story.owners == [#"a Apply: {"f:data":{"f:y":{}}}"#])
    }

    @Test func updatersKeepWhatAnApplierDrops() throws {
        var story = Story("apps/v1", "Deployment")
        try story.apply("a", ["spec": ["replicas": 2, "paused": true]])
        story.update("scaler", ["spec": ["replicas": 5, "paused": true]])
        try story.apply("a", ["spec": ["paused": true]])
        #expect(story.live?["spec"] == ["replicas": 5, "paused": true])
        try story.apply("a", [:])
        #expect(story.live?["spec"] == ["replicas": 5])
    }

    @Test func listsOfMapsMergeByTheirKeys() throws {
        var story = Story("v1", "Pod")
        func containers(_ list: JSON...) -> JSON { ["spec": ["containers": .array(list)]] }
        try story.apply("a", containers(["name": "one", "image": "x"], ["name": "two", "image": "y"]))
        try story.apply("b", containers(["name": "three", "image": "z"], ["name": "one", "args": ["q"]]))
        #expect(
            story.live?["spec", "containers"] == [
                ["name": "three", "image": "z"], ["name": "one", "image": "x", "args": ["q"]],
                ["name": "two", "image": "y"],
            ])
        try story.apply("a", containers(["name": "two", "image": "y"]))
        #expect(
            story.live?["spec", "containers"] == [
                ["name": "three", "image": "z"], ["name": "one", "args": ["q"]], ["name": "two", "image": "y"],
            ])
        // `one` is still named by b, so it stays when b drops only its arguments.
        try story.apply("b", containers(["name": "one"]))
        #expect(story.live?["spec", "containers"] == [["name": "one"], ["name": "two", "image": "y"]])
    }

    @Test func keysHaveDefaults() throws {
        var story = Story("v1", "Pod")
        func ports(_ list: JSON...) -> JSON { ["spec": ["containers": [["name": "m", "ports": .array(list)]]]] }
        try story.apply("a", ports(["containerPort": 80]))
        try story.apply(
            "b",
            ports(["containerPort": 80, "protocol": "UDP"], ["containerPort": 80, "protocol": "TCP", "name": "web"]))
        #expect(
            story.live?["spec", "containers"]?.array?.first?["ports"] == [
                ["containerPort": 80, "protocol": "UDP"], ["containerPort": 80, "protocol": "TCP", "name": "web"],
            ])
    }

    @Test func setsMergeAndAtomicsAreReplaced() throws {
        var story = Story("v1", "Service")
        try story.apply("a", ["metadata": ["finalizers": ["x", "y"]], "spec": ["selector": ["k": "1"]]])
        try story.apply("b", ["metadata": ["finalizers": ["y", "z"]]])
        #expect(story.live?["metadata", "finalizers"] == ["x", "y", "z"])
        try story.apply("a", ["metadata": ["finalizers": ["x"]], "spec": ["selector": ["l": "2"]]])
        #expect(story.live?["metadata", "finalizers"] == ["x", "y", "z"])
        #expect(story.live?["spec", "selector"] == ["l": "2"])
        try story.apply("b", [:])
        #expect(story.live?["metadata", "finalizers"] == ["x"])
        #expect(throws: OwnershipMachine.Refusal.self) { try story.apply("b", ["spec": ["selector": ["m": "3"]]]) }
    }

    @Test func nullsTakeAwayScalarsOnly() throws {
        var story = Story("apps/v1", "Deployment")
        try story.apply("a", ["spec": ["replicas": 2, "paused": true]])
        try story.apply("a", ["spec": ["replicas": .null, "paused": true]])
        #expect(story.live?["spec"] == ["replicas": .null, "paused": true])
        try story.apply("b", ["metadata": ["labels": ["v": "w"]]])
        try story.apply("c", ["metadata": ["labels": .null]])
        #expect(story.live?["metadata", "labels"] == ["v": "w"])
    }

    @Test func anObjectFromBeforeApplyHasAnOwnerOfItsOwn() throws {
        var story = Story("v1", "ConfigMap")
        story.live = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "it"], "data": ["x": "1"]]
        story.update("nobody", ["data": ["x": "2"]])
        #expect(story.owners == [])
        let conflict = #expect(throws: OwnershipMachine.Refusal.self) { try story.apply("a", ["data": ["x": "3"]]) }
        guard case .conflicts(let conflicts)? = conflict else { return }
        #expect(
            conflicts.message == "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.x")
        try story.apply("a", ["data": ["y": "3"]])
        #expect(
            story.owners == [
                #"a Apply: {"f:data":{"f:y":{}}}"#, #"before-first-apply Update: {"f:data":{".":{},"f:x":{}}}"#,
            ])
    }

    @Test func whatDoesNotFitIsRefusedWithItsPath() {
        func refusal(_ object: JSON) -> String? {
            var story = Story("apps/v1", "Deployment")
            do throws(OwnershipMachine.Refusal) {
                try story.apply("a", object)
                return nil
            } catch {
                if case .unfitting(let text) = error { return text }
                return nil
            }
        }
        #expect(refusal(["spec": ["replicaz": 1]]) == ".spec.replicaz: field not declared in schema")
        #expect(
            refusal(["spec": ["replicas": "many"]]) == ".spec.replicas: expected numeric (int or float), got string")
        #expect(
            refusal(["spec": ["replicas": "x", "pausd": true]])
                == "errors:\n  .spec.replicas: expected numeric (int or float), got string\n  .spec.pausd: field not declared in schema"
        )
        let containers: JSON = [["name": "a"], ["name": "a"]]
        #expect(
            refusal(["spec": ["template": ["spec": ["containers": containers]]]])
                == ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]")
        #expect(
            refusal(["spec": ["template": ["spec": ["containers": [["image": "x"]]]]]])
                == ".spec.template.spec.containers: element 0: associative list with keys has an element that omits key "
                + "field \"name\" (and doesn't have default value)"
        )
    }

    @Test func clientSideApplyHandsOver() throws {
        var story = Story("v1", "ConfigMap")
        let first =
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{},"name":"it"},"data":{"x":"1","y":"1"}}"#
        story.update(
            "kubectl-client-side-apply",
            [
                "metadata": ["annotations": .object(JSONObject([(LastApplied.annotation, .string(first))]))],
                "data": ["x": "1", "y": "1"],
            ])
        // kubectl may change what it had applied itself.
        try story.apply("kubectl", ["data": ["x": "2", "y": "1"]])
        #expect(story.live?["data"] == ["x": "2", "y": "1"])
        let annotation = story.live?["metadata", "annotations", LastApplied.annotation]?.string
        #expect(annotation?.contains(#""data":{"x":"2","y":"1"}"#) == true)
        // Somebody else's change since then is a conflict, and another applier has no allowance at all.
        var changed = story.live ?? [:]
        changed["data", "y"] = "9"
        story.update("editor", changed)
        #expect(throws: OwnershipMachine.Refusal.self) { try story.apply("kubectl", ["data": ["x": "2", "y": "1"]]) }
        #expect(throws: OwnershipMachine.Refusal.self) { try story.apply("helm", ["data": ["y": "2"]]) }
    }

    @Test func tooManyUpdatersAreJoined() {
        var story = Story("v1", "ConfigMap")
        for number in 0..<15 {
            var data = story.live?["data"] ?? [:]
            data["k\(number)"] = "v"
            story.update("u\(number)", ["data": data])
        }
        let owners = story.managed.tree?.array ?? []
        #expect(owners.count == ManagedFields.updaterLimit)
        #expect(owners.first?["manager"]?.string == ManagedFields.joined)
        #expect(owners.first?["fieldsV1", "f:data"]?.object?.count == 7)
        #expect(owners.last?["manager"]?.string == "u14")
    }

    @Test func theListIsReadBack() throws {
        var story = Story("v1", "ConfigMap")
        try story.apply("a", ["data": ["x": "1"]])
        story.update("u", ["data": ["x": "1", "y": "2"]])
        #expect(
            try ManagedFields(story.managed.tree) == story.managed
                || story.managed.tree == ManagedFields(story.managed.tree).tree)
        #expect(
            ManagedFields.isReset([[:]]) && !ManagedFields.isReset([]) && !ManagedFields.isReset(story.managed.tree))
        #expect(throws: FormatProblem.self) { try ManagedFields([["operation": "Other", "fieldsType": "FieldsV1"]]) }
    }
}

@Suite struct ObjectSetterTests {
    @Test func emptyMapsLeaveNoMember() {
        var object = Object(.configMaps, name: "a")
        object.labels = ["a": "b"]
        object.annotations = ["a": "b"]
        object.labels = [:]
        object.annotations = [:]
        object.finalizers = []
        object.namespace = ""
        #expect(object.tree["metadata"] == ["name": "a"])
    }
}
