// YAML in, YAML out.

import Formats
import Testing

@Suite struct YAMLTests {
    @Test func readsAManifest() throws {
        let text = """
            # a comment
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: shop, labels: {tier: "1"}}
            data:
              on: "yes"
              plain: 012
              number: 1.5
              flag: yes
              empty:
              script: |
                one
                two
              folded: >-
                a
                b
            ---
            ---
            - a
            - - b
            """
        let documents = try JSON.documents(parsingYAML: text)
        #expect(documents.count == 2)
        #expect(
            documents.first == [
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "shop", "labels": ["tier": "1"]],
                "data": [
                    "on": "yes", "plain": 10, "number": 1.5, "flag": true, "empty": nil, "script": "one\ntwo\n",
                    "folded": "a b",
                ],
            ])
        #expect(documents.last == ["a", ["b"]])
        #expect(throws: FormatProblem.self) { try JSON(parsingYAML: text) }
    }

    @Test(
        arguments: [
            ("0x1F", 31), ("0o17", 15), ("-7", -7), ("1_000", 1000), ("1e3", 1000.0), (".5", 0.5), ("+1", 1),
            ("~", nil),
            ("12:30", "12:30"), ("1.2.3", "1.2.3"), ("2024-01-01", "2024-01-01"), ("\"1\"", "1"), ("'true'", "true"),
            ("!!str 1", "1"), ("9223372036854775808", 9_223_372_036_854_775_808.0), ("", nil), ("-", [nil]), ("y", "y"),
        ] as [(String, JSON)])
    func resolvesScalars(text: String, expected: JSON) throws {
        #expect(try JSON(parsingYAML: text) == expected)
    }

    @Test func followsAnchorsAndMergeKeys() throws {
        let tree = try JSON(
            parsingYAML: """
                base: &base {a: 1, b: 2}
                other: {<<: *base, b: 3}
                same: *base
                """)
        #expect(tree["other"] == ["a": 1, "b": 3])
        #expect(tree["same"] == ["a": 1, "b": 2])
    }

    @Test(arguments: ["a: 1\na: 2", "a: [", "*nothing", "? [a]\n: b", "\t- a", "a: !!int x", "a: !custom b"])
    func refuses(text: String) {
        #expect(throws: FormatProblem.self) { try JSON(parsingYAML: text) }
    }

    @Test func refusesBombs() {
        var text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [\(Array(repeating: alias, count: 10).joined(separator: ","))]\n"
        }
        #expect(throws: FormatProblem.self) { try JSON(parsingYAML: text) }
        #expect(throws: FormatProblem.self) { try JSON(parsingYAML: String(repeating: "[", count: 400)) }
    }

    @Test func writesAsKubectlDoes() {
        let tree: JSON = [
            "kind": "Pod", "metadata": ["name": "web", "labels": ["tier": "1", "on": "true"], "annotations": [:]],
            "spec": ["containers": [["name": "a", "args": ["-c", "one\ntwo\n"]], ["name": "b"]], "list": []],
        ]
        #expect(
            tree.yaml == """
                kind: Pod
                metadata:
                  annotations: {}
                  labels:
                    "on": "true"
                    tier: "1"
                  name: web
                spec:
                  containers:
                  - args:
                    - -c
                    - |
                      one
                      two
                    name: a
                  - name: b
                  list: []

                """)
    }

    @Test func readsWhatItWrites() throws {
        let texts = [
            "", " ", "a", "a b", "true", "null", "~", "1", "0x1", "1.5", "-", "- a", "a: b", "a:", "a #b", "#a", "'",
            "\"", "\\",
            "a\nb", "a\nb\n", "a\n\n", "\na", "a \nb", " a\nb", "\t", "a\tb", "\u{1}", "\u{85}", "é", "🌊", "2024-01-01",
            "12:30:00", "<<", "=", "y", "*a", "&a", "!a", "%a", "@a", "`a", "{a", "[a", "a,b", "---", "...", "--- a",
            "?", "? a",
            "it's", "\r\n", "|", ">", "a: b\nc", "\u{2028}",
        ]
        for text in texts {
            for tree in [.string(text), [.string(text)], ["k": .string(text)], [["k": [.string(text)]]]] as [JSON] {
                #expect(try JSON(parsingYAML: tree.yaml) == tree, "\(tree.text) as \(tree.yaml)")
            }
            let keyed = JSON.object(JSONObject([(text, JSON(1))]))
            #expect(try JSON(parsingYAML: keyed.yaml) == keyed, "\(keyed.yaml)")
        }
        for tree in [[[[1, 2], []], [:]], ["a": ["b": ["c": nil]]], -1.25e300, [true, false, nil]] as [JSON] {
            #expect(try JSON(parsingYAML: tree.yaml) == tree, "\(tree.yaml)")
        }
    }
}
