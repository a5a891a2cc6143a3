// Words and shapes that the style bans, wherever they would slip in.

import Testing

@Suite struct WordTests {
    @Test func typesAreNounsWithoutFillers() {
        let banned = ["Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Impl"]
        for file in SourceTree.sources {
            for match in file.text.matches(
                of: /(?m)^\s*(?:[@\w()]+ )*(?:struct|class|enum|actor|protocol|typealias) (\w+)/)
            {
                let name = String(match.1)
                for word in banned where name.hasSuffix(word) {
                    Issue.record("\(file.path): \(name) carries \(word)")
                }
                #expect(name != file.room, "\(file.path): the type \(name) carries its module's name")
            }
        }
    }

    @Test func dangerousWordsAreMarked() {
        for file in SourceTree.sources where file.lines.first?.hasPrefix("// Unsafe:") != true {
            for (number, line) in file.lines.enumerated() {
                let code =
                    line.prefix { $0 != "\"" }.split(separator: "//", omittingEmptySubsequences: false).first ?? ""
                for word in [
                    "try!", "as! ", "@unchecked Sendable", "fatalError(", "UnsafeMutablePointer", "UnsafeRawPointer",
                    "unsafeBitCast",
                ]
                where code.contains(word) {
                    Issue.record("\(file.path):\(number + 1) uses \(word)")
                }
            }
        }
    }

    @Test func nothingIsExportedBeyondThePackage() {
        for file in SourceTree.sources {
            for (number, line) in file.lines.enumerated() where line.contains(#/^\s*(public|open) /#) {
                Issue.record("\(file.path):\(number + 1) is public; rooms talk through package")
            }
        }
    }

    @Test func workIsFinishedOrFiled() {
        // Spelled in halves, so that this file passes its own rule.
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK"]
        for file in SourceTree.texts {
            for (number, line) in file.lines.enumerated() {
                for mark in marks where line.contains(mark) && !line.contains("#") {
                    Issue.record("\(file.path):\(number + 1) has \(mark) without an issue")
                }
            }
        }
    }
}
