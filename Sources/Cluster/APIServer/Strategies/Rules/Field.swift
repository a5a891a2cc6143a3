// Where a validation looks: a value in an object together with the way to it.

import Formats
import Objects

/// The way from an object's root to one of its values. Rendered only where a fault is reported.
indirect enum FieldPath: Sendable, CustomStringConvertible {
    case root
    case member(FieldPath, String)
    case element(FieldPath, Int)
    case entry(FieldPath, String)

    /// Like `spec.containers[0].resources.limits[cpu]`.
    var description: String {
        switch self {
        case .root: return ""
        case .member(let parent, let name):
            let head = parent.description
            return head.isEmpty ? name : "\(head).\(name)"
        case .element(let parent, let index): return "\(parent)[\(index)]"
        case .entry(let parent, let key): return "\(parent)[\(key)]"
        }
    }
}

/// A value of an object under validation. Reading what is absent gives what Go's zero value would be.
struct Field: Sendable {
    let path: FieldPath
    let value: JSON?

    init(path: FieldPath = .root, _ value: JSON?) {
        self.path = path
        self.value = value
    }

    init(_ object: Object) { self.init(object.tree) }

    /// A member of an object.
    subscript(_ name: String) -> Field { Field(path: .member(path, name), value?[name]) }
    subscript(_ name: String, _ rest: String...) -> Field { rest.reduce(self[name]) { $0[$1] } }

    /// The elements of a list, each with its index.
    var elements: [Field] {
        guard let array = value?.array else { return [] }
        return array.indices.map { Field(path: .element(path, $0), array[$0]) }
    }

    /// The values of a map, each at `path[key]`, in the order of their keys.
    var entries: [(key: String, field: Field)] {
        guard let object = value?.object else { return [] }
        return object.keys.sorted().map { ($0, Field(path: .entry(path, $0), object[$0])) }
    }

    var exists: Bool { value != nil }
    var text: String { value?.string ?? "" }
    var number: Int { value?.integer ?? 0 }
    var isTrue: Bool { value?.bool ?? false }
    var count: Int { value?.array?.count ?? value?.object?.count ?? 0 }
    /// Absent, or an empty text, list or map.
    var isEmpty: Bool {
        switch value {
        case nil, .some(.null): true
        case .some(.string(let text)): text.isEmpty
        case .some(.array(let array)): array.isEmpty
        case .some(.object(let object)): object.isEmpty
        default: false
        }
    }
    /// The amount of a quantity; nil where there is none or it cannot be read.
    var quantity: Quantity? {
        guard let text = value?.string ?? value?.integer.map(String.init) ?? value?.number.map({ "\($0)" }) else {
            return nil
        }
        return try? Quantity(parsing: text)
    }
    var labels: [String: String] { value?.stringMap ?? [:] }
}
