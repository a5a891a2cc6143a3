// A set of fields of one object, kept as a tree: what somebody owns, what a change touched.

import Formats

/// A set of paths (upstream: `structured-merge-diff`, `fieldpath/set.go`).
///
/// A field and what is below it are different members: owning `.metadata.labels` says nothing about
/// `.metadata.labels.app`. Entries are in the order of their elements and none is without content, so equal sets are
/// equal values.
package struct FieldSet: Sendable, Hashable {
    struct Entry: Sendable, Hashable {
        let element: PathElement
        /// Whether the path that ends here is in the set.
        var isMember: Bool
        var below: FieldSet

        var isNothing: Bool { !isMember && below.isEmpty }
    }

    private(set) var entries: [Entry] = []

    package init() {}

    package init(_ paths: [ElementPath]) {
        for path in paths { insert(path.elements) }
    }

    init(entries: [Entry]) { self.entries = entries }

    package var isEmpty: Bool { entries.isEmpty }

    /// Whether exactly this path is a member.
    package func contains(_ path: ElementPath) -> Bool {
        var set = self
        for (depth, element) in path.elements.enumerated() {
            guard let entry = set.entry(element) else { return false }
            if depth == path.elements.count - 1 { return entry.isMember }
            set = entry.below
        }
        return false
    }

    /// Every member, parents before what is below them.
    package var paths: [ElementPath] {
        var paths: [ElementPath] = []
        collect(below: [], into: &paths)
        return paths
    }

    private func collect(below prefix: [PathElement], into paths: inout [ElementPath]) {
        for entry in entries {
            let path = prefix + [entry.element]
            if entry.isMember { paths.append(ElementPath(path)) }
            entry.below.collect(below: path, into: &paths)
        }
    }

    func entry(_ element: PathElement) -> Entry? {
        let position = position(of: element)
        return position < entries.count && entries[position].element == element ? entries[position] : nil
    }

    /// Adds a path, and what is to be below it.
    mutating func insert(_ path: [PathElement], below: FieldSet = FieldSet()) { insert(path[...], below) }

    private mutating func insert(_ path: ArraySlice<PathElement>, _ below: FieldSet) {
        guard let element = path.first else {
            self = union(below)
            return
        }
        let position = position(of: element)
        if position == entries.count || entries[position].element != element {
            entries.insert(Entry(element: element, isMember: false, below: FieldSet()), at: position)
        }
        if path.count == 1 {
            entries[position].isMember = true
            entries[position].below = entries[position].below.union(below)
        } else {
            entries[position].below.insert(path.dropFirst(), below)
        }
    }

    /// The first place whose element is not before this one.
    private func position(of element: PathElement) -> Int {
        // Members are mostly inserted in order.
        if let last = entries.last, last.element < element { return entries.count }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].element < element { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

// MARK: Algebra

extension FieldSet {
    package func union(_ other: FieldSet) -> FieldSet {
        if isEmpty { return other }
        if other.isEmpty { return self }
        return combined(with: other) { mine, others in
            guard let mine else { return others }
            guard let others else { return mine }
            return Entry(
                element: mine.element, isMember: mine.isMember || others.isMember, below: mine.below.union(others.below)
            )
        }
    }

    package func intersection(_ other: FieldSet) -> FieldSet {
        if isEmpty || other.isEmpty { return FieldSet() }
        return combined(with: other) { mine, others in
            guard let mine, let others else { return nil }
            return Entry(
                element: mine.element, isMember: mine.isMember && others.isMember,
                below: mine.below.intersection(others.below))
        }
    }

    /// The members that `other` does not have; what is below a member of `other` stays.
    package func subtracting(_ other: FieldSet) -> FieldSet {
        if isEmpty || other.isEmpty { return self }
        return combined(with: other) { mine, others in
            guard let mine, let others else { return mine }
            return Entry(
                element: mine.element, isMember: mine.isMember && !others.isMember,
                below: mine.below.subtracting(others.below))
        }
    }

    /// The members that neither are in `other` nor lie below one of its members.
    package func subtractingTrees(_ other: FieldSet) -> FieldSet {
        if isEmpty || other.isEmpty { return self }
        return combined(with: other) { mine, others in
            guard let mine, let others else { return mine }
            if others.isMember { return nil }
            return Entry(
                element: mine.element, isMember: mine.isMember, below: mine.below.subtractingTrees(others.below))
        }
    }

    /// Walks both lists of entries in order; what `decide` answers with content stays.
    private func combined(with other: FieldSet, _ decide: (Entry?, Entry?) -> Entry?) -> FieldSet {
        var result: [Entry] = []
        result.reserveCapacity(Swift.max(entries.count, other.entries.count))
        var left = 0
        var right = 0
        while left < entries.count || right < other.entries.count {
            let decided: Entry?
            if right == other.entries.count
                || (left < entries.count && entries[left].element < other.entries[right].element)
            {
                decided = decide(entries[left], nil)
                left += 1
            } else if left == entries.count || other.entries[right].element < entries[left].element {
                decided = decide(nil, other.entries[right])
                right += 1
            } else {
                decided = decide(entries[left], other.entries[right])
                left += 1
                right += 1
            }
            if let decided, !decided.isNothing { result.append(decided) }
        }
        return FieldSet(entries: result)
    }

    /// The set with every declared field on the way to a member as a member itself.
    ///
    /// A set of `.spec.template.labels.app` comes to own `.spec` and `.spec.template`, which are fields of structs; not
    /// the elements of maps and lists. So a removal that empties a struct also removes the struct.
    func withDeclaredFields(of type: (any MergeType)?) -> FieldSet {
        FieldSet(
            entries: entries.map { entry in
                var entry = entry
                var below: (any MergeType)?
                switch entry.element {
                case .field(let name):
                    let declared = type?.field(name)
                    if declared != nil, !entry.below.isEmpty { entry.isMember = true }
                    below = declared ?? type?.map?.element
                case .key: below = type?.list?.element
                case .value, .index: break
                }
                entry.below = entry.below.withDeclaredFields(of: below)
                return entry
            })
    }
}

// MARK: FieldsV1

extension FieldSet {
    /// The tree of `metadata.managedFields[].fieldsV1`: a member is an empty object, or `.` where there is more below.
    package var fieldsV1: JSON {
        .object(JSONObject(unique: members))
    }

    private var members: [JSONObject.Member] {
        entries.map { entry in
            var below = entry.below.members
            if entry.isMember, !below.isEmpty { below.insert(.init(key: ".", value: [:]), at: 0) }
            return .init(key: entry.element.encoded, value: .object(JSONObject(unique: below)))
        }
    }

    /// Reads `fieldsV1`.
    package init(fieldsV1 tree: JSON) throws(FormatProblem) {
        guard case .object(let object) = tree else {
            throw FormatProblem("a set of fields is an object, not \(tree.typeName)")
        }
        var entries: [Entry] = []
        entries.reserveCapacity(object.count)
        var isSorted = true
        for member in object where member.key != "." {
            guard let element = try PathElement(encoded: member.key) else { continue }
            guard case .object(let content) = member.value else {
                throw FormatProblem("\(member.key) in a set of fields is an object, not \(member.value.typeName)")
            }
            let entry = Entry(
                element: element, isMember: content.isEmpty || content.contains("."),
                below: try FieldSet(fieldsV1: member.value))
            if entry.isNothing { continue }
            if let last = entries.last, !(last.element < element) { isSorted = false }
            entries.append(entry)
        }
        self.entries = entries
        if !isSorted { sort() }
    }

    /// Puts entries in order, making one of those that several spellings name.
    private mutating func sort() {
        let unsorted = entries
        entries = []
        for entry in unsorted { self = union(FieldSet(entries: [entry])) }
    }
}
