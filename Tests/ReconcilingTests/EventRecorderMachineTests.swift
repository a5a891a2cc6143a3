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

    @Test func manySimilarNoticesShareAnEvent() throws {
        var machine = EventRecorderMachine(component: "kubelet", host: "")
        var created: [Object] = []
        var patched: [(ObjectKey, JSON)] = []
        func tell(_ message: String, at second: Int64) {
            machine.recorded(notice(message, at: second))
            switch machine.next() {
            case .create(let event): created.append(event)
            case .patch(let key, let patch): patched.append((key, patch))
            case nil: Issue.record("nothing was written")
            }
        }
        for number in 0..<20 { tell("cannot make web-\(number)", at: 100 + Int64(number)) }
        #expect(created.count == 10 && patched.count == 10)
        #expect(created.last?["message"] == "(combined from similar events): cannot make web-9")
        #expect(patched.last?.0 == created.last?.key)
        #expect(
            patched.last?.1 == [
                "count": 11, "lastTimestamp": "1970-01-01T00:01:59Z",
                "message": "(combined from similar events): cannot make web-19",
            ])
        // One of the first still counts its own, and after a while without any they have Events of their own again.
        tell("cannot make web-3", at: 130)
        #expect(patched.last?.0 == created[3].key && patched.last?.1["message"] == nil)
        tell("cannot make web-77", at: 131 + EventRecorderMachine.similarSeconds)
        #expect(created.count == 11 && created.last?["message"] == "cannot make web-77")
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
