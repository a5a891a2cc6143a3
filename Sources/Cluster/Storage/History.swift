// The latest events, for watches that catch up and for reads at an older revision.

import Objects

/// A bounded run of events without gaps: the one of revision `floor + 1`, the next, up to the newest.
struct History: Sendable {
    private let events: Int
    private let bytes: Int
    private var slots: [StoreEvent?] = []
    private var head = 0
    private var heldBytes = 0
    /// Nothing at or before this revision is remembered; what happened after it is, all of it.
    private(set) var floor: UInt64

    init(after revision: UInt64, limits: StoreLimits) {
        floor = revision
        events = limits.historyEvents
        bytes = limits.historyBytes
    }

    var count: Int { slots.count - head }

    /// Appends the event that follows the newest one, and forgets the oldest ones that are over a limit.
    mutating func append(_ event: StoreEvent) {
        slots.append(event)
        heldBytes += event.record.bytes.count
        while count > events || (heldBytes > bytes && count > 1), let oldest = slots[head] {
            heldBytes -= oldest.record.bytes.count
            floor = oldest.revision
            slots[head] = nil
            head += 1
        }
        if head > 64, head * 2 > slots.count {
            slots.removeFirst(head)
            head = 0
        }
    }

    /// The events after a revision in order, at most `limit` of them with keys of this prefix.
    ///
    /// `upTo` is the revision of the last event that was looked at: the place to go on from.
    func after(
        _ revision: UInt64, prefix: String, limit: Int
    ) throws(Problem) -> (events: [StoreEvent], upTo: UInt64) {
        guard revision >= floor else { throw .tooOld(revision, oldest: floor) }
        var found: [StoreEvent] = []
        var upTo = revision
        var slot = head + Int(clamping: revision - floor)
        while slot < slots.count, found.count < limit, let event = slots[slot] {
            upTo = event.revision
            if event.key.hasPrefix(prefix) { found.append(event) }
            slot += 1
        }
        return (found, upTo)
    }

    /// What keys of this prefix, touched since a revision, held at that revision; nil for those that were not there.
    func changes(since revision: UInt64, prefix: String) throws(Problem) -> [String: Record?] {
        var then: [String: Record?] = [:]
        for event in try after(revision, prefix: prefix, limit: .max).events where then[event.key] == nil {
            then.updateValue(event.previous, forKey: event.key)
        }
        return then
    }
}
