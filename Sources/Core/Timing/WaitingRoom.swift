// Where tasks wait until something that another's state decides has come about.

import Synchronization

/// Tasks that wait, each for a condition in the owner's words. The owner calls `wake` after its state has changed.
///
/// Conditions are asked of the owner's state, which has a lock of its own: it is taken within the room's, so never call
/// the room from within that lock.
package final class WaitingRoom<Condition: Sendable>: Sendable {
    private struct Waiting {
        var condition: Condition
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var waiting: [UInt64: Waiting] = [:]
        var next: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Returns when the condition has come about, or the task is cancelled.
    package func wait(for condition: Condition, until isMet: @Sendable (Condition) -> Bool) async {
        if isMet(condition) { return }
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard !Task.isCancelled, !isMet(condition) else { return true }
                    state.waiting[id] = Waiting(condition: condition, continuation: continuation)
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.continuation.resume()
        }
    }

    /// Lets those go whose condition has come about.
    package func wake(where isMet: (Condition) -> Bool) {
        let woken = state.withLock { state in
            let ids = state.waiting.filter { isMet($0.value.condition) }.keys
            return ids.compactMap { state.waiting.removeValue(forKey: $0)?.continuation }
        }
        for continuation in woken { continuation.resume() }
    }
}

/// Runs the body, but no longer than this: it is cancelled then.
package func atMost(_ patience: Duration, _ body: @escaping @Sendable () async -> Void) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await body() }
        // Only cancellation ends the sleep early.
        group.addTask { try? await Task.sleep(for: patience) }
        await group.next()
        group.cancelAll()
    }
}
