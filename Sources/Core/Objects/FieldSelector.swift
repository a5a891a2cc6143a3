// Which values an object's fields must have: the `fieldSelector` of list and watch requests.

import Formats

/// A conjunction of equalities and inequalities on field paths; the empty one matches everything.
package struct FieldSelector: Sendable, Hashable {
    package struct Requirement: Sendable, Hashable {
        /// Like `metadata.name` or `spec.nodeName`.
        package var path: String
        package var value: String
        package var isEqual: Bool
    }

    package var requirements: [Requirement]

    package init(_ requirements: [Requirement] = []) { self.requirements = requirements }

    package var isEmpty: Bool { requirements.isEmpty }

    /// Reads `spec.nodeName=one,status.phase!=Failed`. A backslash escapes `,`, `=` and itself, as upstream.
    package init(parsing text: String) throws(FormatProblem) {
        requirements = []
        for term in Self.split(text) where !term.isEmpty {
            requirements.append(try Self.requirement(term, in: text))
        }
    }

    /// Whether an object matches; `value` answers what a path holds, the empty string for a field that is not set.
    package func matches(_ value: (String) -> String) -> Bool {
        requirements.allSatisfy { (value($0.path) == $0.value) == $0.isEqual }
    }

    /// Whether an object's tree matches, each path being the members' names joined by dots. Numbers and booleans
    /// compare by their text. Which paths may be asked for at all is the API server's to say.
    package func matches(_ object: Object) -> Bool {
        matches { path in
            switch object.tree.value(at: path.split(separator: ".").map(String.init)) {
            case .string(let text): text
            case .integer(let number): String(number)
            case .bool(let bool): String(bool)
            default: ""
            }
        }
    }

    /// The one value that a path must have, if the selector pins it.
    package func exact(_ path: String) -> String? {
        requirements.first { $0.path == path && $0.isEqual }?.value
    }

    /// The text form; `FieldSelector(parsing:)` reads it back.
    package var text: String {
        requirements.map { requirement in
            var value = ""
            for character in requirement.value {
                if character == "," || character == "=" || character == "\\" { value.append("\\") }
                value.append(character)
            }
            return requirement.path + (requirement.isEqual ? "=" : "!=") + value
        }.joined(separator: ",")
    }

    /// The terms between unescaped commas, still escaped.
    private static func split(_ text: String) -> [String] {
        var terms: [String] = [""]
        var isEscaped = false
        for character in text {
            if character == ",", !isEscaped {
                terms.append("")
                continue
            }
            terms[terms.count - 1].append(character)
            isEscaped = character == "\\" && !isEscaped
        }
        return terms
    }

    private static func requirement(_ term: String, in text: String) throws(FormatProblem) -> Requirement {
        guard let sign = term.firstIndex(of: "=") else {
            throw FormatProblem("invalid selector: '\(text)'; can't understand '\(term)'")
        }
        var path = term[..<sign]
        var rest = term[term.index(after: sign)...]
        let isEqual = path.last != "!"
        if !isEqual { path.removeLast() } else if rest.first == "=" { rest.removeFirst() }
        var value = ""
        var isEscaped = false
        for character in rest {
            if isEscaped {
                guard character == "\\" || character == "," || character == "=" else {
                    throw FormatProblem("invalid field selector: invalid escape sequence: \\\(character)")
                }
                value.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "=" {
                throw FormatProblem("invalid field selector: unescaped '=' in value: \(rest)")
            } else {
                value.append(character)
            }
        }
        if isEscaped { throw FormatProblem("invalid field selector: '\(term)' ends with a backslash") }
        return Requirement(path: String(path), value: value, isEqual: isEqual)
    }
}
