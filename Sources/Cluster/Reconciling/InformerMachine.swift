// Decides what an informer does next: list, watch, or wait and try again; and what each answer changes.

import Objects

/// The state of one informer. It starts by listing; a watch that ends goes on from the last revision seen; a watch that
/// is refused as too old (410) lists again, and that list replaces what was held.
struct InformerMachine: Sendable {
    enum Step: Sendable, Equatable {
        case list
        case watch(from: String)
    }

    private(set) var step = Step.list
    private(set) var isSynced = false
    private(set) var cache: ObjectCache
    /// Failures in a row; a success of either kind resets it.
    private(set) var failures = 0

    init(indexers: [String: Indexer]) {
        cache = ObjectCache(indexers: indexers)
    }

    /// A complete list arrived. Returns the differences from what was held; objects that are not in it are gone.
    mutating func listed(_ objects: [Object], resourceVersion: String) -> [Change] {
        var changes: [Change] = []
        var missing = Set(cache.keys)
        for object in objects {
            missing.remove(object.key)
            if let change = put(object) { changes.append(change) }
        }
        for key in missing.sorted() {
            changes.append(Change(key: key, old: cache.set(nil, at: key), new: nil))
        }
        isSynced = true
        failures = 0
        step = .watch(from: resourceVersion)
        return changes
    }

    /// A watch delivered an event.
    mutating func received(_ event: WatchEventKind) -> Change? {
        failures = 0
        switch event {
        case .put(let object):
            step = .watch(from: object.resourceVersion)
            return put(object)
        case .removed(let object):
            step = .watch(from: object.resourceVersion)
            // The event's object is the last state; it carries the revision of the deletion.
            guard cache.set(nil, at: object.key) != nil else { return nil }
            return Change(key: object.key, old: object, new: nil)
        case .reached(let resourceVersion):
            step = .watch(from: resourceVersion)
            return nil
        }
    }

    /// A list or watch failed. A revision that the server no longer has means a new list, at once the first time.
    mutating func failed(_ problem: Problem?) {
        failures += 1
        if let problem, problem.code == 410 || problem.reason == .expired || problem.reason == .gone {
            step = .list
        }
    }

    private mutating func put(_ object: Object) -> Change? {
        let old = cache[object.key]
        if let old, old.resourceVersion == object.resourceVersion, old.uid == object.uid { return nil }
        cache.set(object, at: object.key)
        return Change(key: object.key, old: old, new: object)
    }
}

/// A watch event as the cache sees it: added and modified are the same to it.
enum WatchEventKind: Sendable {
    case put(Object)
    case removed(Object)
    case reached(resourceVersion: String)
}
