// The bounded queue behind `ContainerRuntime.nextEvents()`: filled by whoever sees a change, emptied by one caller.

import Synchronization

/// Hands events over in order; when full, the rest is replaced by one `.lost`.
final class EventQueue: Sendable {
    private struct State {
        var events: [RuntimeEvent] = []
        var waiting: CheckedContinuation<[RuntimeEvent], Never>?
    }

    private let state = Mutex(State())

    func add(_ event: RuntimeEvent) {
        let waiting = state.withLock { state -> CheckedContinuation<[RuntimeEvent], Never>? in
            if let waiting = state.waiting {
                state.waiting = nil
                return waiting
            }
            if state.events.count < RuntimeEvent.queueLimit {
                state.events.append(event)
            } else if state.events.last != .lost {
                state.events.append(.lost)
            }
            return nil
        }
        waiting?.resume(returning: [event])
    }

    func next() async -> [RuntimeEvent] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> [RuntimeEvent]? in
                    if !state.events.isEmpty || Task.isCancelled || state.waiting != nil {
                        defer { state.events = [] }
                        return state.events
                    }
                    state.waiting = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                defer { state.waiting = nil }
                return state.waiting
            }
            waiting?.resume(returning: [])
        }
    }
}
