// Fills in what a schema gives values for, and drops nulls where there may be none.

import Formats

/// Upstream: pkg/apiserver/schema/defaulting/algorithm.go and prunenulls.go.
package enum Defaulting {
    /// The value with its defaults.
    ///
    /// A null where the schema does not allow one counts as not given: it gets the default, or goes.
    package static func applied(to value: JSON, by schema: StructuralSchema) -> JSON {
        switch value {
        case .object(let members):
            var filled = JSONObject()
            for member in members {
                guard let child = schema.member(member.key) else {
                    filled[member.key] = member.value
                    continue
                }
                if member.value.isNull, !child.isNullable {
                    if let value = child.defaultValue { filled[member.key] = applied(to: value, by: child) }
                } else {
                    filled[member.key] = applied(to: member.value, by: child)
                }
            }
            for name in schema.order where !filled.contains(name) {
                guard let child = schema.properties[name], let value = child.defaultValue else { continue }
                filled[name] = applied(to: value, by: child)
            }
            return .object(filled)
        case .array(let elements):
            guard let items = schema.items else { return value }
            return .array(
                elements.map { element in
                    guard element.isNull, !items.isNullable, let value = items.defaultValue else {
                        return applied(to: element, by: items)
                    }
                    return applied(to: value, by: items)
                })
        default: return value
        }
    }
}
