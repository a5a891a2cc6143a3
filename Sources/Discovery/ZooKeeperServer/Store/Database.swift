// Unsafe: calls SQLite's C interface; every pointer is used only within the call, or while the connection is open.
// One SQLite connection and its statements, for the room's own file. Nothing in here knows what is stored.

import GRDBSQLite
import Objects

/// What SQLite said, with its extended result code.
struct DatabaseFailure: Error {
    let code: Int32
    let problem: Problem

    /// The same may work a while later: there was no room on the disk.
    var isDiskFull: Bool { code & 0xFF == SQLITE_FULL }
}

/// An open connection, used by one thread at a time.
struct Database {
    private let handle: OpaquePointer
    private let path: String

    /// `reading` changes nothing, not even by closing; `hasLog` tells that a write-ahead log lies beside the file.
    enum Access: Hashable {
        case reading(hasLog: Bool)
        case writing
    }

    init(at path: String, _ access: Access) throws(DatabaseFailure) {
        self.path = path
        var opened: OpaquePointer?
        let code: Int32
        switch access {
        case .reading(let hasLog):
            let name = "file:" + Self.escaped(path) + (hasLog ? "?mode=ro" : "?mode=ro&immutable=1")
            code = sqlite3_open_v2(name, &opened, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nil)
        case .writing:
            code = sqlite3_open_v2(
                path, &opened, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nil)
        }
        guard code == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw DatabaseFailure(code: code, problem: .database(path, code, "it cannot be opened"))
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

    func prepare(_ sql: String) throws(DatabaseFailure) -> Statement {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw failure(code) }
        return Statement(handle: prepared, database: self)
    }

    /// The only column of the first row.
    func number(_ sql: String) throws(DatabaseFailure) -> Int64 {
        let statement = try prepare(sql)
        defer { statement.finish() }
        return try statement.step() ? statement.number(0) : 0
    }

    fileprivate func failure(_ code: Int32) -> DatabaseFailure {
        DatabaseFailure(code: code, problem: .database(path, code, String(cString: sqlite3_errmsg(handle))))
    }

    private static func escaped(_ path: String) -> String {
        var result = ""
        for scalar in path.unicodeScalars {
            switch scalar {
            case "?": result += "%3f"
            case "#": result += "%23"
            case "%": result += "%25"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// A value of a column.
enum Cell {
    case number(Int64)
    case text(String)
    case bytes([UInt8])
    case data([UInt8]?)
}

/// A prepared statement; values are bound in order.
struct Statement {
    fileprivate let handle: OpaquePointer
    fileprivate let database: Database
    /// SQLite copies what it is given.
    private static let copies = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    func finish() { sqlite3_finalize(handle) }

    /// Runs to the end.
    func run(_ cells: Cell...) throws(DatabaseFailure) {
        for (place, cell) in cells.enumerated() {
            let index = Int32(place + 1)
            let code: Int32
            switch cell {
            case .number(let number): code = sqlite3_bind_int64(handle, index, number)
            case .text(let text): code = sqlite3_bind_text(handle, index, text, Int32(text.utf8.count), Self.copies)
            case .data(nil): code = sqlite3_bind_null(handle, index)
            case .bytes(let bytes), .data(.some(let bytes)):
                code = bytes.isEmpty
                    ? sqlite3_bind_zeroblob(handle, index, 0)
                    : sqlite3_bind_blob(handle, index, bytes, Int32(clamping: bytes.count), Self.copies)
            }
            guard code == SQLITE_OK else { throw database.failure(code) }
        }
        let code = sqlite3_step(handle)
        let failure = code == SQLITE_DONE || code == SQLITE_ROW ? nil : database.failure(code)
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
        if let failure { throw failure }
    }

    /// Goes to the next row; false at the end.
    func step() throws(DatabaseFailure) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else { throw database.failure(code) }
        return false
    }

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func data(_ column: Int32) -> [UInt8]? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : bytes(column)
    }

    func bytes(_ column: Int32) -> [UInt8] {
        Array(
            UnsafeRawBufferPointer(
                start: sqlite3_column_blob(handle, column), count: Int(sqlite3_column_bytes(handle, column))))
    }
}

extension Problem {
    fileprivate static func database(_ path: String, _ code: Int32, _ words: String) -> Problem {
        switch code & 0xFF {
        case SQLITE_FULL: Problem(.storageReadOnly, "\(path): the disk is full: free some space", code: 507)
        case SQLITE_CORRUPT, SQLITE_NOTADB: .damaged(path, words)
        case SQLITE_BUSY: Problem(.serviceUnavailable, "\(path) is open in another program: close it there")
        default: Problem(.internalError, "\(path): \(words) (SQLite \(code))")
        }
    }

    static func damaged(_ path: String, _ words: String) -> Problem {
        Problem(
            .internalError,
            "\(path) is damaged (\(words)) and was left as it is: restore a backup, or move its directory away to begin "
                + "with an empty tree")
    }
}
