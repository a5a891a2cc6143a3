// Strategic merge patches: JSON merge patches that know which lists are sets and maps.

import Formats

/// Applies `application/strategic-merge-patch+json`, after Kubernetes' `util/strategicpatch`.
///
/// Knows `$patch: delete | replace | merge`, `$setElementOrder/<list>`, `$deleteFromPrimitiveList/<list>` and
/// `$retainKeys`. Where the schema knows no type, objects merge and lists are replaced.
package enum StrategicMerge {
    /// The target after the patch. `type` nil means that nothing is known of the target's lists.
    package static func apply(patch: JSON, to target: JSON, type: SchemaType?) throws(PatchProblem) -> JSON {
        guard case .object(let patch) = patch else {
            throw .malformed("a strategic merge patch must be an object, not \(patch.typeName)")
        }
        return .object(try merge(patch, into: target.object ?? JSONObject(), type: type))
    }

    static let directive = "$patch"
    static let retainKeys = "$retainKeys"
    static let elementOrder = "$setElementOrder/"
    static let primitiveDeletion = "$deleteFromPrimitiveList/"

    // MARK: Objects

    static func merge(
        _ patch: JSONObject, into original: JSONObject, type: SchemaType?
    ) throws(PatchProblem) -> JSONObject {
        var patch = patch
        var original = original
        if let value = patch[directive] {
            patch[directive] = nil
            switch value.string {
            case "replace": return withoutDirectives(patch)
            case "delete": return JSONObject()
            case "merge": break
            default: throw .malformed("unknown patch type \(value.text) found in the patch")
            }
        }
        if let value = patch[retainKeys] {
            patch[retainKeys] = nil
            try retain(value, of: &original, patch: patch)
        }
        try mergeOrderedLists(&patch, into: &original, type: type)
        for member in patch {
            try mergeMember(member.key, member.value, into: &original, type: type)
        }
        return original
    }

    private static func mergeMember(
        _ key: String, _ value: JSON, into original: inout JSONObject, type: SchemaType?
    ) throws(PatchProblem) {
        if key.hasPrefix(primitiveDeletion) {
            let field = String(key.dropFirst(primitiveDeletion.count))
            guard case .array(let gone) = value else { throw .malformed("\(key) must be a list") }
            if case .array(let values)? = original[field] {
                original[field] = .array(values.filter { !gone.contains($0) })
            }
            return
        }
        if value.isNull {
            original[key] = nil
            return
        }
        let field = type?.fields[key]
        switch (original[key], value) {
        case (.object(let current)?, .object(let change)):
            if field?.isReplaced == true {
                original[key] = .object(withoutDirectives(change))
            } else {
                original[key] = .object(
                    try merge(change, into: current, type: field.flatMap { Schema.objectType(of: $0.type) }))
            }
        case (.array(let current)?, .array(let change)):
            original[key] = .array(try StrategicList(field).merge(change, into: current))
        default:
            original[key] = withoutDirectives(value)
        }
    }

    /// Merges the lists whose order the patch gives, and takes them out of the patch.
    private static func mergeOrderedLists(
        _ patch: inout JSONObject, into original: inout JSONObject, type: SchemaType?
    ) throws(PatchProblem) {
        for key in patch.keys where key.hasPrefix(elementOrder) {
            guard case .array(let order)? = patch[key] else { throw .malformed("\(key) must be a list") }
            patch[key] = nil
            let name = String(key.dropFirst(elementOrder.count))
            let list = StrategicList(type?.fields[name])
            let current = original[name]?.array
            let change = patch[name]?.array
            patch[name] = change == nil ? patch[name] : nil
            let merged: [JSON]
            switch (current, change) {
            case (let current?, let change?): merged = try list.merge(change, into: current)
            case (let current?, nil): merged = current
            case (nil, let change?): merged = change.compactMap(withoutDirectives)
            case (nil, nil): continue
            }
            if patch[name]?.isNull == true { continue }
            original[name] = .array(list.ordered(merged, by: order, before: current ?? []))
        }
    }

    /// Drops the members that a patch with `$retainKeys` does not name.
    private static func retain(
        _ value: JSON, of original: inout JSONObject, patch: JSONObject
    ) throws(PatchProblem) {
        guard let names = value.strings else { throw .malformed("$retainKeys must be a list of strings") }
        for key in patch.keys where !key.hasPrefix("$") && patch[key]?.isNull == false && !names.contains(key) {
            throw .malformed("$retainKeys does not name \"\(key)\", which the patch sets")
        }
        for key in original.keys where !names.contains(key) { original[key] = nil }
    }

    // MARK: Directives

    /// A new value as it is stored: nulls and directives dropped; nil when a directive says that it is deleted.
    static func withoutDirectives(_ value: JSON) -> JSON? {
        switch value {
        case .object(let object):
            if object[directive]?.string == "delete" { return nil }
            return .object(withoutDirectives(object))
        case .array(let values): return .array(values.compactMap(withoutDirectives))
        default: return value
        }
    }

    static func withoutDirectives(_ object: JSONObject) -> JSONObject {
        var kept = JSONObject()
        for member in object {
            let key = member.key
            if key == directive || key == retainKeys || key.hasPrefix(elementOrder) || key.hasPrefix(primitiveDeletion)
            {
                continue
            }
            if member.value.isNull { continue }
            kept[key] = withoutDirectives(member.value)
        }
        return kept
    }
}

