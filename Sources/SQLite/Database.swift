// Unsafe: calls SQLite's C interface; every pointer is used only inside the call, or as long as the connection is open.
// One SQLite connection. Nothing in here knows what is stored.

import GRDBSQLite
import Objects

/// An open connection. It is used by one thread at a time, which its owner sees to, and closed by its owner.
package struct Database {
    package enum Access: Sendable {
        /// Changes nothing, not even by closing. `hasLog`: a write-ahead log lies next to the file.
        case reading(hasLog: Bool)
        case writing
        case creating
    }

    private let handle: OpaquePointer
    private let path: String
    private let remedy: String

    /// `remedy` says what to do when the file is damaged.
    package init(opening path: String, _ access: Access, remedy: String) throws(DatabaseFailure) {
        self.path = path
        self.remedy = remedy
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
            throw DatabaseFailure(code, "it cannot be opened", path, remedy: remedy)
        }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
    }

    package func close() { sqlite3_close_v2(handle) }

    package var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    package func run(_ sql: String) throws(DatabaseFailure) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code) }
    }

    /// The first column of the first row.
    package func text(_ sql: String) throws(DatabaseFailure) -> String? {
        let statement = try statement(sql)
        defer { statement.finish() }
        return try statement.step() ? statement.text(0) : nil
    }

    /// The first column of the first row; 0 when there is none.
    package func number(_ sql: String) throws(DatabaseFailure) -> Int64 {
        let statement = try statement(sql)
        defer { statement.finish() }
        return try statement.step() ? statement.number(0) : 0
    }

    package func statement(_ sql: String) throws(DatabaseFailure) -> Statement {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw failure(code) }
        return Statement(handle: prepared, database: self)
    }

    func failure(_ code: Int32) -> DatabaseFailure {
        let code = code & 0xFF == sqlite3_errcode(handle) & 0xFF ? sqlite3_extended_errcode(handle) : code
        return DatabaseFailure(code, String(cString: sqlite3_errmsg(handle)), path, remedy: remedy)
    }

    /// `file:` with everything escaped that means something in a URI.
    private static func address(of path: String) -> String {
        var address = "file:"
        for scalar in path.unicodeScalars {
            switch scalar {
            case "?": address += "%3F"
            case "#": address += "%23"
            case "%": address += "%25"
            default: address.unicodeScalars.append(scalar)
            }
        }
        return address
    }
}
