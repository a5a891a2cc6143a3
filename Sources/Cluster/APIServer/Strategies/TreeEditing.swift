// Small ways to change a tree in place, in which defaulting is written.

import Formats

extension JSON {
    /// Sets a member unless it is there.
    mutating func fill(_ key: String, _ value: @autoclosure () -> JSON) {
        if self[key] == nil { self[key] = value() }
    }

    /// Changes a member that is an object; does nothing when it is absent.
    mutating func edit(_ key: String, _ change: (inout JSON) -> Void) {
        guard self[key]?.object != nil else { return }
        self.change(key, change)
    }

    /// Changes every object of a member that is an array.
    mutating func editEach(_ key: String, _ change: (inout JSON) -> Void) {
        guard var elements = self[key]?.array else { return }
        for position in elements.indices where elements[position].object != nil { change(&elements[position]) }
        self[key] = .array(elements)
    }

    /// The tree without members that are null, which Kubernetes reads as absent.
    var withoutNulls: JSON {
        // Most objects have none, and to look is cheaper than to build anew.
        guard hasNulls else { return self }
        switch self {
        case .array(let elements): return .array(elements.map(\.withoutNulls))
        case .object(let object):
            return .object(JSONObject(object.lazy.filter { !$0.value.isNull }.map { ($0.key, $0.value.withoutNulls) }))
        default: return self
        }
    }

    private var hasNulls: Bool {
        switch self {
        case .array(let elements): elements.contains { $0.hasNulls }
        case .object(let object): object.contains { $0.value.isNull || $0.value.hasNulls }
        default: false
        }
    }
}
