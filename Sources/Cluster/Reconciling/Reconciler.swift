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
/// Promises: a key is never reconciled twice at the same time; a key enqueued during its own reconcile is reconciled
/// once more; a reconcile that throws is tried again with growing delay, unless what it lacks is a namespace that is
/// being deleted. Needs `run()` to be running.
package final class Reconciler<Key: Hashable & Sendable>: Sendable {
    private let started = ContinuousClock.now
    private let logger: Logger
    private let reconcile: @Sendable (Key) async throws -> Outcome
    private let state: Mutex<State>
    private let signal = Signal()

    private struct State {
        var queue: WorkQueueMachine<Key>
        var free: Int
    }

    package init(
        name: String, workers: Int = 2, logger: Logger, reconcile: @escaping @Sendable (Key) async throws -> Outcome
    ) {
        var logger = logger
        logger[metadataKey: "reconciler"] = .string(name)
        self.logger = logger
        self.reconcile = reconcile
        let backoff = Backoff(initial: .milliseconds(20), limit: .seconds(30), jitter: 0.1)
        state = Mutex(State(queue: WorkQueueMachine(backoff: backoff), free: workers))
    }

    package func enqueue(_ key: Key) {
        state.withLock { $0.queue.add(key) }
        signal.raise()
    }

    /// Enqueues a key after a while; one that is due earlier stays as it is.
    package func enqueue(_ key: Key, after delay: Duration) {
        let time = now + delay
        state.withLock { $0.queue.add(key, at: time) }
        signal.raise()
    }

    /// Reconciles until cancelled; returns when the reconciles under way have ended.
    package func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let (keys, deadline) = take()
                for key in keys { group.addTask { await self.perform(key) } }
                await signal.wait(until: deadline.map { started + $0 })
            }
        }
    }

    /// The queue's time: the span since this reconciler was made.
    private var now: Duration { ContinuousClock.now - started }

    /// Keys for the free workers, and the time at which there may be more.
    private func take() -> ([Key], Duration?) {
        let now = now
        return state.withLock { state in
            var keys: [Key] = []
            while state.free > 0 {
                switch state.queue.take(now: now) {
                case .work(let key):
                    state.free -= 1
                    keys.append(key)
                case .wait(let deadline): return (keys, deadline)
                case .idle: return (keys, nil)
                }
            }
            // With all workers busy the end of one of them is the next thing to wait for.
            return (keys, nil)
        }
    }

    private func perform(_ key: Key) async {
        do {
            let outcome = try await outcome(key)
            state.withLock { state in
                state.queue.done(key)
                if case .again(let delay) = outcome { state.queue.add(key, at: now + delay) }
                state.free += 1
            }
        } catch {
            let random = Double.random(in: 0..<1)
            let delay = state.withLock { state in
                state.free += 1
                return state.queue.failed(key, now: now, random: random)
            }
            if !Task.isCancelled { log(error, key, delay) }
        }
        signal.raise()
    }

    private func outcome(_ key: Key) async throws -> Outcome {
        do {
            return try await reconcile(key)
        } catch let problem as Problem where problem.isOfEndingNamespace {
            // What was to be made there would be deleted with the namespace, which nothing keeps from its end.
            logger.debug("the namespace is being deleted", metadata: ["key": "\(key)", "error": "\(problem)"])
            return .done
        }
    }

    private func log(_ error: any Error, _ key: Key, _ delay: Duration) {
        // A conflict only says that the cache was behind; the next try sees the newer object.
        let level: Logger.Level = (error as? Problem)?.reason == .conflict ? .debug : .warning
        logger.log(
            level: level, "reconcile failed",
            metadata: [
                "key": "\(key)", "error": "\(error)", "retryIn": "\(delay)",
            ])
    }
}
