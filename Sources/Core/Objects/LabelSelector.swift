// Which labels a thing must carry: the text form of list requests and the object form of specs.

import Formats

/// A conjunction of requirements on labels; the empty one matches everything.
package struct LabelSelector: Sendable, Hashable {
    package struct Requirement: Sendable, Hashable {
        package var key: String
        package var test: Test
    }

    /// What must hold of a key's value. `notIn` and `doesNotExist` also hold where the key is missing.
    package enum Test: Sendable, Hashable {
        case exists
        case doesNotExist
        case isIn([String])
        case notIn([String])
        case greaterThan(Int64)
        case lessThan(Int64)
    }

    package var requirements: [Requirement]

    package init(_ requirements: [Requirement] = []) { self.requirements = requirements }

    /// Every one of these labels must be there with this value.
    package init(matchLabels: [String: String]) {
        requirements = matchLabels.keys.sorted().map {
            Requirement(key: $0, test: .isIn([matchLabels[$0] ?? ""]))
        }
    }

    package var isEmpty: Bool { requirements.isEmpty }

    package func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { requirement in
            let value = labels[requirement.key]
            switch requirement.test {
            case .exists: return value != nil
            case .doesNotExist: return value == nil
            case .isIn(let values): return value.map(values.contains) ?? false
            case .notIn(let values): return value.map { !values.contains($0) } ?? true
            case .greaterThan(let bound): return value.flatMap { Int64($0) }.map { $0 > bound } ?? false
            case .lessThan(let bound): return value.flatMap { Int64($0) }.map { $0 < bound } ?? false
            }
        }
    }
}

extension LabelSelector {
    /// Reads a `metav1.LabelSelector`: `matchLabels` and `matchExpressions`.
    package init(_ tree: JSON) throws(FormatProblem) {
        self.init(matchLabels: tree["matchLabels"]?.stringMap ?? [:])
        for expression in tree["matchExpressions"]?.array ?? [] {
            guard let key = expression["key"]?.string, !key.isEmpty else {
                throw FormatProblem("a label selector requirement has no key")
            }
            let values = expression["values"]?.strings ?? []
            let operation = expression["operator"]?.string ?? ""
            switch (operation, values.isEmpty) {
            case ("In", false): requirements.append(Requirement(key: key, test: .isIn(values)))
            case ("NotIn", false): requirements.append(Requirement(key: key, test: .notIn(values)))
            case ("Exists", true): requirements.append(Requirement(key: key, test: .exists))
            case ("DoesNotExist", true): requirements.append(Requirement(key: key, test: .doesNotExist))
            case ("In", true), ("NotIn", true): throw FormatProblem("\(operation) of label \(key) needs values")
            case ("Exists", false), ("DoesNotExist", false):
                throw FormatProblem("\(operation) of label \(key) takes no values")
            default: throw FormatProblem("\"\(operation)\" is not a valid label selector operator")
            }
        }
    }

    /// Reads the text form: `app=web,tier in (front, back),!canary`.
    package init(parsing text: String) throws(FormatProblem) {
        var scanner = SelectorScanner(text)
        requirements = []
        scanner.skipSpace()
        while !scanner.isAtEnd {
            requirements.append(try scanner.requirement())
            scanner.skipSpace()
            if scanner.isAtEnd { break }
            guard scanner.take(",") else { throw scanner.problem("found unexpected text, expected ','") }
            scanner.skipSpace()
            if scanner.isAtEnd { throw scanner.problem("expected a label key after ','") }
        }
    }

    /// The text form; `LabelSelector(parsing:)` reads it back.
    package var text: String {
        requirements.map { requirement in
            let key = requirement.key
            return switch requirement.test {
            case .exists: key
            case .doesNotExist: "!\(key)"
            case .isIn(let values) where values.count == 1: "\(key)=\(values[0])"
            case .notIn(let values) where values.count == 1: "\(key)!=\(values[0])"
            case .isIn(let values): "\(key) in (\(values.joined(separator: ",")))"
            case .notIn(let values): "\(key) notin (\(values.joined(separator: ",")))"
            case .greaterThan(let bound): "\(key)>\(bound)"
            case .lessThan(let bound): "\(key)<\(bound)"
            }
        }.joined(separator: ",")
    }
}

/// Reads the grammar of `k8s.io/apimachinery/pkg/labels`.
private struct SelectorScanner {
    private let characters: [Character]
    private var position = 0

    init(_ text: String) { characters = Array(text) }

    var isAtEnd: Bool { position == characters.count }

    func problem(_ message: String) -> FormatProblem {
        FormatProblem("unable to parse label selector \"\(String(characters))\": \(message)", offset: position)
    }

    mutating func skipSpace() {
        while position < characters.count, characters[position].isWhitespace { position += 1 }
    }

    mutating func take(_ character: Character) -> Bool {
        guard position < characters.count, characters[position] == character else { return false }
        position += 1
        return true
    }

    mutating func word() -> String {
        let start = position
        while position < characters.count, !characters[position].isWhitespace, !"=!,()<>".contains(characters[position])
        {
            position += 1
        }
        return String(characters[start..<position])
    }

    mutating func requirement() throws(FormatProblem) -> LabelSelector.Requirement {
        let isNegated = take("!")
        skipSpace()
        let key = word()
        guard !key.isEmpty else { throw problem("expected a label key") }
        if let fault = LabelRules.fault(ofKey: key) {
            throw FormatProblem("unable to parse requirement: <nil>: Invalid value: \(JSON.string(key).text): \(fault)")
        }
        if isNegated { return .init(key: key, test: .doesNotExist) }
        skipSpace()
        if isAtEnd || characters[position] == "," { return .init(key: key, test: .exists) }
        let test = try test()
        switch test {
        case .isIn(let values), .notIn(let values):
            for (index, value) in values.enumerated() {
                guard let fault = LabelRules.fault(ofValue: value) else { continue }
                throw FormatProblem(
                    "unable to parse requirement: values[\(index)][\(key)]: "
                        + "Invalid value: \(JSON.string(value).text): \(fault)")
            }
        default: break
        }
        return .init(key: key, test: test)
    }

    private mutating func test() throws(FormatProblem) -> LabelSelector.Test {
        if take("=") {
            _ = take("=")
            return .isIn([value()])
        }
        if take("!") {
            guard take("=") else { throw problem("expected '!='") }
            return .notIn([value()])
        }
        if take(">") { return .greaterThan(try bound()) }
        if take("<") { return .lessThan(try bound()) }
        switch word() {
        case "in": return .isIn(try values())
        case "notin": return .notIn(try values())
        default: throw problem("expected one of in, notin, =, ==, !=, >, <")
        }
    }

    private mutating func value() -> String {
        skipSpace()
        return word()
    }

    private mutating func bound() throws(FormatProblem) -> Int64 {
        guard let bound = Int64(value()) else { throw problem("expected an integer") }
        return bound
    }

    private mutating func values() throws(FormatProblem) -> [String] {
        skipSpace()
        guard take("(") else { throw problem("expected '('") }
        var values: [String] = []
        repeat {
            values.append(value())
            skipSpace()
        } while take(",")
        guard take(")") else { throw problem("expected ')'") }
        return values
    }
}
