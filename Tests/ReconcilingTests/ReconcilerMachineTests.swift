// Scripts of the queue of keys.

import Testing

@testable import Reconciling

@Suite struct ReconcilerMachineTests {
    let start = ContinuousClock.now

    @Test func aKeyIsTakenOnceHoweverOftenItIsAdded() {
        var machine = ReconcilerMachine<String>()
        machine.added("a")
        machine.added("a")
        machine.added("b")
        #expect(machine.taken(now: start) == "a")
        #expect(machine.taken(now: start) == "b")
        #expect(machine.taken(now: start) == nil)
    }

    @Test func aKeyAddedWhileItRunsComesOnceMoreAfterwards() {
        var machine = ReconcilerMachine<String>()
        machine.added("a")
        _ = machine.taken(now: start)
        machine.added("a")
        #expect(machine.taken(now: start) == nil)
        machine.finished("a")
        #expect(machine.taken(now: start) == "a")
    }

    @Test func aDelayedKeyWaitsForItsTimeAndTheEarlierTimeStands() {
        var machine = ReconcilerMachine<String>()
        machine.added("a", at: start + .seconds(2))
        machine.added("a", at: start + .seconds(5))
        #expect(machine.nextDeadline == start + .seconds(2))
        #expect(machine.taken(now: start + .seconds(1)) == nil)
        #expect(machine.taken(now: start + .seconds(2)) == "a")
        #expect(machine.nextDeadline == nil)
    }

    @Test func failuresWaitLongerEachTimeAndSuccessForgetsThem() {
        var machine = ReconcilerMachine<String>()
        var delays: [Duration] = []
        var now = start
        for _ in 0..<3 {
            machine.added("a")
            _ = machine.taken(now: now)
            delays.append(machine.failed("a", now: now, jitter: 0))
            now += .seconds(60)
        }
        #expect(delays == [.milliseconds(20), .milliseconds(40), .milliseconds(80)])
        #expect(machine.taken(now: now) == "a")
        machine.finished("a")
        machine.added("a")
        _ = machine.taken(now: now)
        #expect(machine.failed("a", now: now, jitter: 0) == .milliseconds(20))
    }

    @Test func aFailedKeyThatWasAddedMeanwhileIsTakenAtOnce() {
        var machine = ReconcilerMachine<String>()
        machine.added("a")
        _ = machine.taken(now: start)
        machine.added("a")
        machine.failed("a", now: start, jitter: 0)
        #expect(machine.taken(now: start) == "a")
    }
}
