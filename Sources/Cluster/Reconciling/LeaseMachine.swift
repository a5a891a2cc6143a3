// Decides whose turn it is to hold a Lease, by the rules of client-go's leaderelection.

import Formats
import Objects

/// How long a Lease holds, and how it is kept.
package struct LeaseTiming: Sendable, Hashable {
    /// Others wait for so long after the last sign of the holder.
    package var lease: Duration
    /// A holder that could not renew for so long holds no longer.
    package var renewDeadline: Duration
    /// Between tries.
    package var retry: Duration

    package init(lease: Duration = .seconds(15), renewDeadline: Duration = .seconds(10), retry: Duration = .seconds(2))
    {
        self.lease = lease
        self.renewDeadline = renewDeadline
        self.retry = retry
    }
}

/// One candidate's view of one Lease.
///
/// Clocks of different machines are never compared: another holder's time runs from the moment at which this candidate
/// saw the Lease change. `now` is the span since a fixed moment that the shell chose; `time` is only written down for
/// people.
package struct LeaseMachine: Sendable {
    package enum Step: Sendable, Hashable {
        case create(Object)
        case update(Object)
        /// Somebody else holds it.
        case wait
    }

    package let key: ObjectKey
    package let identity: String
    package let timing: LeaseTiming
    package var labels: [String: String] = [:]
    private var seen: JSON?
    private var seenAt: Duration = .zero
    private var renewedAt: Duration?

    package init(key: ObjectKey, identity: String, timing: LeaseTiming = LeaseTiming()) {
        self.key = key
        self.identity = identity
        self.timing = timing
    }

    /// Whether this candidate may act as the holder: it renewed within the deadline.
    package func isHolding(now: Duration) -> Bool { renewedAt.map { now - $0 < timing.renewDeadline } ?? false }

    /// The Lease as it was just read, nil when there is none. What is answered is to be written, and `written` to
    /// follow.
    package mutating func read(_ lease: Object?, now: Duration, time: Timestamp) -> Step {
        guard var lease else {
            var fresh = Object(.leases, namespace: key.namespace, name: key.name)
            fresh.labels = labels
            fresh.spec = spec(acquired: time, renewed: time, transitions: 0)
            return .create(fresh)
        }
        if seen != lease.spec {
            seen = lease.spec
            seenAt = now
        }
        let holder = lease.spec["holderIdentity"]?.string ?? ""
        if holder != identity {
            let seconds = lease.spec["leaseDurationSeconds"]?.integer ?? 0
            if !holder.isEmpty, seenAt + .seconds(seconds) > now {
                renewedAt = nil
                return .wait
            }
            let transitions = (lease.spec["leaseTransitions"]?.integer ?? 0) + 1
            lease.spec = spec(acquired: time, renewed: time, transitions: transitions)
        } else {
            lease.spec["leaseDurationSeconds"] = JSON(Self.seconds(timing.lease))
            lease.spec["renewTime"] = .string(time.rfc3339Micro)
        }
        lease.labels = lease.labels.merging(labels) { $1 }
        return .update(lease)
    }

    /// The Lease was written as this candidate wanted it. A write that failed is just tried again.
    package mutating func written(_ lease: Object, now: Duration) {
        seen = lease.spec
        seenAt = now
        renewedAt = now
    }

    /// What to write so that the next one need not wait; nil when this candidate does not hold it.
    package mutating func released(_ lease: Object, time: Timestamp) -> Object? {
        renewedAt = nil
        guard lease.spec["holderIdentity"]?.string == identity else { return nil }
        var lease = lease
        lease.spec["holderIdentity"] = ""
        lease.spec["leaseDurationSeconds"] = 1
        lease.spec["renewTime"] = .string(time.rfc3339Micro)
        return lease
    }

    private func spec(acquired: Timestamp, renewed: Timestamp, transitions: Int) -> JSON {
        [
            "holderIdentity": .string(identity), "leaseDurationSeconds": JSON(Self.seconds(timing.lease)),
            "acquireTime": .string(acquired.rfc3339Micro), "renewTime": .string(renewed.rfc3339Micro),
            "leaseTransitions": JSON(transitions),
        ]
    }

    private static func seconds(_ span: Duration) -> Int { max(1, Int((span / .seconds(1)).rounded(.up))) }
}
