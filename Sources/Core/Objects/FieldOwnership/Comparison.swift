// What differs between two states of an object, and which fields an object sets.

import Formats

/// The fields that came, changed and went between two states (upstream: `structured-merge-diff`, `typed/compare.go`).
package struct Comparison: Sendable, Hashable {
    package var added = FieldSet()
    package var modified = FieldSet()
    package var removed = FieldSet()

    package init() {}

    package var isSame: Bool { added.isEmpty && modified.isEmpty && removed.isEmpty }

    /// Compares two states of a type; nil is no object at all.
    package init(from old: JSON?, to new: JSON?, type: any MergeType) {
        var walk = Walk()
        walk.compare(old, new, type)
        self = walk.comparison
    }

    /// The comparison without the fields at and below those of a set.
    func without(_ ignored: FieldSet) -> Comparison {
        if ignored.isEmpty { return self }
        var rest = Comparison()
        rest.added = added.subtractingTrees(ignored)
        rest.modified = modified.subtractingTrees(ignored)
        rest.removed = removed.subtractingTrees(ignored)
        return rest
    }

    private struct Walk {
        var comparison = Comparison()
        private var path: [PathElement] = []

        mutating func compare(_ old: JSON?, _ new: JSON?, _ type: @autoclosure () -> any MergeType) {
            guard old != nil || new != nil else { return }
            // Equal subtrees have nothing to tell; this is what keeps the comparison of a small change short. Of what
            // type they are need not be found out either.
            if let old, let new, old == new { return }
            let type = type()
            if old == nil, let new { return comparison.added.insert(path, below: brought(by: new, type)) }
            let oldForm = MergeForm(type, for: old)
            let newForm = MergeForm(type, for: new)
            var isLeaf = false
            if let form = new == nil ? oldForm : newForm { isLeaf = handle(form, old, new) }
            if let old, new != nil, let oldForm, oldForm.kind != newForm?.kind, !old.isNull {
                // The value changed its form: both are looked at, as upstream does.
                _ = handle(oldForm, old, new)
            }
            if !isLeaf, new == nil { comparison.removed.insert(path) }

            func handle(_ form: MergeForm, _ old: JSON?, _ new: JSON?) -> Bool {
                switch form {
                case .scalar: return leaf(old, new)
                case .list(let list):
                    let (before, after) = (old?.array ?? [], new?.array ?? [])
                    if list.relation == .atomic || (before.isEmpty && after.isEmpty) { return leaf(old, new) }
                    compareItems(before, after, list)
                case .map(let map):
                    let (before, after) = (old?.object, new?.object)
                    if map.isAtomic { return leaf(old, new) }
                    let standing = type.standingFields
                    if standing.isEmpty, before?.isEmpty ?? true, after?.isEmpty ?? true { return leaf(old, new) }
                    compareMembers(filled(before, standing), filled(after, standing), type)
                }
                return false
            }
        }

        /// Everything below a value that was not there before, with all on the way: built from below, since most writes
        /// of this kind are creates, in which everything is new.
        private func brought(by value: JSON, _ type: any MergeType) -> FieldSet {
            var entries: [FieldSet.Entry] = []
            switch MergeForm(type, for: value) {
            case nil, .scalar: break
            case .list(let list):
                if list.relation == .atomic { break }
                let items = IndexedItems(value.array ?? [], list)
                for element in items.order {
                    let found = items[element]
                    // Elements that occur twice are tracked as one, without their content.
                    let below = found.count == 1 ? brought(by: found[0], list.element) : FieldSet()
                    entries.append(FieldSet.Entry(element: element, isMember: true, below: below))
                }
            case .map(let map):
                if map.isAtomic { break }
                for member in filled(value.object, type.standingFields) ?? JSONObject() {
                    let below = brought(by: member.value, type.member(member.key))
                    entries.append(FieldSet.Entry(element: .field(member.key), isMember: true, below: below))
                }
            }
            return FieldSet(entries: entries.sorted { $0.element < $1.element })
        }

        private func filled(_ object: JSONObject?, _ standing: [(name: String, value: JSON)]) -> JSONObject? {
            guard var object, !standing.isEmpty else { return object }
            for field in standing where !object.contains(field.name) { object[field.name] = field.value }
            return object
        }

        private mutating func leaf(_ old: JSON?, _ new: JSON?) -> Bool {
            if new == nil {
                comparison.removed.insert(path)
            } else if old != new {
                comparison.modified.insert(path)
            }
            return true
        }

        private mutating func compareMembers(_ old: JSONObject?, _ new: JSONObject?, _ type: any MergeType) {
            for member in old ?? JSONObject() {
                descend(.field(member.key), member.value, new?[member.key], type.member(member.key))
            }
            for member in new ?? JSONObject() where old?.contains(member.key) != true {
                descend(.field(member.key), nil, member.value, type.member(member.key))
            }
        }

        private mutating func descend(
            _ element: PathElement, _ old: JSON?, _ new: JSON?, _ type: @autoclosure () -> any MergeType
        ) {
            path.append(element)
            compare(old, new, type())
            path.removeLast()
        }

        /// Elements that occur twice are tracked as one: their list is looked at, not their content.
        private mutating func compareItems(_ old: [JSON], _ new: [JSON], _ list: MergeList) {
            let before = IndexedItems(old, list)
            let after = IndexedItems(new, list)
            for element in before.order + after.order.filter({ before[$0].isEmpty }) {
                let (left, right) = (before[element], after[element])
                switch (left.count, right.count) {
                case (0...1, 0...1): descend(element, left.first, right.first, list.element)
                case (2..., 2...): if left != right { comparison.modified.insert(path + [element]) }
                case (2..., _):
                    if let only = right.first { descend(element, nil, only, list.element) }
                    comparison.removed.insert(path + [element])
                default:
                    if let only = left.first { descend(element, only, nil, list.element) }
                    comparison.added.insert(path + [element])
                }
            }
        }
    }
}

