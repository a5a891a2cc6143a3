// Equal notices count up, others become Events of their own.

import Formats
import Objects
import Testing

@testable import Reconciling

@Suite struct EventRecorderMachineTests {
    func notice(_ message: String, at second: Int64) -> Notice {
        Notice(
            about: ["kind": "Pod", "name": "web", "uid": "u1"], namespace: "shop", kind: .warning, reason: "BackOff",
            message: message, time: Timestamp(secondsSinceEpoch: second))
    }

    @Test func theSameNoticeCountsUpTheFirstEvent() throws {
        var machine = EventRecorderMachine(component: "kubelet", host: "node")
        machine.recorded(notice("failing", at: 100))
        machine.recorded(notice("failing", at: 160))
        machine.recorded(notice("other", at: 170))
        guard case .create(let event) = machine.next() else {
            Issue.record("no event was created")
            return
        }
        #expect(event["count"]?.integer == 1)
        #expect(event["firstTimestamp"]?.string == "1970-01-01T00:01:40Z")
        #expect(event.namespace == "shop")
        guard case .patch(let key, let patch) = machine.next() else {
            Issue.record("the event was not counted up")
            return
        }
        #expect(key == event.key)
        #expect(patch == ["count": 2, "lastTimestamp": "1970-01-01T00:02:40Z"])
        guard case .create(let other) = machine.next() else {
            Issue.record("another message is another event")
            return
        }
        #expect(other.name != event.name)
        if machine.next() != nil { Issue.record("nothing was left to write") }
    }

    @Test func aVanishedEventIsMadeAnew() {
        var machine = EventRecorderMachine(component: "kubelet", host: "")
        machine.recorded(notice("failing", at: 100))
        if case .create(let event) = machine.next() { machine.vanished(event.key) }
        machine.recorded(notice("failing", at: 101))
        if case .create = machine.next() { return }
        Issue.record("no new event was created")
    }

    @Test func noticesBeyondTheLimitAreDroppedAndCounted() {
        var machine = EventRecorderMachine(component: "kubelet", host: "")
        for second in 0..<(EventRecorderMachine.waitingLimit + 3) { machine.recorded(notice("x", at: Int64(second))) }
        #expect(machine.dropped == 3)
    }
}
