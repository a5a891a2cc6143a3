// Decides when a leaving pod's withdrawal is acknowledged, and what to say about it.

import Catalogue
import Formats
import Objects

/// What is to be done about one leaving pod.
package enum WithdrawalDecision: Sendable, Hashable {
    /// Nothing: the pod does not leave, or it has been said already.
    case nothing
    /// Somebody has still to acknowledge, or may still turn up.
    case wait
    /// Write the condition.
    case acknowledge(reason: String, message: String)
}

/// Leaving pods and who holds them up. Time is a parameter: the span since the shell's start.
package struct WithdrawalMachine: Sendable {
    /// The pod condition that says that every known consumer has acknowledged.
    package static let condition = "mangrove.dev/Withdrawn"
    /// On a pod, with its uid: the consumers of this replica have acknowledged.
    static func replicaAnnotation(_ identity: String) -> String { "withdrawn.mangrove.dev/" + identity }
    /// Consumers need this long to come back after a start; before it, nobody outstanding means nothing.
    package static let reconnectAllowance: Duration = .seconds(3)
    /// Subscribers named in a message.
    static let namedLimit = 5

    private struct Leaving: Sendable {
        var since: Duration
        var seen: Set<SubscriberID> = []
    }

    private var leaving: [String: Leaving] = [:]
    /// By address, who used it when it was withdrawn, and when that was. Some acknowledge before the pod is looked at.
    private var withdrawals: [String: Leaving] = [:]

    package init() {}

    /// An address was withdrawn, which these subscribers use.
    package mutating func withdrew(_ address: String, usedBy subscribers: Set<SubscriberID>, now: Duration) {
        withdrawals[address] = Leaving(since: now, seen: subscribers)
    }

    /// An address may be used again.
    package mutating func lifted(_ address: String) { withdrawals[address] = nil }

    /// Pods that leave and are not acknowledged.
    package var count: Int { leaving.count }

    /// Whether everything at an address is to be hidden, from all the pods that have it: one leaves and none stays.
    package static func isWithdrawn(_ pods: [Object]) -> Bool {
        pods.contains { $0.isTerminating } && !pods.contains { !$0.isTerminating && !isFinished($0) }
    }

    /// The address by which a pod is known to consumers; nil for pods without one and for those that share the host's.
    package static func address(of pod: Object) -> String? {
        guard pod.spec["hostNetwork"]?.bool != true, let address = pod.status["podIP"]?.string, !address.isEmpty else {
            return nil
        }
        return address
    }

    private static func isFinished(_ pod: Object) -> Bool {
        let phase = pod.status["phase"]?.string
        return phase == "Succeeded" || phase == "Failed"
    }

    /// A pod was looked at together with the subscribers that are outstanding for its address.
    package mutating func looked(at pod: Object, outstanding: Set<SubscriberID>, now: Duration) -> WithdrawalDecision {
        guard pod.isTerminating, !pod.isTrue(Self.condition) else {
            leaving[pod.uid] = nil
            return .nothing
        }
        guard let address = Self.address(of: pod) else {
            return pod.spec["hostNetwork"]?.bool == true
                ? .acknowledge(
                    reason: "HostNetwork", message: "shares the host's address, so consumers are not waited for")
                : .acknowledge(reason: "NoAddress", message: "never had an address")
        }
        var entry = leaving[pod.uid] ?? withdrawals[address] ?? Leaving(since: now)
        entry.seen.formUnion(outstanding)
        leaving[pod.uid] = entry
        guard outstanding.isEmpty, now >= Self.reconnectAllowance else { return .wait }
        return .acknowledge(reason: "Acknowledged", message: Self.message(entry, now: now))
    }

    /// A pod is gone.
    package mutating func vanished(uid: String) { leaving[uid] = nil }

    private static func message(_ entry: Leaving, now: Duration) -> String {
        let milliseconds = Int((now - entry.since) / .milliseconds(1))
        if entry.seen.isEmpty { return "no subscriber knew it (0 acknowledgements in \(milliseconds) ms)" }
        let names = entry.seen.map(\.text).sorted()
        var list = names.prefix(namedLimit).joined(separator: ", ")
        if names.count > namedLimit { list += " and \(names.count - namedLimit) more" }
        let noun = names.count == 1 ? "acknowledgement" : "acknowledgements"
        return "\(names.count) \(noun) in \(milliseconds) ms: \(list)"
    }

    /// The patch of `pods/status` that writes the condition. It names the uid, so that a new pod of the name is safe.
    package static func patch(_ pod: Object, reason: String, message: String, time: Timestamp) -> JSON {
        [
            "metadata": ["uid": .string(pod.uid)],
            "status": [
                "conditions": [
                    [
                        "type": .string(condition), "status": "True", "reason": .string(reason),
                        "message": .string(message), "lastTransitionTime": .string(time.rfc3339),
                    ]
                ]
            ],
        ]
    }
}
