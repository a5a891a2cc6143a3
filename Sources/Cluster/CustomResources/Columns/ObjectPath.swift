// JSONPath as definitions use it: for printer columns, scale and selectable fields.

import Formats

/// A path from an object's root (a part of client-go's util/jsonpath): members, indices, `*`, slices and filters with
/// one comparison. Recursive descent and unions are not known.
package struct ObjectPath: Sendable, Hashable {
    package enum Step: Sendable, Hashable {
        case member(String)
        case index(Int)
        case slice(Int, Int?)
        case every
        case filter(Filter)
    }

    /// `@.type=="Ready"`; without a comparison the field has only to be there.
    package struct Filter: Sendable, Hashable {
        package var path: [String]
        package var comparison: String
        package var value: JSON
    }

    package let steps: [Step]

    /// Nil for a text that is no path or uses more than is known here.
    package init?(_ text: String) {
        guard text.hasPrefix(".") || text.hasPrefix("[") else { return nil }
        var reader = PathReader(text)
        guard let steps = reader.steps() else { return nil }
        self.steps = steps
    }

    /// The members' names, when the path is nothing but members.
    package var members: [String]? {
        var names: [String] = []
        for step in steps {
            guard case .member(let name) = step else { return nil }
            names.append(name)
        }
        return names.isEmpty ? nil : names
    }

    /// Everything that the path leads to.
    package func values(in tree: JSON) -> [JSON] {
        var values = [tree]
        for step in steps {
            values = values.flatMap { Self.follow(step, from: $0) }
            if values.isEmpty { return [] }
        }
        return values
    }

    private static func follow(_ step: Step, from value: JSON) -> [JSON] {
        switch step {
        case .member(let name): return value[name].map { [$0] } ?? []
        case .index(let index):
            let elements = value.array ?? []
            let place = index < 0 ? elements.count + index : index
            return elements.indices.contains(place) ? [elements[place]] : []
        case .slice(let start, let end):
            let elements = value.array ?? []
            let first = min(max(start < 0 ? elements.count + start : start, 0), elements.count)
            let last = min(max(end.map { $0 < 0 ? elements.count + $0 : $0 } ?? elements.count, first), elements.count)
            return Array(elements[first..<last])
        case .every: return value.array ?? (value.object ?? JSONObject()).map(\.value)
        case .filter(let filter): return (value.array ?? []).filter(filter.accepts)
        }
    }
}

extension ObjectPath.Filter {
    func accepts(_ element: JSON) -> Bool {
        guard let found = element.value(at: path) else { return false }
        switch comparison {
        case "": return true
        case "==": return found == value
        case "!=": return found != value
        default: break
        }
        if let left = found.number, let right = value.number { return ordered(left, right) }
        if let left = found.string, let right = value.string { return ordered(left, right) }
        return false
    }

    private func ordered<Value: Comparable>(_ left: Value, _ right: Value) -> Bool {
        switch comparison {
        case "<": left < right
        case "<=": left <= right
        case ">": left > right
        case ">=": left >= right
        default: false
        }
    }
}

private struct PathReader {
    private let characters: [Character]
    private var position = 0

    init(_ text: String) { characters = Array(text) }

    private var peek: Character? { position < characters.count ? characters[position] : nil }

    mutating func steps() -> [ObjectPath.Step]? {
        var steps: [ObjectPath.Step] = []
        while let character = peek {
            switch character {
            case ".":
                position += 1
                if peek == nil, steps.isEmpty { return steps }
                if peek == "[" { continue }
                guard let name = name() else { return nil }
                steps.append(name == "*" ? .every : .member(name))
            case "[":
                guard let step = bracket() else { return nil }
                steps.append(step)
            default: return nil
            }
        }
        return steps
    }

    /// A member's name; a backslash takes the next character as it is, as in
    /// `.metadata.labels.app\.kubernetes\.io/name`.
    private mutating func name() -> String? {
        var name = ""
        while let character = peek, character != ".", character != "[" {
            position += 1
            if character == "\\" {
                guard let next = peek else { return nil }
                position += 1
                name.append(next)
            } else if "]{}()?@".contains(character) || character.isWhitespace {
                return nil
            } else {
                name.append(character)
            }
        }
        return name.isEmpty ? nil : name
    }

    private mutating func bracket() -> ObjectPath.Step? {
        position += 1
        let content: String
        if peek == "'" || peek == "\"" {
            guard let name = quoted(), peek == "]" else { return nil }
            position += 1
            return .member(name)
        } else if peek == "?" {
            guard let filter = filter(), peek == "]" else { return nil }
            position += 1
            return .filter(filter)
        } else {
            guard let end = characters[position...].firstIndex(of: "]") else { return nil }
            content = String(characters[position..<end])
            position = end + 1
        }
        if content == "*" { return .every }
        if let index = Int(content) { return .index(index) }
        let bounds = content.split(separator: ":", omittingEmptySubsequences: false)
        guard bounds.count == 2, bounds[0].isEmpty || Int(bounds[0]) != nil, bounds[1].isEmpty || Int(bounds[1]) != nil
        else { return nil }
        return .slice(Int(bounds[0]) ?? 0, Int(bounds[1]))
    }

    private mutating func quoted() -> String? {
        guard let quote = peek else { return nil }
        position += 1
        var text = ""
        while let character = peek {
            position += 1
            if character == quote { return text }
            if character == "\\", let next = peek {
                position += 1
                text.append(next)
            } else {
                text.append(character)
            }
        }
        return nil
    }

    /// `?(@.type=="Ready")`
    private mutating func filter() -> ObjectPath.Filter? {
        position += 1
        guard take("("), take("@") else { return nil }
        var path: [String] = []
        while peek == "." {
            position += 1
            var name = ""
            while let character = peek, character != ".", !"=!<>) ".contains(character) {
                position += 1
                if character == "\\", let next = peek {
                    position += 1
                    name.append(next)
                } else {
                    name.append(character)
                }
            }
            if name.isEmpty { return nil }
            path.append(name)
        }
        skipBlanks()
        var comparison = ""
        while let character = peek, "=!<>".contains(character) {
            comparison.append(character)
            position += 1
        }
        guard ["", "==", "!=", "<", "<=", ">", ">="].contains(comparison) else { return nil }
        skipBlanks()
        var value = JSON.null
        if !comparison.isEmpty {
            guard let literal = literal() else { return nil }
            value = literal
        }
        skipBlanks()
        return take(")") ? ObjectPath.Filter(path: path, comparison: comparison, value: value) : nil
    }

    private mutating func literal() -> JSON? {
        if peek == "'" || peek == "\"" { return quoted().map { .string($0) } }
        var text = ""
        while let character = peek, character != ")", character != " " {
            text.append(character)
            position += 1
        }
        return try? JSON(parsing: text)
    }

    private mutating func take(_ character: Character) -> Bool {
        guard peek == character else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() { while peek == " " { position += 1 } }
}
