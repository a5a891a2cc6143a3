// Objects within objects: what `x-kubernetes-embedded-resource` asks of a value.

import Formats
import Objects

/// Upstream: pkg/apiserver/schema/objectmeta/validation.go.
enum EmbeddedRules {
    /// The faults of every embedded object in a value. The root object of a request is checked elsewhere.
    static func faults(in value: JSON, of schema: StructuralSchema, at path: String = "", isRoot: Bool = false)
        -> [FieldFault]
    {
        switch value {
        case .object(let members):
            var found: [FieldFault] = []
            if schema.isEmbeddedResource, !isRoot { found += resourceFaults(members, at: path) }
            for member in members {
                guard let child = schema.member(member.key) else { continue }
                found += faults(in: member.value, of: child, at: join(path, member.key))
            }
            return found
        case .array(let elements):
            guard let items = schema.items else { return [] }
            return elements.enumerated().flatMap { faults(in: $0.element, of: items, at: "\(path)[\($0.offset)]") }
        default: return []
        }
    }

    private static func resourceFaults(_ members: JSONObject, at path: String) -> [FieldFault] {
        var found: [FieldFault] = []
        for name in ["apiVersion", "kind"] {
            let place = join(path, name)
            guard let value = members[name] else {
                found.append(.required(place, "must not be empty"))
                continue
            }
            guard let text = value.string else {
                found.append(.invalid(place, value, "must be a string"))
                continue
            }
            if text.isEmpty {
                found.append(.invalid(place, value, "must not be empty"))
            } else if name == "apiVersion", text.split(separator: "/", omittingEmptySubsequences: false).count > 2 {
                found.append(.invalid(place, value, "unexpected GroupVersion string: \(text)"))
            } else if name == "kind", let fault = NameRules.fault(text.lowercased(), .label1035) {
                found.append(.invalid(place, value, "may have mixed case, but should otherwise match: \(fault)"))
            }
        }
        guard let metadata = members["metadata"] else { return found }
        guard metadata.object != nil else {
            return found + [.invalid(join(path, "metadata"), metadata, "must be an object")]
        }
        return found + NameRules.metadataFaults(metadata, at: join(path, "metadata"))
    }

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}
