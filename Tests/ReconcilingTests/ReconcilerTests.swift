// The reconciler drives its function: every key, again after failure, never twice at once.

import Logging
import Objects
import Reconciling
import Synchronization
import Testing
import Timing

@Suite struct ReconcilerTests {
    @Test func aKeyThatFailsIsTriedAgainAndOneThatAsksComesAgain() async throws {
        let tries = Mutex<[String: Int]>([:])
        let finished = Gate()
        let reconciler = Reconciler<String>(name: "test", logger: Logger(label: "test")) { key in
            let (count, total) = tries.withLock { tries in
                tries[key, default: 0] += 1
                return (tries[key] ?? 0, tries.values.reduce(0, +))
            }
            if total == 5 { finished.open() }
            if key == "fails", count == 1 { throw Problem(.conflict, "the object has been modified") }
            if key == "ending" {
                var problem = Problem(.forbidden, "the namespace is being deleted")
                problem.causes = [.init(reason: Problem.namespaceTerminating, message: "", field: "")]
                throw problem
            }
            return key == "again" && count == 1 ? .again(after: .milliseconds(1)) : .done
        }
        reconciler.enqueue("ending")
        reconciler.enqueue("fails")
        reconciler.enqueue("again")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await reconciler.run() }
            try await finished.wait()
            group.cancelAll()
        }
        #expect(tries.withLock { $0 } == ["ending": 1, "fails": 2, "again": 2])
    }
}
