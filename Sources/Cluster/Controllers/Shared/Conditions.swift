// Sets conditions of a status the way upstream's helpers do.

import Formats
import Objects

/// The conditions of a status being computed.
struct Conditions: Sendable {
    private(set) var entries: [JSON]
    private let now: Timestamp

    init(_ status: JSON, now: Timestamp) {
        entries = status["conditions"]?.array ?? []
        self.now = now
    }

    var json: JSON? { .list(entries) }

    subscript(_ type: String) -> JSON? { entries.first { $0["type"]?.string == type } }

    mutating func remove(_ type: String) { entries.removeAll { $0["type"]?.string == type } }

    /// Sets a condition. With the same status and reason it stays as it is, unless `refreshed`; with the same status it
    /// keeps its transition time. Kinds differ in what else they note: `lastUpdateTime`, `lastProbeTime` or neither.
    mutating func set(
        _ type: String, _ status: String, reason: String, message: String, hasUpdateTime: Bool = false,
        refreshed: Bool = false, probed: Bool = false, observedGeneration: Int? = nil
    ) {
        let old = self[type]
        let isSameStatus = old?["status"]?.string == status
        if isSameStatus, !refreshed, old?["reason"]?.string == reason { return }
        var condition: JSON = ["type": .string(type), "status": .string(status)]
        if probed { condition["lastProbeTime"] = .string(now.rfc3339) }
        if hasUpdateTime { condition["lastUpdateTime"] = .string(now.rfc3339) }
        condition["lastTransitionTime"] =
            isSameStatus ? old?["lastTransitionTime"] ?? .string(now.rfc3339) : .string(now.rfc3339)
        condition["reason"] = .string(reason)
        condition["message"] = .string(message)
        if let observedGeneration { condition["observedGeneration"] = JSON(observedGeneration) }
        // In its place, so that a condition that only is refreshed does not move.
        if let index = entries.firstIndex(where: { $0["type"]?.string == type }) {
            entries[index] = condition
        } else {
            entries.append(condition)
        }
    }
}
