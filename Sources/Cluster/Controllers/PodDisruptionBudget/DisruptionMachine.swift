// Decides how many of a budget's pods may be disturbed now.

import Formats
import Objects

/// One look at a PodDisruptionBudget and its pods, after `kubernetes/pkg/controller/disruption/disruption.go`.
struct DisruptionMachine: Sendable {
    /// An eviction that was allowed and not carried out for this long is forgotten.
    static let deletionTimeout = Duration.seconds(120)

    let budget: Object
    /// The pods that it selects.
    let pods: [Object]
    let now: Timestamp

    /// The pods that a budget selects: none without a selector, all of the namespace with an empty one.
    static func selects(_ budget: Object, _ pod: Object) -> Bool {
        guard let tree = budget.spec["selector"], !tree.isNull, let selector = try? LabelSelector(tree) else {
            return false
        }
        return selector.matches(pod.labels)
    }

    /// Whether the budget needs to know how many pods their owners want.
    var needsScale: Bool {
        budget.spec["maxUnavailable"] != nil || budget.spec["minAvailable"]?.string != nil
    }

    /// The status. `scale` is how many pods their owners want together; it counts only where `needsScale`.
    func status(scale: Int) -> JSON {
        var expected = scale
        let desired: Int
        if let most = budget.spec["maxUnavailable"] {
            desired = max(0, scale - RolloutStrategy.resolve(most, of: scale, roundingUp: true))
        } else if let least = budget.spec["minAvailable"], least.string != nil {
            desired = RolloutStrategy.resolve(least, of: scale, roundingUp: true)
        } else {
            desired = budget.spec["minAvailable"]?.integer ?? 1
            expected = pods.filter { !$0.isPodFinished }.count
        }
        let disrupted = self.disrupted
        let healthy = pods.filter { $0.isPodReady && !$0.isTerminating && disrupted[$0.name] == nil }.count
        let allowed = expected <= 0 ? 0 : max(0, healthy - desired)
        var status = budget.status
        status["currentHealthy"] = JSON(healthy)
        status["desiredHealthy"] = JSON(desired)
        status["expectedPods"] = JSON(expected)
        status["disruptionsAllowed"] = JSON(allowed)
        let names = disrupted.keys.sorted().map { ($0, disrupted[$0] ?? .null) }
        status["disruptedPods"] = names.isEmpty ? Optional.none : .object(JSONObject(names))
        status["observedGeneration"] = JSON(budget.generation)
        return conditions(over: status, allowed > 0 ? "SufficientPods" : "InsufficientPods", isAllowed: allowed > 0)
    }

    /// The status where the number of pods cannot be told: nothing may be disturbed.
    func status(failure: String) -> JSON {
        var status = budget.status
        status["disruptionsAllowed"] = 0
        status["observedGeneration"] = JSON(budget.generation)
        return conditions(over: status, "SyncFailed", message: failure, isAllowed: false)
    }

    private func conditions(over status: JSON, _ reason: String, message: String = "", isAllowed: Bool) -> JSON {
        var status = status
        var conditions = Conditions(budget.status, now: now)
        conditions.set(
            "DisruptionAllowed", isAllowed ? "True" : "False", reason: reason, message: message,
            refreshed: true, observedGeneration: budget.generation)
        status["conditions"] = conditions.json
        return status
    }

    /// Evictions under way: allowed, not yet seen as a deletion, and not too long ago.
    private var disrupted: [String: JSON] {
        let waiting = Set(pods.filter { !$0.isTerminating }.map(\.name))
        var left: [String: JSON] = [:]
        for member in budget.status["disruptedPods"]?.object ?? JSONObject() {
            guard waiting.contains(member.key), let time = member.value.string.flatMap(Timestamp.init(rfc3339:)) else {
                continue
            }
            if time + Self.deletionTimeout > now { left[member.key] = member.value }
        }
        return left
    }

    /// When an eviction under way is forgotten, if any is.
    func nextLook() -> Duration? {
        disrupted.values.compactMap { $0.string.flatMap(Timestamp.init(rfc3339:)) }
            .map { $0 + Self.deletionTimeout - now }.min()
    }
}
