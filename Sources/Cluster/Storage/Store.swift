// The durable, ordered, revisioned store that the API server keeps every object in.

import Dispatch
import Logging
import Objects
import SQLite
import Synchronization

/// Keys to bytes, with one revision for the whole store that every write raises by one.
///
/// Promises: a write that returned is on disk and survives a kill of the process or a power cut; readers see a write
/// only after that, whole, and never wait for the disk; writers that wait at the same time share one commit.
package final class Store: Sendable {
    private typealias Ticket = CheckedContinuation<Result<Record, StoreFailure>, Never>
    private typealias Queue = WriteQueueMachine<Ticket>

    private let limits: StoreLimits
    private let logger: Logger
    private let directory: StoreDirectory
    private let file: RecordFile
    private let view: Mutex<StoreView>
    private let queue: Mutex<Queue>
    /// Rows of forgotten history that are still in the file; the committer's own.
    private let obsolete: Mutex<[UInt64]>
    private let observers = Mutex<[@Sendable ([StoreEvent]) -> Void]>([])
    /// The one thread that touches the file after opening; commits block it and nobody else.
    private let committer = DispatchQueue(label: "mangrove.store.committer")

    /// Opens the store in a directory, making both if they are not there.
    ///
    /// Throws a problem that says what to do when another process has it open (naming that process), when a newer
    /// version of this program wrote it (it is left as it is), or when it cannot be read.
    package static func open(
        at directory: String, limits: StoreLimits = .init(), logger: Logger
    ) throws(Problem) -> Store {
        let place = try StoreDirectory(opening: directory)
        let contents = try RecordContents(reading: place.database, limits: limits)
        let file = try RecordFile(opening: place.database, holding: contents, limits: limits)
        logger.info(
            "store opened",
            metadata: [
                "records": "\(contents.records.count)", "revision": "\(contents.history.newest)",
                "history": "\(contents.history.count)",
            ])
        return Store(directory: place, file: file, contents: contents, limits: limits, logger: logger)
    }

    /// Makes a directory that holds these records, whole or not at all, for `open` to begin from at this revision.
    package static func make(at directory: String, holding records: [Record], revision: UInt64) throws(Problem) {
        try StoreDirectory.make(directory)
        try StoreDirectory.makeFiles(in: directory, records: records, revision: revision)
    }

    private init(
        directory: StoreDirectory, file: RecordFile, contents: RecordContents, limits: StoreLimits, logger: Logger
    ) {
        self.directory = directory
        self.file = file
        self.limits = limits
        self.logger = logger
        queue = Mutex(Queue(revision: contents.history.newest, limits: limits))
        view = Mutex(StoreView(records: contents.records, history: contents.history))
        obsolete = Mutex(contents.obsolete)
    }

    /// The revision of the newest committed write.
    package var revision: UInt64 { view.withLock { $0.revision } }

    /// The oldest revision that reads and watches may start from.
    package var oldestRevision: UInt64 { view.withLock { $0.history.floor } }

    package func get(_ key: String) -> Record? { view.withLock { $0.index[key] } }

    /// Records of a prefix in the order of their keys, those after the key `after`, at most `limit`, as they were at
    /// a revision (now, if none is given). Throws `Expired` when that revision is no longer remembered.
    package func page(
        prefix: String, after: String? = nil, limit: Int? = nil, at revision: UInt64? = nil
    ) throws(Problem) -> Page {
        let view = view.withLock { $0 }
        return try view.moment(at: revision, prefix: prefix).page(prefix: prefix, after: after, limit: limit)
    }

    /// The committed events of a prefix after a revision, at most `limit`, and the revision up to which they are
    /// complete.
    package func events(
        after revision: UInt64, prefix: String, limit: Int
    ) throws(Problem) -> (events: [StoreEvent], upTo: UInt64) {
        let history = view.withLock { $0.history }
        guard revision <= history.newest else { throw .tooNew(revision, current: history.newest) }
        return try history.after(revision, prefix: prefix, limit: limit)
    }

    /// Creates a key. `encode` gets the revision that the value will have; it runs under the lock of the writers.
    package func create(
        _ key: String, _ encode: @escaping @Sendable (UInt64) -> [UInt8]
    ) async throws(StoreFailure) -> Record {
        try await submit(.create(key, encode: encode))
    }

    /// Replaces the value of a key that holds exactly the revision `expecting`.
    package func update(
        _ key: String, expecting: UInt64, _ encode: @escaping @Sendable (UInt64) -> [UInt8]
    ) async throws(StoreFailure) -> Record {
        try await submit(.update(key, expecting: expecting, encode: encode))
    }

    /// Deletes a key, at any revision if none is expected. `encode` makes the final state that watchers are told,
    /// from the deleted record and the revision of the deletion; that state is what is returned.
    package func delete(
        _ key: String, expecting: UInt64? = nil,
        _ encode: @escaping @Sendable (Record, UInt64) -> [UInt8] = { record, _ in record.bytes }
    ) async throws(StoreFailure) -> Record {
        try await submit(.delete(key, expecting: expecting, encode: encode))
    }

    /// Calls `body` after every commit with its events, in order, after readers can see them. It runs on the committing
    /// thread: it must be quick and must not write.
    package func onCommit(_ body: @escaping @Sendable ([StoreEvent]) -> Void) {
        observers.withLock { $0.append(body) }
    }

    /// Commits what was accepted, refuses what comes later, and lets go of the file and the directory's lock. Reads
    /// go on.
    package func close() {
        queue.withLock { $0.closed(.storeClosed) }
        committer.sync {
            file.close()
            directory.unlock()
        }
    }

    private func submit(_ change: Queue.Change) async throws(StoreFailure) -> Record {
        let outcome = await withCheckedContinuation { (ticket: Ticket) in
            let decision = queue.withLock { queue in
                queue.requested(change, ticket: ticket, committed: { key in view.withLock { $0.index[key] } })
            }
            switch decision {
            case .refused(let failure): ticket.resume(returning: .failure(failure))
            case .accepted(startCommitter: true): committer.async { self.commitWaiting() }
            case .accepted(startCommitter: false), .doubted: break
            }
        }
        return try outcome.get()
    }

    private func commitWaiting() {
        while let batch = queue.withLock({ $0.committerReady() }) {
            let events = batch.map(\.event)
            do {
                try commit(events, deleting: events.count * 2 + limits.compactedRows)
            } catch {
                fail(error)
                continue
            }
            let forgotten = view.withLock { $0.committed(events) }
            obsolete.withLock { $0 += forgotten }
            makeRoom()
            for observer in observers.withLock({ $0 }) { observer(events) }
            let (writes, doubts) = queue.withLock { ($0.batchCommitted(), $0.settledDoubts()) }
            for write in writes { write.ticket.resume(returning: .success(write.event.record)) }
            for doubt in doubts { doubt.ticket.resume(returning: .failure(doubt.failure)) }
        }
    }

    /// Writes the events, and deletes some of what history has forgotten on the way: so the file is compacted without
    /// a sync of its own, a little more with each commit than the commit adds.
    private func commit(_ events: [StoreEvent], deleting most: Int) throws(DatabaseFailure) {
        let rows = obsolete.withLock { $0.prefix(most) }
        try file.commit(events, deleting: rows, floor: view.withLock { $0.history.floor })
        obsolete.withLock { $0.removeFirst(rows.count) }
    }

    /// A store over its size limit takes deletions only; it forgets most of its history, so that they free what they
    /// delete.
    private func makeRoom() {
        let isFull = queue.withLock { $0.isFull }
        guard let used = file.usedBytes, isFull || used > limits.databaseBytes else { return }
        if !isFull { logger.error("the store is full", metadata: ["bytes": "\(used)"]) }
        let forgotten = view.withLock {
            $0.shrinkHistory(events: limits.fullHistoryEvents, bytes: limits.databaseBytes / limits.fullHistoryEvents)
        }
        obsolete.withLock { $0 += forgotten }
        do {
            while obsolete.withLock({ !$0.isEmpty }) { try commit([], deleting: limits.batchWrites) }
        } catch {
            logger.error("old history cannot be deleted", metadata: ["problem": "\(error.problem.message)"])
        }
        let stillFull = (file.usedBytes ?? 0) > limits.databaseBytes
        queue.withLock { $0.sizeChanged(isFull: stillFull) }
    }

    private func fail(_ failure: DatabaseFailure) {
        let problem = failure.isFatal ? Problem.storeFailed(failure.problem.message) : failure.problem
        let failed = queue.withLock { queue in
            if failure.isFatal { queue.closed(problem) }
            return queue.batchFailed()
        }
        logger.error("commit failed", metadata: ["writes": "\(failed.count)", "problem": "\(problem.message)"])
        for ticket in failed { ticket.resume(returning: .failure(.refused(problem))) }
    }
}
