// The latest events, for watches that catch up and for reads at an older revision.

import Objects

/// A bounded run of events without gaps: the one of revision `floor + 1`, the next, up to the newest.
///
/// A copy costs as much however long it is: readers take one and walk it without holding up writers.
struct History: Sendable {
    static let segmentEvents = 256

    private let events: Int
    private let bytes: Int
    /// All but the last are full.
    private var segments: [[StoreEvent?]] = []
    /// Slots at the beginning of the first segment whose events are forgotten.
    private var skipped = 0
    private var heldBytes = 0
    /// Nothing at or before this revision is remembered; what happened after it is, all of it.
    private(set) var floor: UInt64
    private(set) var newest: UInt64

    init(after revision: UInt64, limits: StoreLimits) {
        floor = revision
        newest = revision
        events = limits.historyEvents
        bytes = limits.historyBytes
    }

    var count: Int { Int(newest - floor) }

    /// Appends the event that follows the newest one, and forgets the oldest ones that are over a limit.
    ///
    /// Returns the forgotten ones.
    @discardableResult
    mutating func append(_ event: StoreEvent) -> [StoreEvent] {
        if segments.last.map({ $0.count == Self.segmentEvents }) ?? true {
            segments.append([])
            segments[segments.count - 1].reserveCapacity(Self.segmentEvents)
        }
        segments[segments.count - 1].append(event)
        newest = event.revision
        heldBytes += Self.weight(of: event)
        return shrink(events: events, bytes: bytes)
    }

    /// Forgets the oldest events until no more than these are left; the newest one stays.
    mutating func shrink(events: Int, bytes: Int) -> [StoreEvent] {
        var forgotten: [StoreEvent] = []
        while count > events || (heldBytes > bytes && count > 1), let oldest = segments[0][skipped] {
            heldBytes -= Self.weight(of: oldest)
            floor = oldest.revision
            forgotten.append(oldest)
            segments[0][skipped] = nil
            skipped += 1
            if skipped == segments[0].count {
                segments.removeFirst()
                skipped = 0
            }
        }
        return forgotten
    }

    /// What an event keeps in memory. What it replaced is counted in full, though another event often shares it: the
    /// limit is one of memory and is kept for certain.
    private static func weight(of event: StoreEvent) -> Int {
        overheadBytes + event.record.bytes.count + (event.previous?.bytes.count ?? 0)
    }

    /// The event, its keys and the heads of its arrays.
    private static let overheadBytes = 256

    /// The events after a revision in order, at most `limit` of them with keys of this prefix.
    ///
    /// `upTo` is the revision of the last event that was looked at: the place to go on from.
    func after(
        _ revision: UInt64, prefix: String, limit: Int
    ) throws(Problem) -> (events: [StoreEvent], upTo: UInt64) {
        guard revision >= floor else { throw .tooOld(revision, oldest: floor) }
        var found: [StoreEvent] = []
        var upTo = revision
        var place = skipped + Int(clamping: revision - floor)
        while found.count < limit, place / Self.segmentEvents < segments.count {
            let segment = segments[place / Self.segmentEvents]
            var slot = place % Self.segmentEvents
            place += segment.count - slot
            while slot < segment.count, found.count < limit, let event = segment[slot] {
                upTo = event.revision
                if event.key.hasPrefix(prefix) { found.append(event) }
                slot += 1
            }
            if segment.count < Self.segmentEvents { break }
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
