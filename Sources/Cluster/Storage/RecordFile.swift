// Unsafe: calls SQLite's C interface; every pointer is used only inside the call or the lock that it was made for.
// The records on disk: one SQLite database in WAL mode, synced at every commit.

import GRDBSQLite
import Objects
import Synchronization

/// A database file that this process alone has open.
final class RecordFile: Sendable {
    /// Nil once closed.
    private let connection: Mutex<Connection?>
    private let path: String

    /// Opens the file, replaying what a killed process had committed.
    init(opening path: String, limits: StoreLimits) throws(Problem) {
        self.path = path
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            sqlite3_close_v2(handle)
            throw .file(path, code, "it cannot be opened")
        }
        var opened = Connection(handle: handle, path: path)
        do {
            try opened.prepare(limits)
        } catch {
            opened.close()
            throw error
        }
        connection = Mutex(opened)
    }

    deinit { close() }

    /// All records and the revision of the last commit.
    func load() throws(Problem) -> ([Record], UInt64) {
        try connection.withLock { connection throws(Problem) in
            guard let connection else { throw .storeClosed }
            return try connection.load()
        }
    }

    /// Writes the events as one transaction and syncs it. On failure nothing is written.
    func commit(_ events: [StoreEvent]) throws(Problem) {
        try connection.withLock { connection throws(Problem) in
            guard let open = connection else { throw .storeClosed }
            try open.commit(events)
        }
    }

    func close() {
        connection.withLock { connection in
            connection?.close()
            connection = nil
        }
    }
}

/// An open database with its statements.
private struct Connection {
    /// Makes SQLite copy what is bound.
    private static var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    private let handle: OpaquePointer
    private let path: String
    private var begin, put, remove, advance, commit, rollback: OpaquePointer?

    init(handle: OpaquePointer, path: String) {
        self.handle = handle
        self.path = path
    }

    /// Sets the file up. Exclusive locking keeps the WAL's index in memory: no shared-memory file, one process.
    mutating func prepare(_ limits: StoreLimits) throws(Problem) {
        sqlite3_extended_result_codes(handle, 1)
        try run("PRAGMA locking_mode = EXCLUSIVE")
        try run("PRAGMA journal_mode = WAL")
        try run("PRAGMA synchronous = FULL")
        try run("PRAGMA journal_size_limit = 67108864")
        guard try text("PRAGMA journal_mode") == "wal", try text("PRAGMA synchronous") == "2" else {
            throw Problem(.internalError, "\(path) cannot be kept in WAL mode with full syncing on this file system")
        }
        let pageBytes = Int(try text("PRAGMA page_size") ?? "") ?? 4096
        try run("PRAGMA max_page_count = \(max(limits.databaseBytes / pageBytes, 1))")
        try run(
            """
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS record (
                key TEXT PRIMARY KEY NOT NULL, bytes BLOB NOT NULL,
                revision INTEGER NOT NULL, create_revision INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
            INSERT OR IGNORE INTO state VALUES (1, 0);
            COMMIT;
            """)
        begin = try statement("BEGIN IMMEDIATE")
        put = try statement(
            """
            INSERT INTO record (key, bytes, revision, create_revision) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (key) DO UPDATE SET bytes = ?2, revision = ?3, create_revision = ?4
            """)
        remove = try statement("DELETE FROM record WHERE key = ?1")
        advance = try statement("UPDATE state SET revision = ?1 WHERE id = 1")
        commit = try statement("COMMIT")
        rollback = try statement("ROLLBACK")
    }

