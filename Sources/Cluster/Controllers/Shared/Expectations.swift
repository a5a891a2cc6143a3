// Remembers what a controller has asked for until its cache has seen it, so that it does not ask twice.

import Formats
import Objects
import Synchronization

/// Creations and deletions of one owner that its cache has not shown yet.
struct ExpectationsMachine: Sendable {
    /// After this long the cache is believed again, whatever was expected.
    static let timeoutSeconds: Int64 = 300

    private struct Expected: Sendable {
        var creations = 0
        var deletions: Set<String> = []
        var since: Timestamp
    }

    private var expected: [ObjectKey: Expected] = [:]

    mutating func willCreate(_ count: Int, for owner: ObjectKey, now: Timestamp) {
        expected[owner, default: Expected(since: now)].creations += count
        expected[owner]?.since = now
    }

    mutating func willDelete(_ uids: [String], for owner: ObjectKey, now: Timestamp) {
        expected[owner, default: Expected(since: now)].deletions.formUnion(uids)
        expected[owner]?.since = now
    }

    /// A creation was seen in the cache, or did not happen.
    mutating func creationObserved(for owner: ObjectKey) {
        guard let creations = expected[owner]?.creations, creations > 0 else { return }
        expected[owner]?.creations = creations - 1
    }

    /// A deletion (or its beginning) was seen in the cache, or did not happen.
    mutating func deletionObserved(_ uid: String, for owner: ObjectKey) { expected[owner]?.deletions.remove(uid) }

    mutating func forgotten(_ owner: ObjectKey) { expected[owner] = nil }

    /// Whether the cache shows everything that was asked for.
    mutating func areMet(for owner: ObjectKey, now: Timestamp) -> Bool {
        guard let waiting = expected[owner] else { return true }
        let isMet = waiting.creations == 0 && waiting.deletions.isEmpty
        if isMet || now.secondsSinceEpoch - waiting.since.secondsSinceEpoch > Self.timeoutSeconds {
            expected[owner] = nil
            return true
        }
        return false
    }
}

/// The expectations that informer handlers and reconciles share.
final class Expectations: Sendable {
    private let machine = Mutex(ExpectationsMachine())

    func with<Answer: Sendable>(_ body: (inout ExpectationsMachine) -> Answer) -> Answer {
        machine.withLock { body(&$0) }
    }
}
