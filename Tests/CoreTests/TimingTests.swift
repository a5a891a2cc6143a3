// The work queue, back-off, token bucket and gate.

import Testing
import Timing

@Suite struct TimingTests {
    private func key(_ next: WorkQueueMachine<String>.Next) -> String? {
        if case .work(let key) = next { key } else { nil }
    }

    @Test func givesEachKeyOnceAndInOrder() {
        var queue = WorkQueueMachine<String>()
        for each in ["a", "b", "a", "c"] { queue.add(each) }
        let taken1 = key(queue.take(now: .zero))
        #expect(taken1 == "a")
        let taken2 = key(queue.take(now: .zero))
        #expect(taken2 == "b")
        let taken3 = key(queue.take(now: .zero))
        #expect(taken3 == "c")
        let taken4 = key(queue.take(now: .zero))
        #expect(taken4 == nil)
        for each in ["a", "b", "c"] { queue.done(each) }
        #expect(queue.isEmpty)
    }

    @Test func keepsAKeyFromTwoWorkers() {
        var queue = WorkQueueMachine<String>()
        queue.add("a")
        let taken5 = key(queue.take(now: .zero))
        #expect(taken5 == "a")
        queue.add("a")
        let taken6 = key(queue.take(now: .zero))
        #expect(taken6 == nil)
        queue.done("a")
        let taken7 = key(queue.take(now: .zero))
        #expect(taken7 == "a")
    }

    @Test func waitsForTheEarliestDueTime() {
        var queue = WorkQueueMachine<String>()
        queue.add("a", at: .seconds(9))
        queue.add("b", at: .seconds(5))
        queue.add("a", at: .seconds(3))
        queue.add("a", at: .seconds(7))
        guard case .wait(until: .seconds(3)) = queue.take(now: .zero) else {
            Issue.record("expected to wait for a")
            return
        }
        let taken8 = key(queue.take(now: .seconds(4)))
        #expect(taken8 == "a")
        queue.done("a")
        let taken9 = key(queue.take(now: .seconds(10)))
        #expect(taken9 == "b")
        queue.done("b")
        guard case .idle = queue.take(now: .seconds(20)) else {
            Issue.record("a stale due time came back")
            return
        }
        #expect(queue.isEmpty)
    }

    @Test func retriesWithGrowingDelays() {
        var queue = WorkQueueMachine<String>(backoff: Backoff(initial: .seconds(1), limit: .seconds(5)))
        queue.add("a")
        var now = Duration.zero
        for expected in [1, 2, 4, 5, 5] {
            let taken10 = key(queue.take(now: now))
            #expect(taken10 == "a")
            let taken12 = queue.failed("a", now: now)
            #expect(taken12 == .seconds(expected))
            now += .seconds(expected)
        }
        let taken11 = key(queue.take(now: now))
        #expect(taken11 == "a")
        queue.done("a")
        #expect(queue.failureCount(of: "a") == 0)
    }

    @Test func spreadsByJitter() {
        let backoff = Backoff(initial: .seconds(2), limit: .seconds(60), jitter: 0.5)
        #expect(backoff.delay(afterFailures: 1, random: 0.5) == .seconds(2.5))
        #expect(backoff.delay(afterFailures: 0) == .zero)
        #expect(backoff.delay(afterFailures: 1_000_000) == .seconds(60))
    }

    @Test func limitsARate() {
        var bucket = TokenBucket(capacity: 2, tokensPerSecond: 10, now: .zero)
        let taken13 = bucket.take(now: .zero)
        #expect(taken13)
        let taken14 = bucket.take(now: .zero)
        #expect(taken14)
        let taken16 = bucket.take(now: .zero)
        #expect(taken16 == false)
        let taken15 = bucket.take(now: .milliseconds(100))
        #expect(taken15)
        let taken17 = bucket.reserve(now: .milliseconds(100))
        #expect(taken17 == .milliseconds(100))
    }

    @Test func opensForAllWhoWait() async throws {
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 { group.addTask { try await gate.wait() } }
            gate.open()
            try await group.waitForAll()
        }
        try await gate.wait()
        #expect(gate.isOpen)
    }

    @Test func stopsWaitingWhenCancelled() async {
        let gate = Gate()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await gate.wait()
                    return false
                } catch {
                    return true
                }
            }
            group.cancelAll()
            #expect(await group.next() == true)
        }
    }
}
