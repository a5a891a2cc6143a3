// Parameters of a query string or a form body.

import HTTPServing

/// Names and values of `a=1&b=2`, percent-decoded; the first of several values counts. They are few: a list is looked
/// through faster than a dictionary is made.
struct FormParameters: Sendable {
    private let all: [(name: String, value: String)]

    init(_ texts: String...) { all = texts.flatMap { $0.isEmpty ? [] : PercentText.parameters($0[...]) } }

    subscript(_ name: String) -> String? { all.first { $0.name == name }?.value }

    /// `true`, `True`, `1`, `false`, …; nil when absent or anything else.
    func flag(_ name: String) -> Bool? {
        switch self[name]?.lowercased() {
        case "true", "1", "yes": true
        case "false", "0", "no": false
        default: nil
        }
    }

    func number(_ name: String) -> Int? { self[name].flatMap { Int($0) } }
}