    func load() throws(Problem) -> ([Record], UInt64) {
        guard let revision = UInt64(try text("SELECT revision FROM state WHERE id = 1") ?? "") else {
            throw Problem(.internalError, "\(path) does not say its revision: restore it from a copy")
        }
        let rows = try statement("SELECT key, bytes, revision, create_revision FROM record")
        defer { sqlite3_finalize(rows) }
        var records: [Record] = []
        while true {
            let code = sqlite3_step(rows)
            if code == SQLITE_DONE { break }
            guard code == SQLITE_ROW, let key = sqlite3_column_text(rows, 0) else { throw problem(code) }
            let blob = UnsafeRawBufferPointer(
                start: sqlite3_column_blob(rows, 1), count: Int(sqlite3_column_bytes(rows, 1)))
            let record = Record(
                key: String(cString: key), bytes: Array(blob),
                revision: UInt64(bitPattern: sqlite3_column_int64(rows, 2)),
                createRevision: UInt64(bitPattern: sqlite3_column_int64(rows, 3)))
            guard record.revision <= revision else {
                throw Problem(.internalError, "\(path) holds a record newer than itself: restore it from a copy")
            }
            records.append(record)
        }
        return (records, revision)
    }

    func commit(_ events: [StoreEvent]) throws(Problem) {
        guard let last = events.last else { return }
        do {
            try step(begin)
            for event in events {
                switch event.kind {
                case .put:
                    let record = event.record
                    try bind(put, 1, record.key)
                    try bind(put, 2, record.bytes)
                    try bind(put, 3, record.revision)
                    try bind(put, 4, record.createRevision)
                    try step(put)
                case .delete:
                    try bind(remove, 1, event.key)
                    try step(remove)
                }
            }
            try bind(advance, 1, last.revision)
            try step(advance)
            try step(commit)
        } catch {
            // Some failures have already undone the transaction.
            if sqlite3_get_autocommit(handle) == 0 { sqlite3_step(rollback) }
            sqlite3_reset(rollback)
            throw error
        }
    }

    func close() {
        for statement in [begin, put, remove, advance, commit, rollback] { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    private func run(_ sql: String) throws(Problem) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw problem(code) }
    }

    /// The first column of the first row.
    private func text(_ sql: String) throws(Problem) -> String? {
        let row = try statement(sql)
        defer { sqlite3_finalize(row) }
        guard sqlite3_step(row) == SQLITE_ROW, let text = sqlite3_column_text(row, 0) else { return nil }
        return String(cString: text)
    }

    private func statement(_ sql: String) throws(Problem) -> OpaquePointer? {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
        guard code == SQLITE_OK else { throw problem(code) }
        return statement
    }

    private func step(_ statement: OpaquePointer?) throws(Problem) {
        let code = sqlite3_step(statement)
        let failure = code == SQLITE_DONE ? nil : problem(code)
        sqlite3_reset(statement)
        sqlite3_clear_bindings(statement)
        if let failure { throw failure }
    }

    private func bind(_ statement: OpaquePointer?, _ index: Int32, _ text: String) throws(Problem) {
        try check(sqlite3_bind_text(statement, index, text, -1, Self.copied))
    }

    private func bind(_ statement: OpaquePointer?, _ index: Int32, _ number: UInt64) throws(Problem) {
        try check(sqlite3_bind_int64(statement, index, Int64(bitPattern: number)))
    }

    private func bind(_ statement: OpaquePointer?, _ index: Int32, _ bytes: [UInt8]) throws(Problem) {
        if bytes.isEmpty {
            try check(sqlite3_bind_zeroblob(statement, index, 0))
        } else {
            try check(sqlite3_bind_blob(statement, index, bytes, Int32(clamping: bytes.count), Self.copied))
        }
    }

    private func check(_ code: Int32) throws(Problem) {
        guard code == SQLITE_OK else { throw problem(code) }
    }

    private func problem(_ code: Int32) -> Problem {
        .file(path, code, String(cString: sqlite3_errmsg(handle)))
    }
}

extension Problem {
    /// What SQLite's result code means to whoever runs the program.
    fileprivate static func file(_ path: String, _ code: Int32, _ words: String) -> Problem {
        switch code & 0xFF {
        case SQLITE_FULL:
            Problem(
                .storageReadOnly,
                "\(path): the disk is full or the store has reached its size limit; nothing was written: "
                    + "free some space")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            Problem(.internalError, "\(path) is damaged (\(words)): restore it from a copy")
        case SQLITE_BUSY:
            Problem(.serviceUnavailable, "\(path) is open in another program: close it there")
        default:
            Problem(.internalError, "\(path): \(words) (SQLite \(code)); nothing was written")
        }
    }
}
