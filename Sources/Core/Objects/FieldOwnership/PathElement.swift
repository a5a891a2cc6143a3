// One step on the way to a field: a member, an element told apart by keys or by its value, or a position.

import Formats

/// A step of a path into an object (upstream: `sigs.k8s.io/structured-merge-diff`, `fieldpath/element.go`).
package enum PathElement: Sendable, Hashable {
    /// A member of a struct or a map.
    case field(String)
    /// The element of a list of maps whose key members have these values; in the order of the members' names.
    case key([KeyPart])
    /// The element of a set.
    case value(JSON)
    /// The element at a position of a list that nothing else tells apart.
    case index(Int)

    package struct KeyPart: Sendable, Hashable {
        package var name: String
        package var value: JSON

        package init(name: String, value: JSON) {
            self.name = name
            self.value = value
        }
    }

    var fieldName: String? { if case .field(let name) = self { name } else { nil } }
    var isKey: Bool { if case .key = self { true } else { false } }
}

/// A way from an object's root to a field.
package struct ElementPath: Sendable, Hashable, CustomStringConvertible {
    package var elements: [PathElement]

    package init(_ elements: [PathElement]) { self.elements = elements }

    /// A path of members only.
    package init(_ names: String...) { elements = names.map { .field($0) } }

    /// `.spec.containers[name="main"].image`.
    package var description: String { elements.map(\.description).joined() }
}

extension PathElement: CustomStringConvertible {
    package var description: String {
        switch self {
        case .field(let name): ".\(name)"
        case .key(let parts): "[" + parts.map { "\($0.name)=\($0.value.text)" }.joined(separator: ",") + "]"
        case .value(let value): "[=\(value.text)]"
        case .index(let position): "[\(position)]"
        }
    }
}

extension PathElement: Comparable {
    /// Members come first, then keys, values and positions; each kind by its content.
    package static func < (left: PathElement, right: PathElement) -> Bool {
        switch (left, right) {
        case (.field(let left), .field(let right)): left < right
        case (.key(let left), .key(let right)): isLess(left, right)
        case (.value(let left), .value(let right)): isLess(left, right)
        case (.index(let left), .index(let right)): left < right
        default: left.rank < right.rank
        }
    }

    private var rank: Int {
        switch self {
        case .field: 0
        case .key: 1
        case .value: 2
        case .index: 3
        }
    }

    private static func isLess(_ left: [KeyPart], _ right: [KeyPart]) -> Bool {
        for (left, right) in zip(left, right) {
            if left.name != right.name { return left.name < right.name }
            if left.value != right.value { return isLess(left.value, right.value) }
        }
        return left.count < right.count
    }

    /// Numbers before strings before booleans before the rest, which upstream orders too but no key is made of.
    private static func isLess(_ left: JSON, _ right: JSON) -> Bool {
        if let left = left.number, let right = right.number { return left < right }
        if let left = left.string, let right = right.string { return left < right }
        let ranks = (rank(of: left), rank(of: right))
        return ranks.0 == ranks.1 ? left.text < right.text : ranks.0 < ranks.1
    }

    private static func rank(of value: JSON) -> Int {
        switch value {
        case .integer, .number: 0
        case .string: 1
        case .bool: 2
        case .array: 3
        case .object: 4
        case .null: 5
        }
    }
}

extension PathElement {
    /// The text of `metadata.managedFields`: `f:name`, `k:{"name":"main"}`, `v:"text"`, `i:3`.
    var encoded: String {
        switch self {
        case .field(let name): "f:" + name
        case .key(let parts): "k:" + JSON.object(JSONObject(parts.map { ($0.name, $0.value) })).text
        case .value(let value): "v:" + value.text
        case .index(let position): "i:\(position)"
        }
    }

    /// Reads `encoded`. Nil for a prefix that is not known, which readers skip as upstream does.
    init?(encoded text: String) throws(FormatProblem) {
        guard text.utf8.count >= 2, text.utf8.dropFirst().first == UInt8(ascii: ":") else {
            throw FormatProblem("the path element \"\(text)\" has no colon at its second place")
        }
        let rest = String(text.dropFirst(2))
        switch text.first {
        case "f": self = .field(rest)
        case "v": self = .value(try JSON(parsing: Array(rest.utf8)))
        case "k":
            guard let members = try JSON(parsing: Array(rest.utf8)).object, !members.isEmpty else {
                throw FormatProblem("the key \"\(rest)\" of a path element is not an object with members")
            }
            self = .key(members.map { KeyPart(name: $0.key, value: $0.value) }.sorted { $0.name < $1.name })
        case "i":
            guard let position = Int(rest) else { throw FormatProblem("\"\(rest)\" is not a position in a list") }
            self = .index(position)
        default: return nil
        }
    }
}
