// Unsafe: lends the bytes of a record to SQLite for the length of one call.
// The records on disk: an append-only table of writes in an SQLite database in WAL mode, synced at every commit.

import Glibc
import Objects
import SQLite
import Synchronization

/// A database file that this process alone has open for writing.
///
/// A row is a write, numbered by its revision. In the file are the rows that hold what is stored now, those of the
/// remembered history, and those that the history's first writes replaced; a row that the history no longer needs is
/// deleted by a later commit. Each row carries a checksum, and the one row of `state` the number of rows and the sum
/// of their checksums: a row that was changed, lost or added behind our back shows at the next opening.
final class RecordFile: Sendable {
    /// "mgrv", by which file(1) and this program know the database (sqlite.org/fileformat2.html).
    static let applicationID: UInt32 = 0x6D67_7276

    /// What to do about a damaged file.
    static let remedy = "restore a backup with `mangrove restore`"

    /// Nil once closed.
    private let writer: Mutex<Writer?>

    /// Opens a file for writing whose contents have been read.
    init(opening path: String, holding contents: RecordContents, limits: StoreLimits) throws(Problem) {
        do throws(DatabaseFailure) {
            writer = Mutex(try Writer(opening: path, tally: contents.tally, limits: limits))
        } catch {
            throw error.problem
        }
    }

    deinit { close() }

    /// Writes the events as one transaction and syncs it, deleting rows that are no longer needed on the way. On
    /// failure nothing is written.
    ///
    /// `floor` is the revision that history begins after when those rows are gone.
    func commit(_ events: [StoreEvent], deleting rows: ArraySlice<UInt64>, floor: UInt64) throws(DatabaseFailure) {
        try writer.withLock { writer throws(DatabaseFailure) in
            guard writer != nil else { throw DatabaseFailure(.storeClosed) }
            try writer?.commit(events, deleting: rows, floor: floor)
        }
    }

    /// What the records and their history take of the database's size; nil when that cannot be told.
    var usedBytes: Int? { writer.withLock { try? $0?.usedBytes() } }

    func close() {
        writer.withLock { writer in
            writer?.close()
            writer = nil
        }
    }

    /// Makes a file that holds these records and no history, whole or not at all.
    static func create(at path: String, records: [Record], revision: UInt64) throws(Problem) {
        let new = path + ".new"
        for leftover in [new, new + "-wal", new + "-shm", new + "-journal"] { unlink(leftover) }
        // SQLite gives the files that it keeps next to this one the same permissions.
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .file("create", new, errno) }
        Glibc.close(descriptor)
        do throws(DatabaseFailure) {
            let database = try Database(opening: new, .creating, remedy: remedy)
            defer { database.close() }
            try database.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            try database.run("PRAGMA application_id = \(applicationID)")
            try database.run("PRAGMA user_version = \(StoreDirectory.formatVersion)")
            try database.run(
                """
                BEGIN;
                CREATE TABLE event (
                    revision INTEGER PRIMARY KEY, is_deletion INTEGER NOT NULL, created INTEGER NOT NULL,
                    previous INTEGER NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL, checksum INTEGER NOT NULL);
                CREATE TABLE state (
                    id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, floor INTEGER NOT NULL,
                    row_count INTEGER NOT NULL, row_sum INTEGER NOT NULL, checksum INTEGER NOT NULL);
                INSERT INTO state VALUES (1, 0, 0, 0, 0, 0);
                """)
            let put = try database.statement(Writer.put)
            defer { put.finish() }
            var tally = Tally(revision: revision, floor: revision)
            for record in records.sorted(by: { $0.revision < $1.revision }) {
                tally.add(try Writer.write(StoreEvent(kind: .put, record: record, previous: nil), with: put))
            }
            let state = try database.statement(Writer.state)
            defer { state.finish() }
            try Writer.write(tally, with: state)
            try database.run("COMMIT")
        } catch {
            unlink(new)
            throw error.problem
        }
        guard rename(new, path) == 0 else { throw .file("rename", new, errno) }
    }
}

/// What the state row says: where the store stands, and what all rows together must come to.
struct Tally: Sendable, Hashable {
    var revision: UInt64
    /// History begins after this revision.
    var floor: UInt64
    var rows: UInt64 = 0
    /// The sum of the checksums of all rows.
    var sum: UInt64 = 0

    mutating func add(_ checksum: UInt64) {
        rows += 1
        sum &+= checksum
    }

    mutating func remove(_ checksum: UInt64) {
        rows -= 1
        sum &-= checksum
    }

