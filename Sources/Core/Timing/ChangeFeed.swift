// A feed of names whose things changed: coalesced, bounded, one reader.

import Synchronization

/// What a feed hands out.
package enum Changes<Name: Hashable & Sendable>: Sendable, Equatable {
    /// What goes by these names may look different.
    case names(Set<Name>)
    /// More changed than the feed remembers: look at everything, also at what you know of and that is gone.
    case everything
}

/// The names that changed since the reader last asked, each once. For one reader.
package final class ChangeFeed<Name: Hashable & Sendable>: Sendable {
    private struct State {
        var names: Set<Name> = []
        var overflowed = false
        var lastTaken: ContinuousClock.Instant?
        var reader: CheckedContinuation<Void, Never>?
    }

    private let limit: Int
    private let window: Duration
    private let state = Mutex(State())

    /// `limit` names are remembered; `next()` gives at most one set of them in each `window`.
    package init(limit: Int, window: Duration = .zero) {
        self.limit = limit
        self.window = window
    }

    /// Waits for changes and takes them all, not sooner than the feed's window after the last ones. Nil when the task
    /// is cancelled.
    package func next() async -> Changes<Name>? {
        while !Task.isCancelled {
            await sleep()
            if let last = state.withLock({ $0.lastTaken }), window > .zero {
                // Only cancellation ends the sleep early.
                try? await Task.sleep(until: last + window, clock: .continuous)
            }
            guard let changes = take() else { continue }
            if window > .zero { state.withLock { $0.lastTaken = .now } }
            return changes
        }
        return nil
    }

    /// Takes what is there without waiting.
    package func take() -> Changes<Name>? {
        state.withLock { state in
            defer {
                state.names = []
                state.overflowed = false
            }
            if state.overflowed { return .everything }
            return state.names.isEmpty ? nil : .names(state.names)
        }
    }

    package func add(_ names: Set<Name>) {
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

/// The feeds of one source of changes. A feed ends when its reader lets go of it.
package struct ChangeFeeds<Name: Hashable & Sendable>: Sendable {
    private struct Weak: Sendable {
        weak var feed: ChangeFeed<Name>?
    }

    private var feeds: [Weak] = []

    package init() {}

    package mutating func open(limit: Int, window: Duration = .zero) -> ChangeFeed<Name> {
        let feed = ChangeFeed<Name>(limit: limit, window: window)
        feeds.removeAll { $0.feed == nil }
        feeds.append(Weak(feed: feed))
        return feed
    }

    package func add(_ names: Set<Name>) {
        for each in feeds { each.feed?.add(names) }
    }
}
