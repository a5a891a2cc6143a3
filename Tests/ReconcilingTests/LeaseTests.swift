// Who holds a Lease, by scripts of what candidates read and write.

import Formats
import Objects
import Testing

@testable import Reconciling

@Suite struct LeaseTests {
    static let key = ObjectKey(namespace: "mangrove-system", name: "leader")
    static let time = Timestamp(secondsSinceEpoch: 1_800_000_000)

    /// A Lease as a server would keep it.
    private struct Server {
        var lease: Object?

        /// One try of a candidate. Returns whether it wrote.
        mutating func tried(_ machine: inout LeaseMachine, at seconds: Double) -> Bool {
            let now = Duration.seconds(seconds)
            switch machine.read(lease, now: now, time: LeaseTests.time + now) {
            case .wait: return false
            case .create(let fresh), .update(let fresh):
                lease = fresh
                machine.written(fresh, now: now)
                return true
            }
        }

        var holder: String? { lease?.spec["holderIdentity"]?.string }
    }

    private func candidate(_ identity: String) -> LeaseMachine { LeaseMachine(key: Self.key, identity: identity) }

    @Test func theFirstHoldsAndRenews() {
        var server = Server(), one = candidate("one"), two = candidate("two")
        #expect(server.tried(&one, at: 0) && server.holder == "one" && one.isHolding(now: .zero))
        #expect(!server.tried(&two, at: 1))
        for second in stride(from: 2.0, to: 60, by: 2) {
            #expect(server.tried(&one, at: second))
            #expect(!server.tried(&two, at: second + 1))
        }
        #expect(server.lease?.spec["leaseTransitions"]?.integer == 0)
    }

    @Test func aSilentHolderIsFollowedAfterTheLeaseAndNotBefore() {
        var server = Server(), one = candidate("one"), two = candidate("two")
        #expect(server.tried(&one, at: 0))
        // It counts from when it saw the Lease, whatever the Lease says of time.
        #expect(!server.tried(&two, at: 10))
        #expect(!server.tried(&two, at: 24.9))
        #expect(!one.isHolding(now: .seconds(10)))
        #expect(server.tried(&two, at: 25) && server.holder == "two")
        #expect(server.lease?.spec["leaseTransitions"]?.integer == 1)
        // The first comes back and finds that it is over.
        #expect(!server.tried(&one, at: 26) && !one.isHolding(now: .seconds(26)))
    }

    @Test func whatIsGivenBackIsFreeAtOnce() throws {
        var server = Server(), one = candidate("one"), two = candidate("two")
        #expect(server.tried(&one, at: 0))
        #expect(!server.tried(&two, at: 1))
        let lease = try #require(server.lease)
        server.lease = one.released(lease, time: Self.time)
        #expect(!one.isHolding(now: .seconds(1)))
        #expect(server.tried(&two, at: 1.5) && server.holder == "two")
        #expect(one.released(try #require(server.lease), time: Self.time) == nil)
    }

    @Test func theSameIdentityGoesOnAfterARestart() {
        var server = Server(), one = candidate("one"), again = candidate("one")
        #expect(server.tried(&one, at: 0))
        #expect(server.tried(&again, at: 1))
        #expect(server.lease?.spec["leaseTransitions"]?.integer == 0)
    }
}

@Suite struct MembershipTests {
    private func lease(_ renewed: Int, holder: String = "one") -> Object {
        var lease = Object(.leases, namespace: "mangrove-system", name: "mangrove-one")
        lease.spec = [
            "holderIdentity": .string(holder), "leaseDurationSeconds": 15, "renewTime": .string("\(renewed)"),
        ]
        return lease
    }

    @Test func aSilentMemberIsForgottenAfterLeaseAndGraceAndNotBefore() {
        var machine = MembershipMachine(grace: .seconds(30))
        for second in stride(from: 0, through: 60, by: 5) {
            machine.changed("one", to: lease(second), now: .seconds(second))
            #expect(machine.living(now: .seconds(second)) == ["one"])
        }
        #expect(machine.living(now: .seconds(74.9)) == ["one"] && machine.living(now: .seconds(75)).isEmpty)
        #expect(!machine.isForgotten("one", now: .seconds(104.9)) && machine.isForgotten("one", now: .seconds(105)))
        // Its words told again, by a list, are no sign of life; new ones are.
        machine.changed("one", to: lease(60), now: .seconds(104))
        #expect(machine.isForgotten("one", now: .seconds(105)))
        machine.changed("one", to: lease(106), now: .seconds(106))
        #expect(machine.living(now: .seconds(106)) == ["one"] && !machine.isForgotten("one", now: .seconds(106)))
    }

    @Test func whoSaysThatItGoesHasTheGraceOnly() {
        var machine = MembershipMachine(grace: .seconds(30))
        machine.changed("one", to: lease(0), now: .zero)
        machine.changed("one", to: lease(1, holder: ""), now: .seconds(1))
        #expect(machine.living(now: .seconds(1)).isEmpty)
        #expect(!machine.isForgotten("one", now: .seconds(30.9)) && machine.isForgotten("one", now: .seconds(31)))
    }

    @Test func aLeaseThatIsDeletedAndOneThatNeverWas() {
        var machine = MembershipMachine(grace: .seconds(30))
        machine.changed("one", to: lease(0), now: .zero)
        machine.changed("one", to: nil, now: .seconds(2))
        #expect(!machine.isForgotten("one", now: .seconds(31)) && machine.isForgotten("one", now: .seconds(32)))
        #expect(!machine.isForgotten("two", now: .seconds(1000)))
        machine.found("two", now: .seconds(1000))
        machine.found("two", now: .seconds(1020))
        #expect(!machine.isForgotten("two", now: .seconds(1029)) && machine.isForgotten("two", now: .seconds(1030)))
    }
}
