// What a fuzzy watch asks for: `namespace>>group pattern>>name pattern`.

/// A pattern over names. `*` may begin or end the group's or the name's part, or both.
struct FuzzyPattern: Hashable, Sendable {
    /// As the client wrote it; it finds its watch again by this.
    let text: String
    let namespace: String
    private let group: Part
    private let name: Part

    private enum Part: Hashable, Sendable {
        case whole(String)
        case prefix(String)
        case suffix(String)
        case within(String)
        case any

        init(_ text: Substring) {
            let inner = String(text.filter { $0 != "*" })
            switch (text.hasPrefix("*"), text.hasSuffix("*")) {
            case (true, true): self = inner.isEmpty ? .any : .within(inner)
            case (true, false): self = .suffix(inner)
            case (false, true): self = .prefix(inner)
            case (false, false): self = .whole(String(text))
            }
        }

        func matches(_ text: String) -> Bool {
            switch self {
            case .whole(let wanted): text == wanted
            case .prefix(let wanted): text.hasPrefix(wanted)
            case .suffix(let wanted): text.hasSuffix(wanted)
            case .within(let wanted): text.contains(wanted)
            case .any: true
            }
        }
    }

    static let longest = 1_024

    init(parsing text: String) throws(NacosProblem) {
        let parts = Self.split(text)
        guard parts.count == 3, text.utf8.count <= Self.longest, parts.allSatisfy({ !$0.isEmpty }) else {
            throw .invalid("groupKeyPattern '\(text.prefix(80))' is illegal, it should be namespace>>group>>name")
        }
        self.text = text
        namespace = NacosNames.catalogueNamespace(String(parts[0]))
        group = Part(parts[1])
        name = Part(parts[2])
    }

    func matches(namespace: String, group: String, name: String) -> Bool {
        namespace == self.namespace && self.group.matches(group) && self.name.matches(name)
    }

    private static func split(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var position = text.startIndex
        while position < text.endIndex {
            if text[position...].hasPrefix(">>") {
                parts.append(text[start..<position])
                position = text.index(position, offsetBy: 2)
                start = position
            } else {
                position = text.index(after: position)
            }
        }
        return parts + [text[start...]]
    }
}
