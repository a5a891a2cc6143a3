// What readers see: the committed records, the latest events and the revision, published together.

import Objects

/// The committed state in memory. A copy is cheap, and is one moment for ever.
struct StoreView: Sendable {
    private(set) var revision: UInt64
    private(set) var index: RecordIndex
    private(set) var history: History

    init(records: [Record], history: History) {
        revision = history.newest
        index = RecordIndex(records)
        self.history = history
    }

    /// Takes in the events of one commit, in order. Returns the rows of the file that nothing needs any more.
    mutating func committed(_ events: [StoreEvent]) -> [UInt64] {
        var obsolete: [UInt64] = []
        for event in events {
            switch event.kind {
            case .put: index.put(event.record)
            case .delete: index.remove(event.key)
            }
            for forgotten in history.append(event) { obsolete += forgotten.obsoleteRows }
            revision = event.revision
        }
        return obsolete
    }

    /// Forgets all but the latest events. Returns the rows of the file that nothing needs any more.
    mutating func shrinkHistory(events: Int, bytes: Int) -> [UInt64] {
        history.shrink(events: events, bytes: bytes).flatMap(\.obsoleteRows)
    }

    /// What a page at a revision is read from: the index, and how the records differed then.
    func moment(at revision: UInt64?, prefix: String) throws(Problem) -> Moment {
        guard let revision, revision != self.revision else {
            return Moment(revision: self.revision, index: index, then: [:])
        }
        guard revision < self.revision else { throw .tooNew(revision, current: self.revision) }
        return Moment(revision: revision, index: index, then: try history.changes(since: revision, prefix: prefix))
    }
}

extension StoreEvent {
    /// Once this event is forgotten nobody can ask for what it replaced, nor for the final state of a deleted record.
    var obsoleteRows: [UInt64] {
        (previous.map { [$0.revision] } ?? []) + (kind == .delete ? [revision] : [])
    }
}

/// The records as they were at a revision.
struct Moment: Sendable {
    let revision: UInt64
    let index: RecordIndex
    /// Keys that have changed since, with what they held then.
    let then: [String: Record?]

    /// The records of a prefix after a key, at most `limit`.
    func page(prefix: String, after: String?, limit: Int?) -> Page {
        let limit = limit.map { max($0, 0) } ?? .max
        var records: [Record] = []
        var position = index.position(notBefore: max(after ?? prefix, prefix))
        // Keys that held something then; the walk merges them with the index, where they may hold something else or
        // nothing.
        let old = then.compactMap { key, record in record != nil && key > (after ?? "") ? key : nil }.sorted()
        var nextOld = 0
        var ahead = nextUntouched(&position, prefix: prefix, after: after)
        while records.count < limit {
            if nextOld < old.count, ahead.map({ old[nextOld] < $0.key }) ?? true {
                if let record = then[old[nextOld]] ?? nil { records.append(record) }
                nextOld += 1
            } else if let record = ahead {
                records.append(record)
                ahead = nextUntouched(&position, prefix: prefix, after: after)
            } else {
                break
            }
        }
        var remaining = old.count - nextOld
        if ahead != nil {
            remaining += 1 + (then.isEmpty ? index.count(from: position, prefix: prefix) : 0)
            while !then.isEmpty, nextUntouched(&position, prefix: prefix, after: after) != nil { remaining += 1 }
        }
        return Page(records: records, revision: revision, remaining: remaining)
    }

    /// The next record of the prefix that holds now what it held then.
    private func nextUntouched(_ position: inout RecordIndex.Position, prefix: String, after: String?) -> Record? {
        while let record = index.next(&position), record.key.hasPrefix(prefix) {
            if record.key != after, then[record.key] == nil { return record }
        }
        return nil
    }
}
