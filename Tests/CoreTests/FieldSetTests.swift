// Sets of fields: their spelling, their algebra, and what comparing and listing find.

import Formats
import Objects
import Testing

@Suite struct FieldSetTests {
    static func set(_ text: String) throws -> FieldSet { try FieldSet(fieldsV1: JSON(parsing: Array(text.utf8))) }

    @Test(arguments: [
        #"{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}"#,
        #"{"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{}}},"f:replicas":{}}}"#,
        #"{"f:spec":{"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{}}}}}"#,
        #"{"f:metadata":{"f:finalizers":{".":{},"v:5":{},"v:\"a/b\"":{}}},"f:x":{"i:0":{},"i:10":{}}}"#,
    ])
    func whatIsReadIsWritten(_ text: String) throws {
        let set = try Self.set(text)
        // An element with nothing below needs no dot.
        let plain = text.split(separator: #"{".":{}}"#, omittingEmptySubsequences: false).joined(separator: "{}")
        #expect(set.fieldsV1.text == plain)
    }

    @Test func orderOfTheTextDoesNotMatter() throws {
        let left = try Self.set(#"{"f:b":{},"f:a":{"f:y":{},"f:x":{}}}"#)
        #expect(try left == Self.set(#"{"f:a":{"f:x":{},"f:y":{}},"f:b":{}}"#))
        #expect(left.fieldsV1.text == #"{"f:a":{"f:x":{},"f:y":{}},"f:b":{}}"#)
        #expect(left.paths.map(\.description) == [".a.x", ".a.y", ".b"])
    }

    @Test(arguments: [
        #"[]"#, #"{"x":{}}"#, #"{"v:{":{}}"#, #"{"k:[]":{}}"#, #"{"i:x":{}}"#, #"{"f:a":1}"#, #"{"":{}}"#,
    ])
    func nonsenseIsRefused(_ text: String) {
        #expect(throws: FormatProblem.self) { try Self.set(text) }
    }

    @Test func unknownPrefixesAreSkipped() throws {
        #expect(try Self.set(#"{"z:new":{},"f:a":{}}"#).fieldsV1.text == #"{"f:a":{}}"#)
    }

    @Test func algebra() throws {
        let left = try Self.set(#"{"f:a":{".":{},"f:x":{}},"f:b":{}}"#)
        let right = try Self.set(#"{"f:a":{},"f:c":{}}"#)
        #expect(left.union(right).fieldsV1.text == #"{"f:a":{".":{},"f:x":{}},"f:b":{},"f:c":{}}"#)
        #expect(left.intersection(right).fieldsV1.text == #"{"f:a":{}}"#)
        #expect(left.subtracting(right).fieldsV1.text == #"{"f:a":{"f:x":{}},"f:b":{}}"#)
        #expect(left.subtractingTrees(right).fieldsV1.text == #"{"f:b":{}}"#)
        #expect(
            left.contains(ElementPath("a")) && left.contains(ElementPath("a", "x")) && !left.contains(ElementPath("c")))
        #expect(left.subtracting(left).isEmpty)
    }

    @Test func pathsReadAsUpstreamWritesThem() throws {
        let set = try Self.set(
            #"""
            {"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{"f:ports":{"k:{\"containerPort\":80,\#
            \"protocol\":\"TCP\"}":{}}}}},"f:x":{"v:\"a\"":{},"i:3":{}}}
            """#)
        #expect(
            set.paths.map(\.description) == [
                #".spec.containers[name="main"].ports[containerPort=80,protocol="TCP"]"#, #".x[="a"]"#, ".x[3]",
            ])
    }

    /// Whatever is read, the text that is written of it says the same; nothing traps.
    @Test func damagedTextsAreReadOrRefused() throws {
        var random = SystemOrderedNumbers(seed: 11)
        let alphabet = Array(#"{}[]:,".fkvi0/ab\"#.utf8)
        let sound = Array(
            #"{"f:a":{".":{},"k:{\"name\":\"x\"}":{"f:b":{}},"v:1":{}},"i:2":{},"f:c":{}}"#.utf8)
        var readable = 0
        for _ in 0..<3000 {
            var text = sound
            for _ in 0...random.next(below: 3) {
                text[random.next(below: text.count)] = alphabet[random.next(below: alphabet.count)]
            }
            guard let tree = try? JSON(parsing: text), let set = try? FieldSet(fieldsV1: tree) else { continue }
            readable += 1
            #expect(try FieldSet(fieldsV1: set.fieldsV1) == set)
        }
        #expect(readable > 100)
    }

    /// Random sets obey the laws of sets.
    @Test func setsKeepTheirLaws() {
        var random = SystemOrderedNumbers(seed: 7)
        func some() -> FieldSet {
            FieldSet(
                (0..<random.next(below: 12)).map { _ in
                    ElementPath((0...random.next(below: 3)).map { _ in PathElement.field("n\(random.next(below: 4))") })
                })
        }
        for _ in 0..<500 {
            let (a, b) = (some(), some())
            let (both, all) = (a.intersection(b), a.union(b))
            #expect(Set(all.paths) == Set(a.paths).union(b.paths))
            #expect(Set(both.paths) == Set(a.paths).intersection(b.paths))
            #expect(Set(a.subtracting(b).paths) == Set(a.paths).subtracting(b.paths))
            #expect(a.subtracting(b).union(both) == a)
            #expect(all == b.union(a))
            let kept = Set(a.paths).filter { path in
                !b.paths.contains { path.elements.starts(with: $0.elements) }
            }
            #expect(Set(a.subtractingTrees(b).paths) == kept)
        }
    }
}

/// Numbers that a seed reproduces.
private struct SystemOrderedNumbers {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }
}

@Suite struct ComparisonTests {
    static func type(_ apiVersion: String, _ kind: String) -> any MergeType {
        SchemaMergeType(apiVersion: apiVersion, kind: kind) ?? DeducedType()
    }

    @Test func aCreateOwnsWhatItWroteAndNoStructs() throws {
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "web", "labels": ["run": "web"]],
            "spec": [
                "containers": [
                    ["name": "web", "image": "nginx", "ports": [["containerPort": 80, "protocol": "TCP"]]]
                ],
                "restartPolicy": "Always", "securityContext": [:],
            ],
        ]
        let found = Comparison(from: [:], to: pod, type: Self.type("v1", "Pod"))
        #expect(found.modified.isEmpty && found.removed.isEmpty)
        #expect(
            found.added.fieldsV1.text
                == #"""
                {"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:labels":{".":{},"f:run":{}},"f:name":{}},\#
                "f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},\#
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},\#
                "f:resources":{}}},"f:restartPolicy":{},"f:securityContext":{}}}
                """#
        )
    }

    @Test func changesAreToldApart() {
        let old: JSON = ["data": ["a": "1", "b": "2", "c": "3"], "metadata": ["finalizers": ["x", "y"]]]
        let new: JSON = ["data": ["a": "1", "b": "5", "d": "4"], "metadata": ["finalizers": ["y", "z"]]]
        let found = Comparison(from: old, to: new, type: Self.type("v1", "ConfigMap"))
        #expect(found.modified.paths.map(\.description) == [".data.b"])
        #expect(found.added.paths.map(\.description) == [".data.d", #".metadata.finalizers[="z"]"#])
        #expect(found.removed.paths.map(\.description) == [".data.c", #".metadata.finalizers[="x"]"#])
        #expect(Comparison(from: old, to: old, type: Self.type("v1", "ConfigMap")).isSame)
    }

    @Test func atomicValuesAreOneField() {
        let old: JSON = ["spec": ["selector": ["a": "1"], "sessionAffinity": "None"]]
        let new: JSON = ["spec": ["selector": ["a": "1", "b": "2"], "sessionAffinity": "None"]]
        let found = Comparison(from: old, to: new, type: Self.type("v1", "Service"))
        #expect(found.modified.paths.map(\.description) == [".spec.selector"])
        let sets = Comparison(
            from: ["spec": ["selector": ["matchLabels": ["a": "1"]]]],
            to: ["spec": ["selector": ["matchLabels": ["a": "2"]]]],
            type: Self.type("apps/v1", "Deployment"))
        #expect(sets.modified.paths.map(\.description) == [".spec.selector"])
    }

    @Test func doubledElementsAreTrackedAsOne() {
        func env(_ values: String...) -> JSON {
            ["env": .array(values.map { ["name": "A", "value": .string($0)] })]
        }
        func found(_ old: JSON, _ new: JSON) -> Comparison {
            func pod(_ container: JSON) -> JSON {
                var container = container
                container["name"] = "main"
                return ["spec": ["containers": [container]]]
            }
            return Comparison(from: pod(old), to: pod(new), type: Self.type("v1", "Pod"))
        }
        let element = #".spec.containers[name="main"].env[name="A"]"#
        #expect(found(env("1", "1"), env("1", "1")).isSame)
        #expect(found(env("1", "1"), env("1", "2")).modified.paths.map(\.description) == [element])
        #expect(found(env("1", "1"), env("1")).removed.paths.map(\.description) == [element])
        let doubled = found(env("1"), env("1", "2"))
        #expect(doubled.added.paths.map(\.description) == [element])
        #expect(
            doubled.removed.contains(
                ElementPath([
                    .field("spec"), .field("containers"), .key([.init(name: "name", value: "main")]), .field("env"),
                    .key([.init(name: "name", value: "A")]), .field("value"),
                ])))
    }

    @Test func anAppliersSetHasNoDotsForMaps() {
        let map: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": "a", "labels": ["x": "y"], "annotations": [:]],
            "data": ["k": "v", "gone": .null],
        ]
        #expect(
            FieldSet(of: map, type: Self.type("v1", "ConfigMap")).fieldsV1.text
                == #"""
                {"f:apiVersion":{},"f:data":{"f:gone":{},"f:k":{}},"f:kind":{},"f:metadata":{"f:annotations":{},\#
                "f:labels":{"f:x":{}},"f:name":{}}}
                """#
        )
        let deduced = FieldSet(of: ["spec": ["a": ["b": 1], "list": [1, 2]]], type: DeducedType())
        #expect(deduced.fieldsV1.text == #"{"f:spec":{".":{},"f:a":{".":{},"f:b":{}},"f:list":{}}}"#)
    }
}
