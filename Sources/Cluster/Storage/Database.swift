// Unsafe: calls SQLite's C interface; every pointer is used only inside the call, or as long as the connection is open.
// One SQLite connection and its statements, with failures in words. Nothing in here knows what is stored.

import GRDBSQLite
import Objects

/// A failure of SQLite, with its extended result code.
struct DatabaseFailure: Error {
    let code: Int32
    let problem: Problem

    var isDamage: Bool { [SQLITE_CORRUPT, SQLITE_NOTADB].contains(code & 0xFF) }

    /// A sync that failed may have lost what was written before it, and a later one would not say so: nothing may be
    /// promised on this file any more. (PostgreSQL calls it fsyncgate.)
    var isFatal: Bool { isDamage || [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(code) }
}

private let SQLITE_IOERR_FSYNC: Int32 = 10 | (4 << 8)
private let SQLITE_IOERR_DIR_FSYNC: Int32 = 10 | (5 << 8)

/// An open connection. It is used by one thread at a time, which its owner sees to, and closed by its owner.
struct Database {
    enum Access {
        /// Changes nothing, not even by closing. `hasLog`: a write-ahead log lies next to the file.
        case reading(hasLog: Bool)
        case writing
        case creating
    }

    private let handle: OpaquePointer
    private let path: String

    init(opening path: String, _ access: Access) throws(DatabaseFailure) {
        self.path = path
        var opened: OpaquePointer?
        var name = path
        var flags = SQLITE_OPEN_NOMUTEX
        switch access {
        case .reading(let hasLog):
            name = Self.address(of: path) + (hasLog ? "?mode=ro" : "?mode=ro&immutable=1")
            flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
        case .writing: flags |= SQLITE_OPEN_READWRITE
        case .creating: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        }
        let code = sqlite3_open_v2(name, &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw DatabaseFailure(code: code, problem: .file(path, code, "it cannot be opened"))
        }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
    }

    func close() { sqlite3_close_v2(handle) }

    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    func run(_ sql: String) throws(DatabaseFailure) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code) }
    }

    /// The first column of the first row.
    func text(_ sql: String) throws(DatabaseFailure) -> String? {
        let statement = try statement(sql)
        defer { statement.finish() }
        return try statement.step() ? statement.text(0) : nil
    }

    func statement(_ sql: String) throws(DatabaseFailure) -> Statement {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw failure(code) }
        return Statement(handle: prepared, database: self)
    }

    fileprivate func failure(_ code: Int32) -> DatabaseFailure {
        let code = code & 0xFF == sqlite3_errcode(handle) & 0xFF ? sqlite3_extended_errcode(handle) : code
        return DatabaseFailure(code: code, problem: .file(path, code, String(cString: sqlite3_errmsg(handle))))
    }

    /// `file:` with everything escaped that means something in a URI.
    private static func address(of path: String) -> String {
        var address = "file:"
        for byte in path.utf8 {
            if [UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "%")].contains(byte) {
                address += "%" + String(byte, radix: 16, uppercase: true)
            } else {
                address.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return address
    }
}

/// A prepared statement. Values are bound by position from 1 and read by column from 0.
struct Statement {
    fileprivate let handle: OpaquePointer
    fileprivate let database: Database

    func finish() { sqlite3_finalize(handle) }

    func bind(_ numbers: UInt64..., from first: Int32 = 1) throws(DatabaseFailure) {
        for (offset, number) in numbers.enumerated() {
            try check(sqlite3_bind_int64(handle, first + Int32(offset), Int64(bitPattern: number)))
        }
    }

    /// Lends a text and a blob to the statement while it runs once.
    func run(
        text: UnsafeRawBufferPointer, at textIndex: Int32, blob: UnsafeRawBufferPointer, at blobIndex: Int32
    ) throws(DatabaseFailure) {
        try check(
            sqlite3_bind_text(
                handle, textIndex, text.assumingMemoryBound(to: CChar.self).baseAddress, Int32(text.count), nil))
        if blob.isEmpty {
            try check(sqlite3_bind_zeroblob(handle, blobIndex, 0))
        } else {
            try check(sqlite3_bind_blob(handle, blobIndex, blob.baseAddress, Int32(clamping: blob.count), nil))
        }
        defer { sqlite3_clear_bindings(handle) }
        try run()
    }

    /// Runs to the end and makes the statement ready for the next time.
    func run() throws(DatabaseFailure) {
        let code = sqlite3_step(handle)
        let failure = code == SQLITE_DONE || code == SQLITE_ROW ? nil : database.failure(code)
        sqlite3_reset(handle)
        if let failure { throw failure }
    }

    /// Goes to the next row; false at the end.
    func step() throws(DatabaseFailure) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else {
            let failure = database.failure(code)
            sqlite3_reset(handle)
            throw failure
        }
        return false
    }

    func reset() { sqlite3_reset(handle) }

    func number(_ column: Int32) -> UInt64 { UInt64(bitPattern: sqlite3_column_int64(handle, column)) }

    /// Good until the next step.
    func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: sqlite3_column_blob(handle, column), count: Int(sqlite3_column_bytes(handle, column)))
    }

    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    private func check(_ code: Int32) throws(DatabaseFailure) {
        guard code == SQLITE_OK else { throw database.failure(code) }
    }
}

extension Problem {
    /// What SQLite's result code means to whoever runs the program.
    fileprivate static func file(_ path: String, _ code: Int32, _ words: String) -> Problem {
        switch code & 0xFF {
        case SQLITE_FULL:
            Problem(
                .storageReadOnly,
                "\(path): the disk is full; nothing was written: free some space",
                code: 507)
        case SQLITE_CORRUPT, SQLITE_NOTADB: .damaged(path, words)
        case SQLITE_BUSY: Problem(.serviceUnavailable, "\(path) is open in another program: close it there")
        default: Problem(.internalError, "\(path): \(words) (SQLite \(code)); nothing was written")
        }
    }
}
