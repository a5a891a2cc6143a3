// JSON patches (RFC 6902): a list of operations on places named by JSON pointers (RFC 6901).

/// A list of operations, applied in order, all or none.
package struct JSONPatch: Sendable, Hashable {
    /// Operations in one patch, as upstream's API server limits them.
    package static let operationLimit = 10_000
    /// Bytes of JSON that all `copy` operations of one patch may add.
    package static let copyLimit = 3 << 20

    package enum Operation: Sendable, Hashable {
        case add(Pointer, JSON)
        case remove(Pointer)
        case replace(Pointer, JSON)
        case move(from: Pointer, to: Pointer)
        case copy(from: Pointer, to: Pointer)
        case test(Pointer, JSON)
    }

    /// A way to a place in a tree: member names and array indices, unescaped.
    package struct Pointer: Sendable, Hashable, CustomStringConvertible {
        package var tokens: [String]

        package init(_ tokens: [String]) { self.tokens = tokens }

        package init(parsing text: String) throws(PatchProblem) {
            guard text.isEmpty || text.hasPrefix("/") else {
                throw .malformed("the JSON pointer \"\(text)\" does not begin with '/'")
            }
            tokens = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(Self.unescape)
        }

        private static func unescape(_ token: Substring) -> String {
            var text = ""
            var isEscaped = false
            for character in token {
                if isEscaped {
                    text.append(character == "1" ? "/" : character == "0" ? "~" : "~\(character)")
                    isEscaped = false
                } else if character == "~" {
                    isEscaped = true
                } else {
                    text.append(character)
                }
            }
            return isEscaped ? text + "~" : text
        }

        package var description: String {
            tokens.map { token in
                "/" + token.map { $0 == "~" ? "~0" : $0 == "/" ? "~1" : String($0) }.joined()
            }.joined()
        }
    }

    package var operations: [Operation]

    package init(_ operations: [Operation]) { self.operations = operations }

    /// Reads the patch document.
    package init(_ tree: JSON) throws(PatchProblem) {
        guard case .array(let elements) = tree else { throw .malformed("a JSON patch must be a list of operations") }
        guard elements.count <= Self.operationLimit else {
            throw .malformed(
                "a JSON patch may have at most \(Self.operationLimit) operations, this has \(elements.count)")
        }
        operations = []
        for element in elements { operations.append(try Self.operation(element)) }
    }

    private static func operation(_ tree: JSON) throws(PatchProblem) -> Operation {
        func pointer(_ member: String) throws(PatchProblem) -> Pointer {
            guard let text = tree[member]?.string else {
                throw .malformed("a JSON patch operation has no \"\(member)\"")
            }
            return try Pointer(parsing: text)
        }
        func value() throws(PatchProblem) -> JSON {
            guard let value = tree["value"] else { throw .malformed("a JSON patch operation has no \"value\"") }
            return value
        }
        switch tree["op"]?.string {
        case "add": return .add(try pointer("path"), try value())
        case "remove": return .remove(try pointer("path"))
        case "replace": return .replace(try pointer("path"), try value())
        case "move": return .move(from: try pointer("from"), to: try pointer("path"))
        case "copy": return .copy(from: try pointer("from"), to: try pointer("path"))
        case "test": return .test(try pointer("path"), tree["value"] ?? .null)
        case let other: throw .malformed("\"\(other ?? "")\" is not an operation of JSON patch")
        }
    }

    /// The target after all operations.
    package func apply(to target: JSON) throws(PatchProblem) -> JSON {
        var result = target
        var copied = 0
        for operation in operations {
            switch operation {
            case .add(let pointer, let value): try result.add(value, at: pointer)
            case .remove(let pointer): _ = try result.remove(at: pointer)
            case .replace(let pointer, let value): try result.replace(value, at: pointer)
            case .move(let from, let to):
                guard !(to.tokens.starts(with: from.tokens) && to != from) else {
                    throw .inapplicable("cannot move \(from) into itself")
                }
                try result.add(try result.remove(at: from), at: to)
            case .copy(let from, let to):
                let value = try result.value(at: from)
                copied += value.bytes.count
                guard copied <= Self.copyLimit else {
                    throw .inapplicable("the copies of a JSON patch may add at most \(Self.copyLimit) bytes")
                }
                try result.add(value, at: to)
            case .test(let pointer, let value):
                guard try result.value(at: pointer) == value else {
                    throw .inapplicable("testing value \(pointer) failed")
                }
            }
        }
        return result
    }
}

