// One of a pod's conditions, with the time of its last change.

import Formats

/// An entry of `status.conditions`.
package struct PodCondition: Sendable, Hashable {
    package var type: String
    package var isTrue: Bool
    package var reason: String
    package var message: String
    package var lastTransitionTime: Timestamp

    init(_ type: String, _ isTrue: Bool, reason: String = "", message: String = "", at time: Timestamp) {
        self.type = type
        self.isTrue = isTrue
        self.reason = reason
        self.message = message
        lastTransitionTime = time
    }

    init?(_ tree: JSON) {
        guard let type = tree["type"]?.string,
            let time = tree["lastTransitionTime"]?.string.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        self.init(
            type, tree["status"]?.string == "True", reason: tree["reason"]?.string ?? "",
            message: tree["message"]?.string ?? "", at: time)
    }

    /// For a strategic merge patch over what the API has of this condition: what is not there any more is taken away.
    func patch(over old: JSON?) -> JSON {
        var tree: JSON = ["type": .string(type), "status": isTrue ? "True" : "False"]
        tree["lastTransitionTime"] = .string(lastTransitionTime.rfc3339)
        for (name, text) in [("reason", reason), ("message", message)] {
            if !text.isEmpty {
                tree[name] = .string(text)
            } else if old?[name] != nil {
                tree[name] = .null
            }
        }
        return tree
    }
}
