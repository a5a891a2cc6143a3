// The order of writes: checks each against the latest state, gives it its revision, and groups writers into commits.

import Objects

/// Decides writes before they are on disk. `Ticket` is whatever the shell answers a writer by.
///
/// Promises: revisions are given in the order of requests, without gaps; a write is checked against everything asked
/// for before it, committed or not; when a commit fails, so do all writes that were decided on top of it, and their
/// revisions are given again.
struct WriteQueueMachine<Ticket: Sendable>: Sendable {
    /// What a writer wants. An encoder gets the revision that the value will have.
    enum Change: Sendable {
        case create(String, encode: @Sendable (UInt64) -> [UInt8])
        case update(String, expecting: UInt64, encode: @Sendable (UInt64) -> [UInt8])
        case delete(String, expecting: UInt64?, encode: @Sendable (Record, UInt64) -> [UInt8])

        var isDeletion: Bool {
            if case .delete = self { return true }
            return false
        }

        fileprivate var key: String {
            switch self {
            case .create(let key, _), .update(let key, _, _), .delete(let key, _, _): key
            }
        }
    }

    struct Write: Sendable {
        let event: StoreEvent
        let ticket: Ticket
    }

    /// A refusal because of a write that is not committed yet. It is told with that write's end: a writer that was told
    /// at once would read the old state again, and use up its attempts before there is a new one to see.
    struct Doubt: Sendable {
        let ticket: Ticket
        let failure: StoreFailure
        fileprivate let revision: UInt64
    }

    enum Decision: Sendable {
        /// The write waits for a commit; the committer has to be started if it is not running.
        case accepted(startCommitter: Bool)
        /// The answer comes with `settledDoubts`.
        case doubted
        case refused(StoreFailure)
    }

    private let limits: StoreLimits
    private var committedRevision: UInt64
    private var revision: UInt64
    private var waiting: [Write] = []
    private var committing: [Write] = []
    private var doubts: [Doubt] = []
    private var pendingBytes = 0
    /// The latest state of keys with writes that are not yet committed, and the revision that made it.
    private var pending: [String: (record: Record?, revision: UInt64)] = [:]
    private var isCommitterRunning = false
    private(set) var isFull = false
    /// Why no write is taken any more.
    private var refusal: Problem?

    init(revision: UInt64, limits: StoreLimits) {
        committedRevision = revision
        self.revision = revision
        self.limits = limits
    }

    /// A writer asks. `committed` looks up the published state.
    mutating func requested(_ change: Change, ticket: Ticket, committed: (String) -> Record?) -> Decision {
        if let refusal { return .refused(.refused(refusal)) }
        let count = waiting.count + committing.count + doubts.count
        guard count < limits.waitingWrites, pendingBytes < limits.waitingBytes else {
            return .refused(.refused(.storeBusy(count)))
        }
        if isFull, !change.isDeletion { return .refused(.refused(.storeFull(limits.databaseBytes))) }
        switch event(for: change, committed: committed) {
        case .failure(let failure):
            guard let cause = pending[change.key] else { return .refused(failure) }
            doubts.append(Doubt(ticket: ticket, failure: failure, revision: cause.revision))
            return .doubted
        case .success(let event):
            let bytes = event.record.bytes.count
            guard bytes <= limits.recordBytes else {
                return .refused(.refused(.tooLarge(bytes, limit: limits.recordBytes)))
            }
            revision = event.revision
            pendingBytes += bytes
            pending[event.key] = (event.kind == .put ? event.record : nil, event.revision)
            waiting.append(Write(event: event, ticket: ticket))
            defer { isCommitterRunning = true }
            return .accepted(startCommitter: !isCommitterRunning)
        }
    }

    /// The committer is free: the writes of the next commit, nil when there are none and it may rest.
    mutating func committerReady() -> [Write]? {
        precondition(committing.isEmpty, "one commit at a time")
        guard !waiting.isEmpty else {
            isCommitterRunning = false
            return nil
        }
        if waiting.count <= limits.batchWrites {
            swap(&committing, &waiting)
        } else {
            committing = Array(waiting[..<limits.batchWrites])
            waiting.removeFirst(limits.batchWrites)
        }
        return committing
    }

    /// The commit is on disk and published: its writers may be told.
    mutating func batchCommitted() -> [Write] {
        let writes = committing
        committing = []
        for write in writes {
            committedRevision = write.event.revision
            pendingBytes -= write.event.record.bytes.count
            if pending[write.event.key]?.revision == write.event.revision { pending[write.event.key] = nil }
        }
        return writes
    }

    /// The refusals whose cause is committed by now, in the order they were asked for.
    mutating func settledDoubts() -> [Doubt] {
        let settled = doubts.filter { $0.revision <= committedRevision }
        if !settled.isEmpty { doubts.removeAll { $0.revision <= committedRevision } }
        return settled
    }

    /// The commit failed and left nothing: its writers fail, and everyone whose answer was decided on top of it.
    mutating func batchFailed() -> [Ticket] {
        let tickets = (committing + waiting).map(\.ticket) + doubts.map(\.ticket)
        doubts = []
        committing = []
        waiting = []
        pending = [:]
        pendingBytes = 0
        revision = committedRevision
        return tickets
    }

    /// The store has come to be over its size limit, or under it again. While it is over, only deletions are taken.
    mutating func sizeChanged(isFull: Bool) { self.isFull = isFull }

    /// No write is taken from now on; those accepted are still committed.
    mutating func closed(_ why: Problem) { refusal = refusal ?? why }

    private func event(
        for change: Change, committed: (String) -> Record?
    ) -> Result<StoreEvent, StoreFailure> {
        let next = revision + 1
        func latest(_ key: String) -> Record? {
            if let pending = pending[key] { return pending.record }
            return committed(key)
        }
        switch change {
        case .create(let key, let encode):
            guard key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !key.isEmpty else {
                return .failure(.refused(.badKey(key)))
            }
            if latest(key) != nil { return .failure(.exists) }
            let record = Record(key: key, bytes: encode(next), revision: next, createRevision: next)
            return .success(StoreEvent(kind: .put, record: record, previous: nil))
        case .update(let key, let expecting, let encode):
            guard let current = latest(key) else { return .failure(.missing) }
            guard current.revision == expecting else { return .failure(.conflict(current: current)) }
            let record = Record(
                key: key, bytes: encode(next), revision: next, createRevision: current.createRevision)
            return .success(StoreEvent(kind: .put, record: record, previous: current))
        case .delete(let key, let expecting, let encode):
            guard let current = latest(key) else { return .failure(.missing) }
            guard expecting == nil || current.revision == expecting else {
                return .failure(.conflict(current: current))
            }
            let record = Record(
                key: key, bytes: encode(current, next), revision: next, createRevision: current.createRevision)
            return .success(StoreEvent(kind: .delete, record: record, previous: current))
        }
    }
}