/// How the elements of one list field merge.
private struct StrategicList {
    let mergesElements: Bool
    let mergeKey: String?
    let elementType: SchemaType?

    init(_ field: SchemaField?) {
        mergesElements = field?.mergesElements ?? false
        mergeKey = field?.mergeKey
        elementType = field.flatMap { Schema.objectType(of: $0.type) }
    }

    func merge(_ patch: [JSON], into original: [JSON]) throws(PatchProblem) -> [JSON] {
        guard mergesElements else { return patch.compactMap(StrategicMerge.withoutDirectives) }
        guard let mergeKey else {
            var merged = original
            for value in patch where !merged.contains(value) { merged.append(value) }
            return ordered(merged, by: patch, before: original)
        }
        let (changes, kept) = try followDirectives(patch, original, mergeKey)
        var merged = kept
        for change in changes {
            guard let identity = change[mergeKey] else {
                throw .inapplicable("map: \(JSON.object(change).text) does not contain declared merge key: \(mergeKey)")
            }
            if let index = merged.firstIndex(where: { $0[mergeKey] == identity }) {
                let current = merged[index].object ?? JSONObject()
                merged[index] = .object(try StrategicMerge.merge(change, into: current, type: elementType))
            } else {
                merged.append(.object(StrategicMerge.withoutDirectives(change)))
            }
        }
        return ordered(merged, by: changes.map { .object($0) }, before: original)
    }

    /// Takes `$patch` elements out of a patch: what is left of it, and what is left of the original.
    private func followDirectives(
        _ patch: [JSON], _ original: [JSON], _ mergeKey: String
    ) throws(PatchProblem) -> (changes: [JSONObject], kept: [JSON]) {
        var changes: [JSONObject] = []
        var kept = original
        for element in patch {
            guard case .object(let object) = element else {
                throw .malformed("an element of a list merged by \"\(mergeKey)\" must be an object")
            }
            switch object[StrategicMerge.directive]?.string {
            case nil: changes.append(object)
            case "delete":
                guard let identity = object[mergeKey] else {
                    throw .inapplicable("delete patch type with no merge key \"\(mergeKey)\" defined")
                }
                kept.removeAll { $0[mergeKey] == identity }
            case "replace": kept = []
            case "merge": throw .malformed("merging lists cannot yet be specified in the patch")
            case let other?: throw .malformed("unknown patch type \"\(other)\" found in the patch")
            }
        }
        return (changes, kept)
    }

    /// Puts elements that `order` names in its order; the others keep their places between them as far as the list that
    /// was there before tells.
    func ordered(_ merged: [JSON], by order: [JSON], before: [JSON]) -> [JSON] {
        let named = order.compactMap { wanted in merged.first { isSame($0, wanted) } }
        let others = merged.filter { element in !order.contains { isSame($0, element) } }
        var result: [JSON] = []
        result.reserveCapacity(merged.count)
        var nextNamed = 0
        var nextOther = 0
        while nextNamed < named.count || nextOther < others.count {
            if nextOther < others.count,
                nextNamed == named.count || comesFirst(others[nextOther], named[nextNamed], before)
            {
                result.append(others[nextOther])
                nextOther += 1
            } else {
                result.append(named[nextNamed])
                nextNamed += 1
            }
        }
        return result
    }

    private func comesFirst(_ left: JSON, _ right: JSON, _ before: [JSON]) -> Bool {
        guard let left = before.firstIndex(where: { isSame($0, left) }),
            let right = before.firstIndex(where: { isSame($0, right) })
        else { return false }
        return left < right
    }

    private func isSame(_ left: JSON, _ right: JSON) -> Bool {
        guard let mergeKey else { return left == right }
        return left[mergeKey] != nil && left[mergeKey] == right[mergeKey]
    }
}
