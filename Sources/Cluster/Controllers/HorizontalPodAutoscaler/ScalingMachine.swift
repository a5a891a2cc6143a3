// Remembers what an autoscaler recommended and did, and holds its changes to its behaviour.

import Formats
import Objects

/// The rules of `spec.behavior` over one autoscaler's past, after `horizontal.go`. The past is kept in memory only, as
/// upstream does: a restart forgets it.
struct ScalingMachine: Sendable {
    /// Recommendations and changes that are kept; the longest window is an hour and looks come every 15 seconds.
    static let historyLimit = 512
    static let standardDownWindow = 300

    struct Limited: Sendable, Equatable {
        var replicas: Int
        /// Of the condition AbleToScale.
        var able: (reason: String, message: String)
        /// Of the condition ScalingLimited; nil means that the wish is within the limits.
        var limit: (reason: String, message: String)?

        static func == (left: Limited, right: Limited) -> Bool {
            left.replicas == right.replicas && left.able == right.able && left.limit?.reason == right.limit?.reason
        }
    }

    private struct Recommendation: Sendable {
        var replicas: Int
        var time: Timestamp
    }

    private struct Change: Sendable {
        var delta: Int
        var time: Timestamp
    }

    private var recommendations: [Recommendation] = []
    private var changes: [Change] = []

    /// Notes a recommendation and answers what may be done of it now.
    mutating func limit(_ wanted: Int, current: Int, autoscaler: Object, now: Timestamp) -> Limited {
        let least = autoscaler.spec["minReplicas"]?.integer ?? 1
        let most = autoscaler.spec["maxReplicas"]?.integer ?? 1
        let behavior = autoscaler.spec["behavior"]
        if recommendations.isEmpty { recommendations.append(Recommendation(replicas: current, time: now)) }
        recommendations.append(Recommendation(replicas: wanted, time: now))
        if recommendations.count > Self.historyLimit { recommendations.removeFirst() }
        let (stable, able) = stabilized(wanted, current: current, behavior, now)
        var replicas = stable
        var limit: (reason: String, message: String)?
        if stable > current {
            let rate = upLimit(current, behavior?["scaleUp"], now)
            if replicas > min(rate, most) {
                replicas = min(rate, most)
                limit =
                    rate < most
                    ? ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
                    : ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            }
        } else if stable < current {
            let rate = downLimit(current, behavior?["scaleDown"], now)
            if replicas < max(rate, least) {
                replicas = max(rate, least)
                limit =
                    rate > least
                    ? ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
                    : ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            }
        }
        if replicas > most {
            replicas = most
            limit = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
        } else if replicas < least {
            replicas = least
            limit = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
        }
        return Limited(replicas: replicas, able: able, limit: limit)
    }

    /// The scale was changed by this much.
    mutating func scaled(by delta: Int, now: Timestamp) {
        changes.append(Change(delta: delta, time: now))
        if changes.count > Self.historyLimit { changes.removeFirst() }
    }

    /// Within its window the lowest recommendation counts for growing and the highest for shrinking.
    private func stabilized(
        _ wanted: Int, current: Int, _ behavior: JSON?, _ now: Timestamp
    ) -> (Int, able: (reason: String, message: String)) {
        func recent(_ direction: String, standard: Int) -> [Int] {
            let seconds = behavior?[direction]?["stabilizationWindowSeconds"]?.integer ?? standard
            return recommendations.filter { $0.time > now - .seconds(seconds) }.map(\.replicas) + [wanted]
        }
        let up = recent("scaleUp", standard: 0).min() ?? wanted
        let down = recent("scaleDown", standard: Self.standardDownWindow).max() ?? wanted
        var stable = current
        if stable < up { stable = up }
        if stable > down { stable = down }
        if wanted < stable {
            return (
                stable,
                (
                    "ScaleDownStabilized",
                    "recent recommendations were higher than current one, applying the highest recent recommendation"
                )
            )
        }
        if wanted > stable {
            return (
                stable,
                (
                    "ScaleUpStabilized",
                    "recent recommendations were lower than current one, applying the lowest recent recommendation"
                )
            )
        }
        return (stable, ("ReadyForNewScale", "recommended size matches current size"))
    }

    private func changed(within seconds: Int, up: Bool, _ now: Timestamp) -> Int {
        changes.filter { ($0.delta > 0) == up && $0.time > now - .seconds(seconds) }.map { abs($0.delta) }.reduce(0, +)
    }

    private func upLimit(_ current: Int, _ rules: JSON?, _ now: Timestamp) -> Int {
        let policies =
            rules?["policies"]?.array ?? [
                ["type": "Pods", "value": 4, "periodSeconds": 15],
                ["type": "Percent", "value": 100, "periodSeconds": 15],
            ]
        let limits = policies.map { policy -> Int in
            let value = policy["value"]?.integer ?? 0
            let grown = changed(within: policy["periodSeconds"]?.integer ?? 0, up: true, now)
            let start = current - grown
            if policy["type"]?.string == "Pods" { return start + value }
            return Int((Double(start) * (1 + Double(value) / 100)).rounded(.up))
        }
        switch rules?["selectPolicy"]?.string {
        case "Disabled": return current
        case "Min": return max(current, limits.min() ?? Int.max)
        default: return max(current, limits.max() ?? Int.max)
        }
    }

    private func downLimit(_ current: Int, _ rules: JSON?, _ now: Timestamp) -> Int {
        let policies = rules?["policies"]?.array ?? [["type": "Percent", "value": 100, "periodSeconds": 15]]
        let limits = policies.map { policy -> Int in
            let value = policy["value"]?.integer ?? 0
            let shrunk = changed(within: policy["periodSeconds"]?.integer ?? 0, up: false, now)
            let start = current + shrunk
            if policy["type"]?.string == "Pods" { return start - value }
            return Int(Double(start) * (1 - Double(value) / 100))
        }
        switch rules?["selectPolicy"]?.string {
        case "Disabled": return current
        // The least change is the one that leaves most replicas.
        case "Min": return min(current, limits.max() ?? 0)
        default: return min(current, limits.min() ?? 0)
        }
    }
}
