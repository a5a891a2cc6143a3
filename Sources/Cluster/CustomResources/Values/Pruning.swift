// Drops what a schema does not know, and remembers what that was.

import Formats
import Objects

/// Upstream: pkg/apiserver/schema/pruning/algorithm.go.
package struct Pruning: Sendable {
    /// The most unknown fields that are named.
    package static let namedLimit = 1000
    /// Paths of the members that went, like `spec.ports[0].nam`.
    package private(set) var unknown: [String] = []

    package init() {}

    private static let typeMembers: Set<String> = ["apiVersion", "kind", "metadata"]

    /// The value without what the schema does not know. The root of a custom resource keeps its type and metadata.
    package mutating func pruned(_ value: JSON, by schema: StructuralSchema, isRoot: Bool = false) -> JSON {
        prune(value, schema, at: "", isResource: isRoot || schema.isEmbeddedResource)
    }

    private mutating func prune(_ value: JSON, _ schema: StructuralSchema?, at path: String, isResource: Bool) -> JSON {
        switch value {
        case .object(let members):
            var kept = JSONObject()
            for member in members {
                let place = path.isEmpty ? member.key : "\(path).\(member.key)"
                if isResource, Self.typeMembers.contains(member.key) {
                    kept[member.key] = member.key == "metadata" ? metadata(member.value, at: place) : member.value
                } else if let child = schema?.member(member.key) {
                    kept[member.key] = prune(member.value, child, at: place, isResource: child.isEmbeddedResource)
                } else if case .anything? = schema?.additional {
                    kept[member.key] = prune(member.value, nil, at: place, isResource: false)
                } else if schema?.preservesUnknownFields == true {
                    kept[member.key] = member.value
                } else if unknown.count < Self.namedLimit {
                    unknown.append(place)
                }
            }
            return .object(kept)
        case .array(let elements):
            if schema?.preservesUnknownFields == true, schema?.items == nil { return value }
            return .array(
                elements.enumerated().map { position, element in
                    let items = schema?.items
                    return prune(
                        element, items, at: "\(path)[\(position)]", isResource: items?.isEmbeddedResource ?? false)
                })
        default: return value
        }
    }

    /// Metadata has the same fields everywhere.
    private mutating func metadata(_ value: JSON, at path: String) -> JSON {
        guard let type = Schema.type(named: "meta.v1.ObjectMeta"), value.object != nil else { return value }
        for field in Schema.unknownFields(in: value, of: type) where unknown.count < Self.namedLimit {
            unknown.append("\(path).\(field)")
        }
        return Schema.pruned(value, of: type)
    }
}
