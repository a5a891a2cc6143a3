// Files, functions and lines stay small: one limit for all.

import Testing

@Suite struct SizeTests {
    static let fileLimit = 340
    static let functionLimit = 70
    static let lineLimit = 120
    /// A line with a literal is left whole up to here: the formatter does not break texts.
    static let literalLimit = 144

    @Test func filesAreShort() {
        for file in SourceTree.sources where !file.isGenerated {
            #expect(
                file.lines.count <= Self.fileLimit,
                "\(file.path) has \(file.lines.count) lines, limit \(Self.fileLimit)")
        }
    }

    @Test func functionsAreShort() {
        for file in SourceTree.sources where !file.isGenerated {
            for function in functions(of: file) {
                #expect(
                    function.length <= Self.functionLimit,
                    "\(file.path):\(function.line) \(function.name) has \(function.length) lines")
            }
        }
    }

    @Test func linesAreShort() {
        for file in SourceTree.swiftFiles where !file.isGenerated {
            for (number, line) in file.lines.enumerated()
            where line.utf8.count > Self.lineLimit && line.count > Self.lineLimit {
                if line.count <= Self.literalLimit, line.contains("\"") { continue }
                // A long URL or pattern cannot be broken.
                if line.contains("https://") || line.drop(while: { $0 == " " }).hasPrefix("/(?") { continue }
                Issue.record("\(file.path):\(number + 1) is \(line.count) columns wide")
            }
        }
    }

    @Test func everyFileSaysWhatItIsFor() {
        for file in SourceTree.sources {
            #expect(file.lines.first?.hasPrefix("// ") == true, "\(file.path) does not open with its purpose")
        }
    }

    @Test func everyRoomHasAReadMe() {
        let paths = Set(SourceTree.texts.map(\.path))
        for room in SourceTree.rooms {
            let page = SourceTree.texts.first { $0.path.hasSuffix("/\(room.name)/README.md") }
            #expect(page.map { $0.lines.count > 0 } == true, "\(room.name) has no README to speak of")
        }
        #expect(paths.contains("README.md"))
    }

    private struct Function {
        let name: String
        let line: Int
        let length: Int
    }

    /// Functions by indentation: from `func name(` or `init(` to the first closing brace in the same column.
    private func functions(of file: SourceFile) -> [Function] {
        var found: [Function] = []
        let lines = file.lines
        for (start, line) in lines.enumerated() {
            guard !line.hasSuffix("}"), let (indentation, name) = declaration(line) else { continue }
            let closing = indentation + "}"
            guard line.hasSuffix("{") || lines[start...].prefix(8).contains(where: { $0.hasSuffix("{") }) else {
                continue
            }
            if let end = lines[start...].firstIndex(where: { $0 == closing }) {
                found.append(Function(name: name, line: start + 1, length: end - start + 1))
            }
        }
        return found
    }

    /// The function that a line begins to declare, by words: a regular expression on every line would take a minute.
    private func declaration(_ line: Substring) -> (indentation: String, name: String)? {
        let words = line.split(separator: " ")
        for (position, word) in words.enumerated() {
            let isFunction = word == "func" && position + 1 < words.count
            if isFunction || ["init(", "init?(", "init<"].contains(where: { word.hasPrefix($0) }) {
                let name = isFunction ? words[position + 1].prefix { $0.isLetter || $0.isNumber || $0 == "_" } : "init"
                return (String(line.prefix { $0 == " " }), String(name))
            }
            guard word.utf8.allSatisfy({ $0 > UInt8(ascii: "@") || "@()".utf8.contains($0) }) else { return nil }
        }
        return nil
    }
}
