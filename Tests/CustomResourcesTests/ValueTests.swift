// What schemas make of objects: defaults, pruning, checks.

import Formats
import Objects
import Testing

@testable import CustomResources

@Suite struct ValueTests {
    private let schema = StructuralSchema(Sample.schema)

    /// The faults of `spec` with a size and these members.
    private func faults(_ members: JSON) -> [String] {
        var spec: JSON = ["size": 1]
        for member in members.object ?? JSONObject() { spec[member.key] = member.value }
        let tree: JSON = ["spec": spec]
        return
            (ValueCheck.faults(in: tree, against: schema) + Uniqueness.faults(in: tree, of: schema)
            + EmbeddedRules.faults(in: tree, of: schema, isRoot: true)).map { "\($0.path): \($0.message)" }
    }

    static let checksCases: [Case] = [
        Case(#"{}"#, []),
        Case(
            #"{"size": "1"}"#,
            [
                "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""
            ]),
        Case(
            #"{"size": 1.5}"#,
            [
                "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\""
            ]),
        Case(
            #"{"size": 0}"#,
            [
                "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
            ]),
        Case(
            #"{"size": 11}"#,
            [
                "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"
            ]),
        Case(
            #"{"size": null}"#,
            [
                "spec.size: Invalid value: \"null\": spec.size in body must be of type integer: \"null\""
            ]),
        Case(
            #"{"colour": "blue"}"#,
            [
                "spec.colour: Unsupported value: \"blue\": supported values: \"red\", \"green\""
            ]),
        Case(
            #"{"name": "a"}"#,
            [
                "spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"
            ]),
        Case(#"{"name": "abcdef"}"#, ["spec.name: Too long: may not be more than 5 bytes"]),
        Case(#"{"name": "a1"}"#, ["spec.name: Invalid value: \"a1\": spec.name in body should match '^[a-z]+$'"]),
        Case(#"{"port": 80}"#, []),
        Case(#"{"port": "http"}"#, []),
        Case(
            #"{"port": true}"#,
            [
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: "
                    + "\"boolean\""
            ]),
        Case(#"{"when": null}"#, []),
        Case(#"{"when": "2026-01-01T00:00:00Z"}"#, []),
        Case(
            #"{"when": "soon"}"#,
            [
                "spec.when: Invalid value: \"soon\": spec.when in body must be of type date-time: \"soon\""
            ]),
        Case(#"{"tags": ["a", "b", "a"]}"#, ["spec.tags[2]: Duplicate value: \"a\""]),
        Case(#"{"tags": ["a", "b", "c", "d"]}"#, ["spec.tags: Too many: 4: must have at most 3 items"]),
        Case(
            #"{"tags": [1]}"#,
            [
                "spec.tags[0]: Invalid value: \"integer\": spec.tags[0] in body must be of type string: \"integer\""
            ]),
        Case(#"{"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]}"#, []),
        Case(
            #"{"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]}"#,
            [
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"
            ]),
        Case(#"{"ports": [{}]}"#, ["spec.ports[0].port: Required value"]),
        Case(
            #"{"labels": {"a": "1", "b": 2}}"#,
            [
                "spec.labels.b: Invalid value: \"integer\": spec.labels.b in body must be of type string: "
                    + "\"integer\""
            ]),
        Case(#"{"labels": {"a": "1", "b": "2", "c": "3"}}"#, ["spec.labels: Too many: 3: must have at most 2 items"]),
        Case(#"{"template": {"kind": "Pod"}}"#, ["spec.template.apiVersion: Required value: must not be empty"]),
        Case(#"{"one": {"a": "x"}}"#, []),
        Case(
            #"{"one": {"a": "x", "b": "y"}}"#,
            [
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). "
                    + "Found 2 valid alternatives"
            ]),
        Case(
            #"{"one": {}}"#,
            [
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). "
                    + "Found none valid",
                "spec.one.a: Required value",
            ]),
    ]

    @Test(arguments: checksCases)
    func checks(_ one: Case) throws {
        #expect(faults(try one.value) == one.expected)
    }

    @Test func asksForWhatIsRequired() {
        #expect(Sample.faults(["spec": [:]], Sample.schema) == ["spec.size: Required value"])
    }

    @Test func looksOnlyAtWhatChanged() {
        let old: JSON = ["spec": ["size": 99, "colour": "red"]]
        var new = old
        new["spec", "colour"] = "green"
        #expect(ValueCheck.faults(in: new, against: schema, old: old) == [])
        new["spec", "size"] = 98
        #expect(ValueCheck.faults(in: new, against: schema, old: old).map(\.path) == ["spec.size"])
    }

    static let checksLogicAndNumbersCases: [LogicCase] = [
        LogicCase(
            #"{"not": {"minLength": 1}, "type": "string"}"#, #""a""#,
            [
                "<nil>: Invalid value: \"\": \"\" must not validate the schema (not)"
            ]),
        LogicCase(
            #"{"type": "string", "anyOf": [{"minLength": 3}, {"pattern": "^x"}]}"#, #""a""#,
            [
                "<nil>: Invalid value: \"\": \"\" must validate at least one schema (anyOf)",
                "<nil>: Invalid value: \"a\":  in body should be at least 3 chars long",
            ]),
        LogicCase(
            #"{"type": "string", "allOf": [{"minLength": 3}, {"pattern": "^a"}]}"#, #""a""#,
            [
                "<nil>: Invalid value: \"a\":  in body should be at least 3 chars long",
                "<nil>: Invalid value: \"\": \"\" must validate all the schemas (allOf)",
            ]),
        LogicCase(
            #"{"type": "number", "exclusiveMaximum": true, "maximum": 1000000}"#, #"1000000"#,
            [
                "<nil>: Invalid value: 1000000:  in body should be less than 1e+06"
            ]),
        LogicCase(
            #"{"type": "number", "multipleOf": 0.5}"#, #"0.75"#,
            [
                "<nil>: Invalid value: 0.75:  in body should be a multiple of 0.5"
            ]),
        LogicCase(
            #"{"type": "array", "minItems": 2, "items": {"type": "string"}}"#, #"["a"]"#,
            [
                "<nil>: Invalid value: 1:  in body should have at least 2 items"
            ]),
    ]

    @Test(arguments: checksLogicAndNumbersCases)
    func checksLogicAndNumbers(_ one: LogicCase) throws {
        #expect(Sample.faults(try one.value, try one.schema) == one.expected)
    }

    @Test(arguments: [
        ("date-time", "2026-01-01T00:00:00.5+02:00", true), ("date-time", "2026-01-01", false),
        ("date", "2026-02-29", false),
        ("date", "2024-02-29", true), ("duration", "1h30m", true), ("duration", "3 days", true),
        ("duration", "soon", false),
        ("byte", "aGk=", true), ("byte", "a", false), ("ipv4", "10.0.0.1", true), ("ipv4", "10.0.0.256", false),
        ("ipv6", "fe80::1", true), ("ipv6", "::ffff:1.2.3.4", true), ("ipv6", "1::2::3", false),
        ("ipv6", "1:2:3", false),
        ("cidr", "10.0.0.0/8", true), ("cidr", "10.0.0.0/33", false), ("hostname", "a.example.com", true),
        ("hostname", "-a", false), ("email", "a@b.com", true), ("email", "a.b.com", false),
        ("uri", "https://a/b?c", true),
        ("uri", "no scheme", false), ("uuid", "123e4567-e89b-12d3-a456-426614174000", true), ("uuid", "123", false),
        ("mac", "01:23:45:67:89:ab", true), ("hexcolor", "#fff", true), ("rgbcolor", "rgb(1, 2, 300)", false),
        ("password", "", true), ("pigeon", "anything", true),
    ])
    func knowsFormats(_ format: String, _ text: String, _ isRight: Bool) {
        #expect(StringFormat.accepts(text, format) == isRight)
    }

    @Test func fillsInDefaultsAndDropsNulls() {
        let tree: JSON = ["spec": ["size": .null, "colour": .null, "when": .null, "ports": [["port": 1]]]]
        #expect(
            Defaulting.applied(to: tree, by: schema)
                == ["spec": ["colour": "red", "when": .null, "ports": [["port": 1, "protocol": "TCP"]]]])
    }

    @Test func prunesAndSaysWhat() {
        let tree: JSON = [
            "apiVersion": "example.com/v1", "kind": "Thing", "metadata": ["name": "a", "lables": [:]], "extra": 1,
            "spec": [
                "size": 1, "sise": 2, "ports": [["port": 1, "nam": "x"]], "free": ["any": ["thing": 1]],
                "template": ["kind": "Pod", "spec": ["x": 1], "metadata": ["name": "p", "bad": 1]],
            ],
        ]
        var pruning = Pruning()
        let kept = pruning.pruned(tree, by: schema, isRoot: true)
        #expect(
            pruning.unknown == [
                "metadata.lables", "extra", "spec.sise", "spec.ports[0].nam", "spec.template.metadata.bad",
            ])
        #expect(kept["spec", "free"] == ["any": ["thing": 1]])
        #expect(kept["spec", "template", "spec", "x"] == 1)
        #expect(kept["extra"] == nil)
        #expect(kept["metadata"] == ["name": "a"])
    }
}

@Suite struct ColumnTests {
    private let tree: JSON = [
        "metadata": ["creationTimestamp": "2026-01-01T00:00:00Z", "labels": ["app.kubernetes.io/name": "web"]],
        "spec": ["size": 3, "rate": 1.9, "on": true, "list": ["a", "b"], "map": ["k": "v"]],
        "status": ["conditions": [["type": "Ready", "status": "True"], ["type": "Old", "status": "False"]]],
    ]

    static let cellsCases: [CellCase] = [
        CellCase(".spec.size", "integer", #"3"#),
        CellCase(".spec.size", "string", #""3""#),
        CellCase(".spec.rate", "integer", #"1"#),
        CellCase(".spec.on", "boolean", #"true"#),
        CellCase(".spec.on", "string", #""true""#),
        CellCase(".spec.on", "integer", #"null"#),
        CellCase(".spec.list", "string", #""[\"a\",\"b\"]""#),
        CellCase(".spec.list[0]", "string", #""a""#),
        CellCase(".spec.list[-1]", "string", #""b""#),
        CellCase(".spec.list[*]", "string", #""a""#),
        CellCase(".spec['map'].k", "string", #""v""#),
        CellCase(".spec.nothing", "string", #"null"#),
        CellCase(".status.conditions[?(@.type==\"Ready\")].status", "string", #""True""#),
        CellCase(".status.conditions[?(@.type == 'Old')].status", "string", #""False""#),
        CellCase(".metadata.labels.app\\.kubernetes\\.io/name", "string", #""web""#),
        CellCase(".metadata.labels['app.kubernetes.io/name']", "string", #""web""#),
        CellCase(".metadata.creationTimestamp", "date", #""aged""#),
        CellCase(".spec.map.k", "date", #""<invalid>""#),
    ]

    @Test(arguments: cellsCases)
    func cells(_ one: CellCase) throws {
        let path = try #require(ObjectPath(one.path))
        let cell = PrinterColumn(name: "X", type: one.type, path: path).cell(of: tree) { _ in "aged" }
        #expect(cell == (try JSON(parsing: one.text)))
    }

    @Test(arguments: ["spec", "", ".a[", ".a[?(@.b==)]", ".a..b", ".a[x]", ".a b"])
    func refuses(_ text: String) { #expect(ObjectPath(text) == nil) }
}
