// Required pod affinity and anti-affinity, and topology spread that may not be broken.

import Formats
import Objects

/// After the plugins `interpodaffinity` and `podtopologyspread` of `kubernetes/pkg/scheduler`. Preferences are not
/// weighed.
struct AffinityRules: Sendable {
    private static let required = "requiredDuringSchedulingIgnoredDuringExecution"

    let nodes: [Object]
    let bound: [SchedulerMachine.Bound]
    private let labels: [String: [String: String]]

    init(nodes: [Object], bound: [SchedulerMachine.Bound]) {
        self.nodes = nodes
        self.bound = bound
        labels = Dictionary(nodes.map { ($0.name, $0.labels) }) { first, _ in first }
    }

    /// One term of an affinity: which pods it means, and within what places.
    private struct Term {
        let topologyKey: String
        private let selector: LabelSelector?
        private let namespaces: Set<String>
        private let isEverywhere: Bool

        init(_ tree: JSON, of pod: Object) {
            topologyKey = tree["topologyKey"]?.string ?? ""
            selector = tree["labelSelector"].flatMap { try? LabelSelector($0) }
            let named = Set(tree["namespaces"]?.strings ?? [])
            // An empty namespace selector means all; one with labels needs the namespaces, which are not looked at.
            isEverywhere = tree["namespaceSelector"].map { !$0.isNull } ?? false
            namespaces = named.isEmpty && !isEverywhere ? [pod.namespace] : named
        }

        func means(_ pod: Object) -> Bool {
            guard let selector, isEverywhere || namespaces.contains(pod.namespace) else { return false }
            return selector.matches(pod.labels)
        }
    }

    private static func terms(_ rule: String, of pod: Object) -> [Term] {
        (pod.spec["affinity"]?[rule]?[required]?.array ?? []).map { Term($0, of: pod) }
    }

    /// What one pod may not break, worked out once for all nodes.
    struct Constraints: Sendable {
        /// Places (key and value of a node label) that each affinity term allows; nil where any will do.
        fileprivate var allowed: [(key: String, values: Set<String>?)] = []
        fileprivate var forbidden: [(key: String, values: Set<String>)] = []
        fileprivate var forbiddenByOthers: [(key: String, values: Set<String>)] = []
        fileprivate var spreads: [Spread] = []

        fileprivate struct Spread: Sendable {
            var key: String
            var maxSkew: Int
            var isOneOfThem: Bool
            var counts: [String: Int]
        }

        /// Why the node is out; nil when it is not.
        func obstacle(on node: Object) -> String? {
            for spread in spreads {
                guard let place = node.labels[spread.key] else {
                    return "node(s) didn't match pod topology spread constraints (missing required label)"
                }
                let here = (spread.counts[place] ?? 0) + (spread.isOneOfThem ? 1 : 0)
                if here - (spread.counts.values.min() ?? 0) > spread.maxSkew {
                    return "node(s) didn't match pod topology spread constraints"
                }
            }
            func isIn(_ place: (key: String, values: Set<String>)) -> Bool {
                node.labels[place.key].map(place.values.contains) ?? false
            }
            for (key, values) in allowed {
                guard let place = node.labels[key], values?.contains(place) ?? true else {
                    return "node(s) didn't match pod affinity rules"
                }
            }
            if forbidden.contains(where: isIn) { return "node(s) didn't match pod anti-affinity rules" }
            if forbiddenByOthers.contains(where: isIn) {
                return "node(s) didn't satisfy existing pods anti-affinity rules"
            }
            return nil
        }
    }

    func constraints(of pod: Object) -> Constraints {
        var constraints = Constraints()
        for term in Self.terms("podAffinity", of: pod) {
            let places = places(of: term)
            // The first of a group that wants to be together may go anywhere.
            let isFirst = places.isEmpty && term.means(pod)
            constraints.allowed.append((term.topologyKey, isFirst ? nil : places))
        }
        for term in Self.terms("podAntiAffinity", of: pod) {
            constraints.forbidden.append((term.topologyKey, places(of: term)))
        }
        for (other, node) in bound {
            for term in Self.terms("podAntiAffinity", of: other) where term.means(pod) {
                guard let place = labels[node]?[term.topologyKey] else { continue }
                constraints.forbiddenByOthers.append((term.topologyKey, [place]))
            }
        }
        constraints.spreads = (pod.spec["topologySpreadConstraints"]?.array ?? []).compactMap { spread($0, of: pod) }
        return constraints
    }

    private func places(of term: Term) -> Set<String> {
        Set(bound.compactMap { term.means($0.pod) ? labels[$0.node]?[term.topologyKey] : nil })
    }

    private func spread(_ tree: JSON, of pod: Object) -> Constraints.Spread? {
        guard tree["whenUnsatisfiable"]?.string ?? "DoNotSchedule" == "DoNotSchedule",
            let key = tree["topologyKey"]?.string
        else { return nil }
        let selector = tree["labelSelector"].flatMap { try? LabelSelector($0) }
        var counts: [String: Int] = [:]
        // Only places that the pod could go to count.
        for node in nodes where NodeSelection.matches(pod, node) {
            if let place = node.labels[key] { counts[place] = counts[place] ?? 0 }
        }
        for (other, node) in bound where other.namespace == pod.namespace && !other.isTerminating {
            guard let place = labels[node]?[key], counts[place] != nil, selector?.matches(other.labels) == true else {
                continue
            }
            counts[place, default: 0] += 1
        }
        if let least = tree["minDomains"]?.integer, counts.count < least { counts["missing domain"] = 0 }
        return Constraints.Spread(
            key: key, maxSkew: tree["maxSkew"]?.integer ?? 1, isOneOfThem: selector?.matches(pod.labels) == true,
            counts: counts)
    }
}
