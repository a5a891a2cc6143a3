// Patterns: what matches, what is refused, and that no pattern takes long.

import Testing

@testable import CustomResources

@Suite struct PatternTests {
    @Test(arguments: [
        ("abc", "xabcx", true), ("^abc$", "xabc", false), ("^a.c$", "a\nc", false), ("(?s)^a.c$", "a\nc", true),
        ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-1", true), ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-", false),
        ("^\\d{2,3}$", "12", true), ("^\\d{2,3}$", "1234", false), ("^(a|bc)+$", "abca", true),
        ("^(a|bc)+$", "abb", false),
        ("^[^/]+$", "a/b", false), ("^[]a]+$", "]a", true), ("^[a\\-z]$", "-", true), ("^[[:alpha:]_]+$", "ab_", true),
        ("^[[:^alpha:]]+$", "12", true), ("(?i)^HeLLo$", "hElLO", true), ("^(?i:a)b$", "Ab", true),
        ("^(?i:a)b$", "AB", false),
        ("\\bcat\\b", "a cat sat", true), ("\\bcat\\b", "concat", false), ("^\\p{L}+$", "héé", true),
        ("^\\pN$", "7", true),
        ("^\\P{L}$", "7", true), ("^\\x41\\x{1F600}$", "A😀", true), ("^\\Qa.b\\E$", "a.b", true),
        ("^\\Qa.b\\E$", "axb", false),
        ("^a{,2}$", "a{,2}", true), ("^x*?y+?$", "xxy", true), ("", "anything", true), ("(?m)^b$", "a\nb\nc", true),
        ("^(?P<name>a)(?:b)(?<other>c)$", "abc", true), ("a||b", "zzz", true), ("^[\\w.]+@[\\w.]+$", "a.b@c", true),
        ("^$", "", true), ("^\\S+$", "a b", false), ("^[+-]?\\d+$", "-5", true), ("^(\\*|[a-z]+)$", "*", true),
    ])
    func matches(_ pattern: String, _ text: String, _ isMatch: Bool) throws {
        #expect(try Pattern(pattern).matches(text) == isMatch)
    }

    @Test(arguments: [
        ("[a-z", "error parsing regexp: missing closing ]: `[a-z`"),
        ("(a", "error parsing regexp: missing closing ): `(a`"),
        ("a)", "error parsing regexp: unexpected ): `a)`"),
        ("*a", "error parsing regexp: missing argument to repetition operator: `*`"),
        ("a**", "error parsing regexp: invalid nested repetition operator: `**`"),
        ("a{2,1}", "error parsing regexp: invalid repeat count: `{2,1}`"),
        ("a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"),
        ("(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?!`"),
        ("(?<=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?<=`"),
        ("\\1", "error parsing regexp: invalid escape sequence: `\\1`"),
        ("\\y", "error parsing regexp: invalid escape sequence: `\\y`"),
        ("[z-a]", "error parsing regexp: invalid character class range: `z-a`"),
        ("a\\", "error parsing regexp: trailing backslash at end of expression: ``"),
        ("\\p{Nope}", "error parsing regexp: invalid character class range: `\\p{Nope}`"),
    ])
    func refuses(_ pattern: String, _ message: String) {
        do throws(PatternProblem) {
            _ = try Pattern(pattern)
            Issue.record("\(pattern) was accepted")
        } catch {
            #expect("\(error)" == message)
        }
    }

    /// Each of these takes a backtracking engine longer than anybody waits.
    @Test(arguments: ["^(a+)+$", "^(a|a)*$", "^(a?){30}a{30}$", "^([a-z]+)*[0-9]$", "(x+x+)+y"])
    func takesNoLongerThanThePatternAndTheText(_ pattern: String) throws {
        let text = String(repeating: "a", count: 3000) + "!"
        #expect(try Pattern(pattern).matches(text) == false)
    }

    @Test func refusesWhatWouldBeTooLarge() {
        for pattern in ["((a{1000}){1000})", String(repeating: "(", count: 5000) + String(repeating: ")", count: 5000)]
        {
            #expect(throws: PatternProblem.self) { try Pattern(pattern) }
        }
    }

    @Test func givesUpOnTooMuchWork() throws {
        let pattern = try Pattern("^([a-z]{0,20})*!$")
        let text = String(repeating: "a", count: 400)
        #expect(pattern.matches(text) == false)
        #expect(pattern.matches(text, stepLimit: 1000) == nil)
    }
}
