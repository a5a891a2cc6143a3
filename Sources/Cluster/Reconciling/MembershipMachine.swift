// Which replicas of a program live, judged by the Leases that each of them renews.

import Formats
import Objects

/// The members of a group as one of them sees them.
///
/// A member lives as long as its Lease changes; a Lease's own times are other machines' clocks and are not believed. A
/// member is forgotten only when its Lease stood still for its own duration and the grace after it, so a reader that
/// starts late judges late, and never early. `now` is the span since a fixed moment that the shell chose.
package struct MembershipMachine: Sendable {
    private struct Member: Sendable {
        var spec: JSON
        var seenAt: Duration
        var lease: Duration
        /// It said that it goes, or its Lease is gone: the grace begins at once.
        var hasLeft: Bool
    }

    package let grace: Duration
    private var members: [String: Member] = [:]

    package init(grace: Duration) { self.grace = grace }

    /// A member's Lease is now this; nil when it is gone.
    package mutating func changed(_ identity: String, to lease: Object?, now: Duration) {
        guard let lease else {
            if members[identity]?.hasLeft == false {
                members[identity]?.hasLeft = true
                members[identity]?.seenAt = now
            }
            return
        }
        if let member = members[identity], member.spec == lease.spec { return }
        members[identity] = Member(
            spec: lease.spec, seenAt: now, lease: .seconds(lease.spec["leaseDurationSeconds"]?.integer ?? 0),
            hasLeft: (lease.spec["holderIdentity"]?.string ?? "").isEmpty)
    }

    /// Records of a member were found that has no Lease: it is judged as one that left when that was first seen.
    package mutating func found(_ identity: String, now: Duration) {
        if members[identity] == nil {
            members[identity] = Member(spec: .null, seenAt: now, lease: .zero, hasLeft: true)
        }
    }

    /// Members that live now, as far as can be told.
    package func living(now: Duration) -> Set<String> {
        Set(members.filter { !$0.value.hasLeft && $0.value.seenAt + $0.value.lease > now }.keys)
    }

    /// Whether what a member left behind may be taken away.
    package func isForgotten(_ identity: String, now: Duration) -> Bool {
        guard let member = members[identity] else { return false }
        return member.seenAt + (member.hasLeft ? .zero : member.lease) + grace <= now
    }
}
