// Which nodes a pod may be on: node selectors, required node affinity, taints and tolerations.

import Formats

/// After `k8s.io/component-helpers/scheduling/corev1`.
package enum NodeSelection {
    /// Whether a node is one that a pod asks for by `nodeSelector` and required node affinity.
    package static func matches(_ pod: Object, _ node: Object) -> Bool {
        let wanted = LabelSelector(matchLabels: pod.spec["nodeSelector"]?.stringMap ?? [:])
        guard wanted.matches(node.labels) else { return false }
        let required = pod.spec["affinity"]?["nodeAffinity"]?["requiredDuringSchedulingIgnoredDuringExecution"]
        guard let required else { return true }
        return matches(required, node)
    }

    /// Whether a node matches a `NodeSelector`: any one term suffices; a term without requirements matches nothing.
    package static func matches(_ selector: JSON, _ node: Object) -> Bool {
        (selector["nodeSelectorTerms"]?.array ?? []).contains { matches(term: $0, node) }
    }

    package static func matches(term: JSON, _ node: Object) -> Bool {
        let labels = term["matchExpressions"]?.array ?? []
        let fields = term["matchFields"]?.array ?? []
        if labels.isEmpty, fields.isEmpty { return false }
        return labels.allSatisfy { holds($0, value: node.labels[$0["key"]?.string ?? ""]) }
            && fields.allSatisfy { field in
                field["key"]?.string == "metadata.name" && holds(field, value: node.name)
            }
    }

    /// The first taint of the node with one of these effects that the tolerations do not cover.
    package static func untolerated(
        _ node: Object, by tolerations: [JSON], effects: Set<String> = ["NoSchedule", "NoExecute"]
    ) -> JSON? {
        (node.spec["taints"]?.array ?? []).first { taint in
            effects.contains(taint["effect"]?.string ?? "") && !tolerates(tolerations, taint)
        }
    }

    package static func tolerates(_ tolerations: [JSON], _ taint: JSON) -> Bool {
        tolerations.contains { tolerates($0, taint) }
    }

    /// Whether one toleration covers a taint.
    package static func tolerates(_ toleration: JSON, _ taint: JSON) -> Bool {
        let key = toleration["key"]?.string ?? ""
        let effect = toleration["effect"]?.string ?? ""
        if !effect.isEmpty, effect != taint["effect"]?.string { return false }
        if !key.isEmpty, key != taint["key"]?.string { return false }
        if toleration["operator"]?.string == "Exists" { return true }
        return !key.isEmpty && toleration["value"]?.string ?? "" == taint["value"]?.string ?? ""
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