extension JSON {
    fileprivate func value(at pointer: JSONPatch.Pointer) throws(PatchProblem) -> JSON {
        var value = self
        for token in pointer.tokens {
            switch value {
            case .object(let object):
                guard let member = object[token] else { throw Self.missing(pointer) }
                value = member
            case .array(let values):
                guard let index = Self.index(token), index < values.count else { throw Self.missing(pointer) }
                value = values[index]
            default: throw Self.missing(pointer)
            }
        }
        return value
    }

    fileprivate mutating func add(_ value: JSON, at pointer: JSONPatch.Pointer) throws(PatchProblem) {
        try change(pointer.tokens[...], pointer) { parent, token throws(PatchProblem) in
            switch parent {
            case .object: parent[token] = value
            case .array(var values):
                let index = token == "-" ? values.count : Self.index(token)
                guard let index, index <= values.count else { throw Self.missing(pointer) }
                parent = .null
                values.insert(value, at: index)
                parent = .array(values)
            default: throw Self.missing(pointer)
            }
        } whole: {
            $0 = value
        }
    }

    fileprivate mutating func replace(_ value: JSON, at pointer: JSONPatch.Pointer) throws(PatchProblem) {
        _ = try self.value(at: pointer)
        try change(pointer.tokens[...], pointer) { parent, token throws(PatchProblem) in
            switch parent {
            case .object: parent[token] = value
            case .array(var values):
                guard let index = Self.index(token), index < values.count else { throw Self.missing(pointer) }
                parent = .null
                values[index] = value
                parent = .array(values)
            default: throw Self.missing(pointer)
            }
        } whole: {
            $0 = value
        }
    }

    fileprivate mutating func remove(at pointer: JSONPatch.Pointer) throws(PatchProblem) -> JSON {
        let removed = try value(at: pointer)
        try change(pointer.tokens[...], pointer) { parent, token throws(PatchProblem) in
            switch parent {
            case .object: parent[token] = nil
            case .array(var values):
                guard let index = Self.index(token), index < values.count else { throw Self.missing(pointer) }
                parent = .null
                values.remove(at: index)
                parent = .array(values)
            default: throw Self.missing(pointer)
            }
        } whole: {
            $0 = .null
        }
        return removed
    }

    /// Walks to the parent of the place and changes it there.
    private mutating func change(
        _ tokens: ArraySlice<String>, _ pointer: JSONPatch.Pointer,
        _ edit: (inout JSON, String) throws(PatchProblem) -> Void, whole: (inout JSON) -> Void
    ) throws(PatchProblem) {
        guard let token = tokens.first else {
            whole(&self)
            return
        }
        if tokens.count == 1 {
            try edit(&self, token)
            return
        }
        switch self {
        case .object(let object):
            guard var child = object[token] else { throw Self.missing(pointer) }
            try child.change(tokens.dropFirst(), pointer, edit, whole: whole)
            self[token] = child
        case .array(var values):
            guard let index = Self.index(token), index < values.count else { throw Self.missing(pointer) }
            try values[index].change(tokens.dropFirst(), pointer, edit, whole: whole)
            self = .array(values)
        default: throw Self.missing(pointer)
        }
    }

    /// An array index without sign or leading zeros.
    private static func index(_ token: String) -> Int? {
        guard token == "0" || (token.first != "0" && token.utf8.allSatisfy { (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(token)
    }

    private static func missing(_ pointer: JSONPatch.Pointer) -> PatchProblem {
        .inapplicable("the JSON patch names a place that is not there: \"\(pointer)\"")
    }
}
