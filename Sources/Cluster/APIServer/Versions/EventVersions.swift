// Events as v1 (stored) and as events.k8s.io/v1 (upstream: pkg/apis/events/v1/conversion.go).

import Formats
import Objects

/// Both versions carry the same fields under other names.
enum EventVersions {
    /// The names in `v1` and in `events.k8s.io/v1`, where they differ.
    private static let names: [(legacy: String, modern: String)] = [
        ("involvedObject", "regarding"), ("message", "note"), ("reportingComponent", "reportingController"),
        ("source", "deprecatedSource"), ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"), ("count", "deprecatedCount"),
    ]
    private static let toModern = Dictionary(uniqueKeysWithValues: names.map { ($0.legacy, $0.modern) })
    private static let toLegacy = Dictionary(uniqueKeysWithValues: names.map { ($0.modern, $0.legacy) })

    static func modern(_ event: Object) -> Object { renamed(event, toModern, apiVersion: "events.k8s.io/v1") }
    static func legacy(_ event: Object) -> Object { renamed(event, toLegacy, apiVersion: "v1") }

    /// Only the top level differs; the order of members is kept.
    private static func renamed(_ event: Object, _ names: [String: String], apiVersion: String) -> Object {
        guard let members = event.tree.object else { return event }
        var tree = JSONObject(members.lazy.map { (names[$0.key] ?? $0.key, $0.value) })
        tree["apiVersion"] = .string(apiVersion)
        return Object(.object(tree))
    }
}
