// A feed of the names of items that changed: coalesced, bounded, one reader.

import Synchronization

/// What a feed hands out.
package enum ConfigChanges: Sendable, Equatable {
    case names(Set<ConfigName>)
    /// More changed than the feed remembers: look at all.
    case everything
}

/// The names that changed since the reader last asked, each once. For one reader.
package final class ConfigFeed: Sendable {
    private struct State {
        var names: Set<ConfigName> = []
        var overflowed = false
        var reader: CheckedContinuation<Void, Never>?
    }

    private let limit: Int
    private let state = Mutex(State())

    package init(limit: Int) { self.limit = limit }

    /// Waits for changes and takes them all. Nil when the task is cancelled.
    package func next() async -> ConfigChanges? {
        while !Task.isCancelled {
            if let changes = take() { return changes }
            await sleep()
        }
        return nil
    }

    package func add(_ names: Set<ConfigName>) {
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

    private func take() -> ConfigChanges? {
        state.withLock { state in
            defer {
                state.names = []
                state.overflowed = false
            }
            if state.overflowed { return .everything }
            return state.names.isEmpty ? nil : .names(state.names)
        }
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