/// The elements of a list by how they are named; elements that cannot be named are left out.
struct IndexedItems {
    private(set) var order: [PathElement] = []
    private var items: [PathElement: [JSON]] = [:]

    init(_ values: [JSON], _ list: MergeList) {
        order.reserveCapacity(values.count)
        for (position, value) in values.enumerated() {
            guard let element = try? list.pathElement(of: value, at: position) else { continue }
            if items[element] == nil { order.append(element) }
            items[element, default: []].append(value)
        }
    }

    subscript(_ element: PathElement) -> [JSON] { items[element] ?? [] }
}

extension FieldSet {
    /// The fields that an object sets: what its applier comes to own (upstream: `typed/tofieldset.go`).
    package init(of value: JSON, type: any MergeType) {
        self.init()
        var path: [PathElement] = []
        collect(value, type, &path)
    }

    private mutating func collect(_ value: JSON, _ type: any MergeType, _ path: inout [PathElement]) {
        switch MergeForm(type, for: value) {
        case .scalar?: insert(path)
        case .list(let list)?:
            if list.relation == .atomic { return insert(path) }
            for (position, item) in (value.array ?? []).enumerated() {
                guard let element = try? list.pathElement(of: item, at: position) else { continue }
                path.append(element)
                collect(item, list.element, &path)
                insert(path)
                path.removeLast()
            }
        case .map(let map)?:
            if map.isAtomic { return insert(path) }
            for member in value.object ?? JSONObject() {
                let declared = type.field(member.key)
                path.append(.field(member.key))
                collect(member.value, declared ?? map.element ?? DeducedType(), &path)
                if declared == nil || member.value.isNull || member.value.object?.isEmpty == true { insert(path) }
                path.removeLast()
            }
        case nil: return
        }
    }
}
