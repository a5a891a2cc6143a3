// Runs a reconcile function for keys, one at a time per key, a few keys at once.

import Logging
import Objects
import Synchronization
import Timing

/// What a reconcile that went well asks for.
package enum Outcome: Sendable, Hashable {
    case done
    /// Look at this key once more after a while, whether or not anything changes.
    case again(after: Duration)
}

/// A queue of keys and the function that makes each of them right.
///
/// Promises: a key is never reconciled twice at the same time; a key enqueued during its own reconcile is reconciled once
/// more; a reconcile that throws is tried again with growing delay. Needs `run()` to be running.
package final class Reconciler<Key: Hashable & Sendable>: Sendable {
    private let name: String
    private let workers: Int
    private let logger: Logger
    private let reconcile: @Sendable (Key) async throws -> Outcome
    private let state: Mutex<State>
    private let signal = Signal()

    private struct State {
        var queue = ReconcilerMachine<Key>()
        var free: Int
    }

    package init(
        name: String, workers: Int = 2, logger: Logger, reconcile: @escaping @Sendable (Key) async throws -> Outcome
    ) {
        self.name = name
        self.workers = workers
        var logger = logger
        logger[metadataKey: "reconciler"] = .string(name)
        self.logger = logger
        self.reconcile = reconcile
        state = Mutex(State(free: workers))
    }

    package func enqueue(_ key: Key) {
        state.withLock { $0.queue.added(key) }
        signal.raise()
    }

    /// Enqueues a key after a while; one that is due earlier stays as it is.
    package func enqueue(_ key: Key, after delay: Duration) {
        let time = ContinuousClock.now + delay
        state.withLock { $0.queue.added(key, at: time) }
        signal.raise()
    }

    /// Reconciles until cancelled; returns when the reconciles under way have ended.
    package func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let (keys, deadline) = state.withLock { Self.take(&$0) }
                for key in keys { group.addTask { await self.perform(key) } }
                await signal.wait(until: deadline)
            }
        }
    }

    private static func take(_ state: inout State) -> ([Key], ContinuousClock.Instant?) {
        let now = ContinuousClock.now
        var keys: [Key] = []
        while state.free > 0, let key = state.queue.taken(now: now) {
            state.free -= 1
            keys.append(key)
        }
        // With all workers busy the end of one of them is the next thing to wait for.
        return (keys, state.free > 0 ? state.queue.nextDeadline : nil)
    }

    private func perform(_ key: Key) async {
        do {
            let outcome = try await reconcile(key)
            state.withLock { state in
                state.queue.finished(key)
                if case .again(let delay) = outcome { state.queue.added(key, at: ContinuousClock.now + delay) }
                state.free += 1
            }
        } catch {
            let jitter = Double.random(in: 0...1)
            let delay = state.withLock { state in
                state.free += 1
                return state.queue.failed(key, now: ContinuousClock.now, jitter: jitter)
            }
            if !Task.isCancelled { log(error, key, delay) }
        }
        signal.raise()
    }

    private func log(_ error: any Error, _ key: Key, _ delay: Duration) {
        // A conflict only says that the cache was behind; the next try sees the newer object.
        let level: Logger.Level = (error as? Problem)?.reason == .conflict ? .debug : .warning
        logger.log(level: level, "reconcile failed", metadata: [
            "key": "\(key)", "error": "\(error)", "retryIn": "\(delay)",
        ])
    }
}
