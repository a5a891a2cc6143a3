// Regular expressions in RE2's syntax, matched without backtracking, so that no pattern can make a request hang.

/// A compiled pattern (syntax and errors: Go's regexp/syntax). Whether it matches somewhere in a text is all it tells.
///
/// The work of a match is at most the text's length times the program's size; both are limited.
package struct Pattern: Sendable {
    /// Instructions of one program; repetitions are unrolled, so `(a{1000}){1000}` is refused.
    package static let instructionLimit = 20_000
    /// Groups within each other.
    package static let depthLimit = 200
    /// The count in `{n,m}`, as RE2 limits it.
    package static let repeatLimit = 1000
    /// Steps of one match: a megabyte of text with fifty threads on the way.
    package static let stepLimit = 50_000_000

    package let text: String
    private let program: PatternProgram

    /// Throws what is wrong with the pattern, in Go's words.
    package init(_ text: String) throws(PatternProblem) {
        self.text = text
        var parser = PatternParser(text)
        program = try PatternProgram(of: try parser.parse())
    }

    /// Whether the pattern matches anywhere in `subject`; nil when telling would take more steps than are allowed.
    package func matches(_ subject: String, stepLimit: Int = Self.stepLimit) -> Bool? {
        program.matches(subject, stepLimit: stepLimit)
    }
}

/// Why a text is no pattern.
package struct PatternProblem: Error, Hashable, CustomStringConvertible {
    package var reason: String
    /// The part of the pattern that is to blame.
    package var excerpt: String

    package var description: String { "error parsing regexp: \(reason): `\(excerpt)`" }
}

/// What a pattern says, as a tree. Greed and groups' names make no difference to whether something matches.
indirect enum PatternNode: Sendable {
    case empty
    case scalar(ScalarSet)
    case assertion(PatternAssertion)
    case sequence([PatternNode])
    case choice([PatternNode])
    /// No maximum is no end.
    case repetition(PatternNode, minimum: Int, maximum: Int?)
}

/// What must be so between two scalars.
enum PatternAssertion: Sendable {
    case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary

    func holds(before: Unicode.Scalar?, after: Unicode.Scalar?) -> Bool {
        switch self {
        case .textStart: before == nil
        case .textEnd: after == nil
        case .lineStart: before == nil || before == "\n"
        case .lineEnd: after == nil || after == "\n"
        case .wordBoundary: isWord(before) != isWord(after)
        case .noWordBoundary: isWord(before) == isWord(after)
        }
    }

    private func isWord(_ scalar: Unicode.Scalar?) -> Bool {
        guard let scalar else { return false }
        return ScalarSet.word.contains(scalar)
    }
}
