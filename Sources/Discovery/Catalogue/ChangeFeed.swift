// A feed of service names that changed: coalesced, bounded, one reader.

import Synchronization

/// What a feed hands out.
package enum ServiceChanges: Sendable, Equatable {
    /// These services may look different.
    case services(Set<ServiceName>)
    /// More services changed than the feed remembers: look at all of them, also at those you know of and that are gone.
    case everything
}

/// The names of services that changed since the reader last asked, each once. For one reader.
package final class ChangeFeed: Sendable {
    private struct State {
        var names: Set<ServiceName> = []
        var overflowed = false
        var lastTaken: ContinuousClock.Instant?
        var reader: CheckedContinuation<Void, Never>?
    }

    private let limit: Int
    private let state = Mutex(State())

    private let window: Duration

    init(limit: Int, window: Duration = .zero) {
        self.limit = limit
        self.window = window
    }

    /// Waits for changes and takes them all, not sooner than the feed's window after the last ones. Nil when the task is
    /// cancelled.
    package func next() async -> ServiceChanges? {
        while !Task.isCancelled {
            await sleep()
            if let last = state.withLock({ $0.lastTaken }), window > .zero {
                try? await Task.sleep(until: last + window, clock: .continuous)
            }
            guard let changes = take() else { continue }
            if window > .zero { state.withLock { $0.lastTaken = .now } }
            return changes
        }
        return nil
    }

    /// Takes what is there without waiting.
    package func take() -> ServiceChanges? {
        state.withLock { state in
            defer {
                state.names = []
                state.overflowed = false
            }
            if state.overflowed { return .everything }
            return state.names.isEmpty ? nil : .services(state.names)
        }
    }

    func add(_ names: Set<ServiceName>) {
        let reader = state.withLock { state in
            if !state.overflowed { state.names.formUnion(names) }
            if state.names.count > limit {
                state.names = []
                state.overflowed = true
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    private func sleep() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    let isEmpty = state.names.isEmpty && !state.overflowed
                    guard isEmpty, !Task.isCancelled, state.reader == nil else { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let reader = state.withLock { state in
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume()
        }
    }
}
