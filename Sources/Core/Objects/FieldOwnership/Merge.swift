// Merges what an applier wants into what there is, and takes fields out of an object.

import Formats

/// Merging of two values of a type (upstream: `structured-merge-diff`, `typed/merge.go`).
enum Merge {
    /// What `old` becomes when `new` is laid over it; nil when nothing is left. An explicit null removes scalars and
    /// what is owned whole.
    static func merge(_ old: JSON?, _ new: JSON?, _ type: any MergeType) throws(TypeFault) -> JSON? {
        guard let new else { return old }
        guard let old else { return new }
        let oldForm = MergeForm(type, for: old)
        guard let newForm = MergeForm(type, for: new), oldForm?.kind == newForm.kind else { return new }
        switch newForm {
        case .scalar: return new
        case .list(let list):
            if list.relation == .atomic { return new }
            // A null where lists merge takes nothing away from those who own elements.
            let (before, after) = (old.array ?? [], new.array ?? [])
            return before.isEmpty && after.isEmpty ? new : .array(try items(before, after, list))
        case .map(let map):
            if map.isAtomic { return new }
            let (before, after) = (old.object ?? JSONObject(), new.object ?? JSONObject())
            if before.isEmpty && after.isEmpty { return new }
            var merged = before
            for member in after {
                do throws(TypeFault) {
                    merged[member.key] = try merge(before[member.key], member.value, type.member(member.key))
                } catch {
                    throw error.below(.field(member.key))
                }
            }
            return .object(merged)
        }
    }

    /// Elements keep their places; those that both lists have come in the order of the new one, and its other ones
    /// after the shared one that they follow there.
    private static func items(_ old: [JSON], _ new: [JSON], _ list: MergeList) throws(TypeFault) -> [JSON] {
        var oldNames: [PathElement] = []
        var olds: [PathElement: [JSON]] = [:]
        for (position, item) in old.enumerated() {
            let name = try list.pathElement(of: item, at: position)
            oldNames.append(name)
            olds[name, default: []].append(item)
        }
        var newNames: [PathElement] = []
        var news: [PathElement: JSON] = [:]
        for (position, item) in new.enumerated() {
            let name = try list.pathElement(of: item, at: position)
            if news.updateValue(item, forKey: name) != nil {
                throw TypeFault(path: ElementPath(), message: "duplicate entries for key \(name)")
            }
            newNames.append(name)
        }
        var shared = newNames.filter { olds[$0] != nil }[...]
        var merged: Set<PathElement> = []
        var result: [JSON] = []
        func take(_ name: PathElement) throws(TypeFault) {
            merged.insert(name)
            // An element that occurs twice is replaced: which of them to merge into nobody can say.
            let before = olds[name].flatMap { $0.count == 1 ? $0[0] : nil }
            do throws(TypeFault) {
                if let item = try merge(before, news[name], list.element) { result.append(item) }
            } catch {
                throw error.below(name)
            }
            if shared.first == name { shared.removeFirst() }
        }
        var (left, right) = (0, 0)
        while left < oldNames.count || right < newNames.count {
            if left < oldNames.count {
                let name = oldNames[left]
                if news[name] == nil {
                    result.append(old[left])
                    left += 1
                    continue
                }
                if right < newNames.count, name == newNames[right] {
                    try take(name)
                    left += 1
                    right += 1
                    continue
                }
                if merged.contains(name) || (shared.first != nil && shared.first != name) || right == newNames.count {
                    left += 1
                    continue
                }
            }
            try take(newNames[right])
            right += 1
        }
        return result
    }
}

extension TypeFault {
    func below(_ element: PathElement) -> TypeFault {
        TypeFault(path: ElementPath([element] + path.elements), message: message)
    }
}

/// Removal of fields from a value of a type (upstream: `typed/remove.go`).
enum Removal {
    /// The value without the members of `gone`; nil where that leaves a list or map without content.
    static func removing(_ gone: FieldSet, from value: JSON, _ type: any MergeType) -> JSON? {
        if gone.isEmpty { return value }
        switch (MergeForm(type, for: value), value) {
        case (.list(let list)?, .array(let items)):
            if items.isEmpty { return value }
            if list.relation == .atomic { return nil }
            var kept: [JSON] = []
            for (position, item) in items.enumerated() {
                let entry = (try? list.pathElement(of: item, at: position)).flatMap { gone.entry($0) }
                if entry?.isMember == true { continue }
                guard let below = entry?.below, !below.isEmpty else {
                    kept.append(item)
                    continue
                }
                if let rest = removing(below, from: item, list.element) { kept.append(rest) }
            }
            return kept.isEmpty ? nil : .array(kept)
        case (.map(let map)?, .object(let object)):
            if object.isEmpty { return value }
            if map.isAtomic { return nil }
            var kept = JSONObject()
            for member in object {
                let entry = gone.entry(.field(member.key))
                if entry?.isMember == true { continue }
                guard let below = entry?.below, !below.isEmpty else {
                    kept[member.key] = member.value
                    continue
                }
                kept[member.key] = removing(below, from: member.value, type.member(member.key))
            }
            return kept.isEmpty ? nil : .object(kept)
        default: return value
        }
    }
}
