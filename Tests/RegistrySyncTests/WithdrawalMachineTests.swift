// When a leaving pod's withdrawal counts as acknowledged.

import Catalogue
import Formats
import Objects
import Rollouts
import Testing

@Suite struct WithdrawalMachineTests {
    func pod(_ name: String = "a", address: String? = "10.0.0.1", leaving: Bool = true) -> Object {
        var pod = Object(.pods, namespace: "shop", name: name)
        pod.tree["metadata", "uid"] = .string("uid-\(name)")
        if leaving { pod.tree["metadata", "deletionTimestamp"] = "2025-01-01T00:00:00Z" }
        if let address { pod.tree["status", "podIP"] = .string(address) }
        return pod
    }

    func outstanding(_ names: String...) -> Set<SubscriberID> { Set(names.map { SubscriberID($0) }) }

    @Test func waitsForEveryAcknowledgement() {
        var machine = WithdrawalMachine()
        let pod = pod()
        let decisions = [
            machine.looked(at: pod, outstanding: outstanding("x", "y"), now: .seconds(10)),
            machine.looked(at: pod, outstanding: outstanding("y"), now: .milliseconds(10_040)),
            machine.looked(at: pod, outstanding: [], now: .milliseconds(10_250)),
        ]
        let message = "2 acknowledgements in 250 ms: x, y"
        #expect(decisions == [.wait, .wait, .acknowledge(reason: "Acknowledged", message: message)])
    }

    @Test func namesThoseWhoAcknowledgeBeforeThePodIsLookedAt() {
        var machine = WithdrawalMachine()
        machine.withdrew("10.0.0.1", usedBy: outstanding("x"), now: .seconds(10))
        let decision = machine.looked(at: pod(), outstanding: [], now: .milliseconds(10_005))
        #expect(decision == .acknowledge(reason: "Acknowledged", message: "1 acknowledgement in 5 ms: x"))
        machine.vanished(uid: "uid-a")
        machine.lifted("10.0.0.1")
        let next = machine.looked(at: pod("b"), outstanding: [], now: .seconds(20))
        let message = "no subscriber knew it (0 acknowledgements in 0 ms)"
        #expect(next == .acknowledge(reason: "Acknowledged", message: message))
    }

    @Test func letsConsumersComeBackAfterAStart() {
        var machine = WithdrawalMachine()
        let early = machine.looked(at: pod(), outstanding: [], now: .seconds(1))
        #expect(early == .wait)
        guard case .acknowledge = machine.looked(at: pod(), outstanding: [], now: .seconds(3)) else {
            Issue.record("nobody came, and it still waits")
            return
        }
    }

    @Test func answersAtOnceForPodsWithoutAnAddressOfTheirOwn() {
        var machine = WithdrawalMachine()
        var shared = pod()
        shared.spec = ["hostNetwork": true]
        for (pod, expected) in [(pod(address: nil), "NoAddress"), (shared, "HostNetwork")] {
            guard case .acknowledge(let reason, _) = machine.looked(at: pod, outstanding: [], now: .zero) else {
                Issue.record("waits")
                continue
            }
            #expect(reason == expected)
        }
    }

    @Test func leavesOthersAlone() {
        var machine = WithdrawalMachine()
        let staying = machine.looked(at: pod(leaving: false), outstanding: outstanding("x"), now: .seconds(9))
        #expect(staying == .nothing)
        var said = pod()
        _ = machine.looked(at: said, outstanding: outstanding("x"), now: .seconds(9))
        #expect(machine.count == 1)
        said.status = [
            "conditions": [["type": .string(WithdrawalMachine.condition), "status": "True"]], "podIP": "10.0.0.1",
        ]
        let again = machine.looked(at: said, outstanding: outstanding("x"), now: .seconds(9))
        #expect(again == .nothing)
        #expect(machine.count == 0)
    }

    @Test func withdrawsAnAddressOnlyWhileNobodyElseHasIt() {
        #expect(WithdrawalMachine.isWithdrawn([pod()]))
        #expect(!WithdrawalMachine.isWithdrawn([pod(leaving: false)]))
        #expect(!WithdrawalMachine.isWithdrawn([pod(), pod("b", leaving: false)]))
        var finished = pod("b", leaving: false)
        finished.tree["status", "phase"] = "Succeeded"
        #expect(WithdrawalMachine.isWithdrawn([pod(), finished]))
        #expect(!WithdrawalMachine.isWithdrawn([]))
    }

    @Test func namesAFewOfMany() {
        var machine = WithdrawalMachine()
        let many = Set((1...8).map { SubscriberID("s\($0)") })
        _ = machine.looked(at: pod(), outstanding: many, now: .seconds(9))
        let message = "8 acknowledgements in 0 ms: s1, s2, s3, s4, s5 and 3 more"
        let decision = machine.looked(at: pod(), outstanding: [], now: .seconds(9))
        #expect(decision == .acknowledge(reason: "Acknowledged", message: message))
    }
}
