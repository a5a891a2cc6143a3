// Whether a node is one that a pod asks for by `nodeSelector` and required node affinity.

import Formats
import Objects

enum NodeSelection {
    static func matches(_ pod: Object, _ node: Object) -> Bool {
        let wanted = LabelSelector(matchLabels: pod.spec["nodeSelector"]?.stringMap ?? [:])
        guard wanted.matches(node.labels) else { return false }
        let required = pod.spec["affinity"]?["nodeAffinity"]?["requiredDuringSchedulingIgnoredDuringExecution"]
        guard let required else { return true }
        // Any one term suffices; a term without requirements matches nothing.
        return (required["nodeSelectorTerms"]?.array ?? []).contains { term in
            let labels = term["matchExpressions"]?.array ?? []
            let fields = term["matchFields"]?.array ?? []
            if labels.isEmpty, fields.isEmpty { return false }
            return labels.allSatisfy { holds($0, value: node.labels[$0["key"]?.string ?? ""]) }
                && fields.allSatisfy { field in
                    field["key"]?.string == "metadata.name" && holds(field, value: node.name)
                }
        }
    }

    private static func holds(_ requirement: JSON, value: String?) -> Bool {
        let values = requirement["values"]?.strings ?? []
        func number(_ text: String?) -> Int64? { text.flatMap { Int64($0) } }
        switch requirement["operator"]?.string ?? "" {
        case "In": return value.map(values.contains) ?? false
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt":
            guard let left = number(value), let right = number(values.first) else { return false }
            return left > right
        case "Lt":
            guard let left = number(value), let right = number(values.first) else { return false }
            return left < right
        default: return false
        }
    }
}
