// Decides whether something that happened becomes a new Event or counts up one that exists.

import Formats
import Objects

package enum EventKind: String, Sendable {
    case normal = "Normal"
    case warning = "Warning"
}

/// Something worth telling about an object.
struct Notice: Sendable {
    var about: JSON
    var namespace: String
    var kind: EventKind
    var reason: String
    var message: String
    var time: Timestamp
}

/// Notices in, writes out. A notice that equals an earlier one counts that Event up instead of making another; where
/// one thing has many different messages for one reason, those beyond `similarLimit` share an Event that shows the
/// newest of them (upstream: client-go's EventAggregator, in its words).
struct EventRecorderMachine: Sendable {
    enum Action: Sendable {
        case create(Object)
        case patch(ObjectKey, JSON)
    }

    /// Notices that wait to be written; more than that are dropped and counted.
    static let waitingLimit = 1000
    /// Events that are remembered for counting up; the oldest half is forgotten when it is reached.
    static let knownLimit = 4096
    /// Different messages about one thing that have Events of their own, one fewer than this.
    static let similarLimit = 10
    /// After so long without one they are counted anew.
    static let similarSeconds: Int64 = 600
    static let combinedPrefix = "(combined from similar events): "

    private struct Identity: Hashable {
        var about: JSON
        var kind: EventKind
        var reason: String
        /// Nil for the Event that similar ones share.
        var message: String?
    }

    private struct Similar {
        var messages: Set<String> = []
        var last: Int64
    }

    private struct Known {
        var key: ObjectKey
        var first: Timestamp
        var count: Int
        var lastUse: Int
    }

    private let component: String
    private let host: String
    private var waiting: [Notice] = []
    private var known: [Identity: Known] = [:]
    /// By identities without a message.
    private var similar: [Identity: Similar] = [:]
    private var serial = 0
    private(set) var dropped = 0

    init(component: String, host: String) {
        self.component = component
        self.host = host
    }

    mutating func recorded(_ notice: Notice) {
        if waiting.count >= Self.waitingLimit {
            dropped += 1
        } else {
            waiting.append(notice)
        }
    }

    /// The next write; nil when there is none.
    mutating func next() -> Action? {
        if waiting.isEmpty { return nil }
        var notice = waiting.removeFirst()
        var identity = Identity(about: notice.about, kind: notice.kind, reason: notice.reason, message: nil)
        let isCombined = isOneOfMany(notice, identity)
        if isCombined {
            notice.message = Self.combinedPrefix + notice.message
        } else {
            identity.message = notice.message
        }
        serial += 1
        if var event = known[identity] {
            event.count += 1
            event.lastUse = serial
            known[identity] = event
            var patch: JSON = ["count": JSON(event.count), "lastTimestamp": .string(notice.time.rfc3339)]
            if isCombined { patch["message"] = .string(notice.message) }
            return .patch(event.key, patch)
        }
        forgetIfFull()
        let key = ObjectKey(namespace: notice.namespace, name: name(notice))
        known[identity] = Known(key: key, first: notice.time, count: 1, lastUse: serial)
        return .create(event(notice, key))
    }

    /// The event that was to be counted up is gone; the next equal notice makes a new one.
    mutating func vanished(_ key: ObjectKey) {
        for (identity, event) in known where event.key == key { known[identity] = nil }
    }

    /// Whether so many different messages came lately that this one is no Event of its own any more.
    private mutating func isOneOfMany(_ notice: Notice, _ group: Identity) -> Bool {
        let now = notice.time.secondsSinceEpoch
        if similar.count >= Self.knownLimit { similar = similar.filter { now - $0.value.last <= Self.similarSeconds } }
        if similar.count >= Self.knownLimit { similar = [:] }
        var found = similar[group] ?? Similar(last: now)
        if now - found.last > Self.similarSeconds { found.messages = [] }
        found.last = now
        found.messages.insert(notice.message)
        let isMany = found.messages.count >= Self.similarLimit
        if isMany { found.messages.remove(notice.message) }
        similar[group] = found
        return isMany
    }

    private mutating func forgetIfFull() {
        if known.count < Self.knownLimit { return }
        let oldest = serial - Self.knownLimit / 2
        known = known.filter { $0.value.lastUse > oldest }
    }

    /// Upstream's form: the object's name and a number that does not come twice.
    private func name(_ notice: Notice) -> String {
        let number = notice.time.secondsSinceEpoch * 1_000_000_000 + Int64(notice.time.nanoseconds) + Int64(serial)
        return "\(notice.about["name"]?.string ?? "").\(String(number, radix: 16))"
    }

    private func event(_ notice: Notice, _ key: ObjectKey) -> Object {
        var event = Object(.events, namespace: key.namespace, name: key.name)
        let time = JSON.string(notice.time.rfc3339)
        var source: JSON = ["component": .string(component)]
        if !host.isEmpty { source["host"] = .string(host) }
        event["involvedObject"] = notice.about
        event["reason"] = .string(notice.reason)
        event["message"] = .string(notice.message)
        event["source"] = source
        event["firstTimestamp"] = time
        event["lastTimestamp"] = time
        event["count"] = 1
        event["type"] = .string(notice.kind.rawValue)
        event["eventTime"] = .null
        event["reportingComponent"] = .string(component)
        event["reportingInstance"] = .string(host)
        return event
    }
}
