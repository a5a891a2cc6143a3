// Patches, quantities and base64.

import Formats
import Testing

@Suite struct FormatTests {
    @Test func mergesAsRFC7386() {
        let cases: [(JSON, JSON, JSON)] = [
            (["a": "b"], ["a": "c"], ["a": "c"]), (["a": "b"], ["b": "c"], ["a": "b", "b": "c"]),
            (["a": "b"], ["a": nil], [:]),
            (["a": ["b"]], ["a": "c"], ["a": "c"]),
            (["a": ["b": "c"]], ["a": ["b": "d", "c": nil]], ["a": ["b": "d"]]),
            (["a": "foo"], nil, nil), ([1, 2], ["a": "b", "c": nil], ["a": "b"]),
            ([:], ["a": ["bb": ["c": nil]]], ["a": ["bb": [:]]]),
        ]
        for (target, patch, expected) in cases { #expect(MergePatch.apply(patch, to: target) == expected) }
    }

    @Test func stringsAreReadToTheirEndWhereverItIs() throws {
        for special in ["\"", "\\", "\n", "\u{1}", "\u{1F}", "é", "\u{7F}", "!", "#", "[", "]", ""] {
            for (before, after) in (0..<18).flatMap({ place in (0..<10).map { (place, $0) } }) {
                let text = String(repeating: "a", count: before) + special + String(repeating: "z", count: after)
                let written = JSON.string(text).bytes
                #expect(try JSON(parsing: written) == .string(text))
                #expect(throws: FormatProblem.self) { try JSON(parsing: written.dropLast()) }
            }
        }
        #expect(throws: FormatProblem.self) { try JSON(parsing: "\"aaaaaaaa\tbbbbbbbb\"") }
    }

    @Test func appliesJSONPatches() throws {
        let cases: [(JSON, JSON, JSON)] = [
            (["foo": "bar"], [["op": "add", "path": "/baz", "value": 1]], ["foo": "bar", "baz": 1]),
            (["foo": ["a", "c"]], [["op": "add", "path": "/foo/1", "value": "b"]], ["foo": ["a", "b", "c"]]),
            (["foo": ["a"]], [["op": "add", "path": "/foo/-", "value": ["b"]]], ["foo": ["a", ["b"]]]),
            (["a": ["b", "c"]], [["op": "remove", "path": "/a/0"]], ["a": ["c"]]),
            (["a": 1], [["op": "replace", "path": "", "value": [1]]], [1]),
            (["a": ["b": 1], "c": [:]], [["op": "move", "from": "/a/b", "path": "/c/d"]], ["a": [:], "c": ["d": 1]]),
            (["a": [1, 2]], [["op": "move", "from": "/a/0", "path": "/a/1"]], ["a": [2, 1]]),
            (["a": [1]], [["op": "copy", "from": "/a/0", "path": "/b"]], ["a": [1], "b": 1]),
            (
                ["m~n": 1, "a/b": 2],
                [["op": "test", "path": "/m~0n", "value": 1], ["op": "remove", "path": "/a~1b"]], ["m~n": 1]
            ),
        ]
        for (target, patch, expected) in cases { #expect(try JSONPatch(patch).apply(to: target) == expected) }
    }

    @Test func refusesJSONPatches() throws {
        let target: JSON = ["a": [1], "b": 2]
        let inapplicable: [JSON] = [
            [["op": "test", "path": "/b", "value": 3]], [["op": "remove", "path": "/c"]],
            [["op": "remove", "path": "/a/1"]],
            [["op": "replace", "path": "/c", "value": 1]], [["op": "add", "path": "/a/2", "value": 1]],
            [["op": "add", "path": "/x/y", "value": 1]], [["op": "add", "path": "/a/01", "value": 1]],
            [["op": "move", "from": "/a", "path": "/a/0"]], [["op": "remove", "path": "/a/-"]],
        ]
        for patch in inapplicable {
            do {
                _ = try JSONPatch(patch).apply(to: target)
                Issue.record("\(patch.text) was applied")
            } catch {
                guard case .inapplicable = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
        for patch in [
            [:], [["op": "no", "path": "/a"]], [["op": "add", "path": "/a"]], [["op": "remove", "path": "a"]],
        ] as [JSON] {
            #expect(throws: PatchProblem.self) { try JSONPatch(patch) }
        }
    }

    @Test func limitsCopies() throws {
        var operations: [JSON] = []
        for _ in 0..<40 { operations.append(["op": "copy", "from": "/a", "path": "/a/-"]) }
        let patch = try JSONPatch(.array(operations))
        #expect(throws: PatchProblem.self) { try patch.apply(to: ["a": [.string(String(repeating: "x", count: 100))]]) }
    }

    @Test(
        arguments: [
            ("0", "0", 0, 0), ("100m", "100m", 1, 100), ("1500m", "1500m", 2, 1500), ("1.5", "1500m", 2, 1500),
            ("2000m", "2", 2, 2000),
            ("1.5Gi", "1536Mi", 1_610_612_736, 1_610_612_736_000), ("1024Ki", "1Mi", 1_048_576, 1_048_576_000),
            ("1Ki", "1Ki", 1024, 1_024_000),
            ("500Ki", "500Ki", 512_000, 512_000_000), ("0.5Ki", "512", 512, 512_000), ("1e3", "1e3", 1000, 1_000_000),
            ("-1.5", "-1500m", -2, -1500),
            ("1.0000000001", "1000000001n", 2, 1001), (".5", "500m", 1, 500), ("5.", "5", 5, 5000),
            ("1000000k", "1G", 1_000_000_000, 1_000_000_000_000),
        ] as [(String, String, Int64, Int64)])
    func readsQuantities(text: String, canonical: String, value: Int64, milli: Int64) throws {
        let quantity = try Quantity(parsing: text)
        #expect(quantity.text == canonical)
        #expect(quantity.value == value)
        #expect(quantity.milliValue == milli)
        #expect(try Quantity(parsing: quantity.text) == quantity)
    }

    @Test(arguments: [
        "", "-", ".", "1x", "1 Gi", "1ki", "1.2.3", "e3", "1e", "1e+", "0x1", "1e99", "9999999999999999999999E", "12E",
    ])
    func refusesQuantities(text: String) {
        #expect(throws: FormatProblem.self) { try Quantity(parsing: text) }
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
    ])
    func speaksBase64(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test(arguments: ["Zg", "Zg=", "Z===", "Zg==Zg==", "Z g==", "Zm9v=", "===="])
    func refusesBase64(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func carriesEveryByteInBase64() {
        let bytes = (0..<256).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        #expect(Base64.decode("Zm9v\nYmFy\r\n") == Array("foobar".utf8))
    }
}
