// Lists that are sets or maps hold nothing twice.

import Formats
import Objects

/// Upstream: pkg/apiserver/schema/listtype/validation.go.
enum Uniqueness {
    static func faults(in value: JSON, of schema: StructuralSchema, at path: String = "") -> [FieldFault] {
        switch value {
        case .object(let members):
            return members.flatMap { member -> [FieldFault] in
                guard let child = schema.member(member.key) else { return [] }
                let isProperty = schema.properties[member.key] != nil
                let place =
                    isProperty ? (path.isEmpty ? member.key : "\(path).\(member.key)") : "\(path)[\(member.key)]"
                return faults(in: member.value, of: child, at: place)
            }
        case .array(let elements):
            var found: [FieldFault] = []
            switch schema.listType {
            case .set: found = repeated(elements).map { .duplicate("\(path)[\($0)]", elements[$0]) }
            case .map(let keys): found = mapFaults(elements, keys, at: path)
            case .atomic, nil: break
            }
            guard let items = schema.items else { return found }
            return found
                + elements.enumerated().flatMap { faults(in: $0.element, of: items, at: "\(path)[\($0.offset)]") }
        default: return []
        }
    }

    private static func mapFaults(_ elements: [JSON], _ keys: [String], at path: String) -> [FieldFault] {
        for (position, element) in elements.enumerated() where !element.isNull && element.object == nil {
            return [.invalid("\(path)[\(position)]", element, "must be an object for an array of list-type map")]
        }
        let identities = elements.map { element in
            JSON.object(JSONObject(keys.compactMap { key in element[key].map { (key, $0) } }))
        }
        return repeated(identities).map { .duplicate("\(path)[\($0)]", identities[$0]) }
    }

    /// The second place of each value that occurs more than once.
    private static func repeated(_ values: [JSON]) -> [Int] {
        var counts: [JSON: Int] = [:]
        var places: [Int] = []
        for (position, value) in values.enumerated() {
            counts[value, default: 0] += 1
            if counts[value] == 2 { places.append(position) }
        }
        return places
    }
}