    var checksum: UInt64 {
        var checksum = Checksum()
        for word in [revision, floor, rows, sum] { checksum.add(word) }
        return checksum.value
    }
}

/// The open database with its statements.
private struct Writer {
    static let put = "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    static let state = "UPDATE state SET revision = ?1, floor = ?2, row_count = ?3, row_sum = ?4, checksum = ?5"

    private let database: Database
    private let pageBytes: Int
    private let begin, put, remove, state, commit, rollback, pages, freePages: Statement
    /// As of the last commit.
    private var tally: Tally

    /// Exclusive locking keeps the log's index in memory: no shared-memory file, one process.
    init(opening path: String, tally: Tally, limits: StoreLimits) throws(DatabaseFailure) {
        database = try Database(opening: path, .writing, remedy: RecordFile.remedy)
        self.tally = tally
        do throws(DatabaseFailure) {
            try database.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            try database.run("PRAGMA journal_size_limit = \(limits.logBytes * 4)")
            guard try database.text("PRAGMA journal_mode") == "wal", try database.text("PRAGMA synchronous") == "2"
            else {
                throw DatabaseFailure(
                    Problem(.internalError, "\(path) cannot be kept in WAL mode with full syncing on this file system"))
            }
            let pageBytes = Int(try database.text("PRAGMA page_size") ?? "") ?? 4096
            let most = limits.databaseBytes + limits.deletionBytes
            try database.run("PRAGMA max_page_count = \(max(most / pageBytes, 1))")
            self.pageBytes = pageBytes
            pages = try database.statement("PRAGMA page_count")
            freePages = try database.statement("PRAGMA freelist_count")
            try database.run("PRAGMA wal_autocheckpoint = \(max(limits.logBytes / pageBytes, 1))")
            begin = try database.statement("BEGIN IMMEDIATE")
            put = try database.statement(Self.put)
            remove = try database.statement("DELETE FROM event WHERE revision = ?1 RETURNING checksum")
            state = try database.statement(Self.state)
            commit = try database.statement("COMMIT")
            rollback = try database.statement("ROLLBACK")
        } catch {
            database.close()
            throw error
        }
    }

    mutating func commit(
        _ events: [StoreEvent], deleting rows: ArraySlice<UInt64>, floor: UInt64
    ) throws(DatabaseFailure) {
        var next = tally
        do throws(DatabaseFailure) {
            try begin.run()
            for event in events { next.add(try Self.write(event, with: put)) }
            for row in rows {
                try remove.bind(row)
                if try remove.step() { next.remove(remove.unsigned(0)) }
                remove.reset()
            }
            next.revision = events.last?.revision ?? tally.revision
            next.floor = floor
            try Self.write(next, with: state)
            try commit.run()
        } catch {
            // Some failures have already undone the transaction.
            if database.isInTransaction { try? rollback.run() }
            throw error
        }
        tally = next
    }

    /// Writes a row and returns its checksum.
    static func write(_ event: StoreEvent, with put: Statement) throws(DatabaseFailure) -> UInt64 {
        let record = event.record
        let isDeletion: UInt64 = event.kind == .delete ? 1 : 0
        let previous = event.previous?.revision ?? 0
        func write(_ key: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer) -> Result<UInt64, DatabaseFailure> {
            let checksum = RecordContents.checksum(
                [record.revision, isDeletion, record.createRevision, previous], key, bytes)
            do throws(DatabaseFailure) {
                try put.bind(record.revision, isDeletion, record.createRevision, previous)
                try put.bind(checksum, from: 7)
                try put.run(text: key, at: 5, blob: bytes, at: 6)
                return .success(checksum)
            } catch {
                return .failure(error)
            }
        }
        var key = record.key
        return try key.withUTF8 { key in
            record.bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(key), $0) }
        }.get()
    }

    static func write(_ tally: Tally, with state: Statement) throws(DatabaseFailure) {
        try state.bind(tally.revision, tally.floor, tally.rows, tally.sum, tally.checksum)
        try state.run()
    }

    func usedBytes() throws(DatabaseFailure) -> Int {
        let used = try number(pages) - number(freePages)
        return used * pageBytes
    }

    private func number(_ statement: Statement) throws(DatabaseFailure) -> Int {
        let isThere = try statement.step()
        let number = isThere ? Int(statement.number(0)) : 0
        statement.reset()
        return number
    }

    func close() {
        for statement in [begin, put, remove, state, commit, rollback, pages, freePages] { statement.finish() }
        database.close()
    }
}
