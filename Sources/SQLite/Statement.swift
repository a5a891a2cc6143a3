// Unsafe: calls SQLite's C interface; every pointer is used only inside the call, or until the next step of its
// statement. A prepared statement: values in, rows out.

import GRDBSQLite

/// A value of a column.
package enum Cell {
    case number(Int64)
    case text(String)
    case bytes([UInt8])
    case data([UInt8]?)
}

/// A prepared statement. Values are bound by position from 1 and read by column from 0.
package struct Statement {
    let handle: OpaquePointer
    let database: Database

    /// SQLite copies what it is given.
    private static let copies = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    package func finish() { sqlite3_finalize(handle) }

    package func bind(_ numbers: UInt64..., from first: Int32 = 1) throws(DatabaseFailure) {
        for (offset, number) in numbers.enumerated() {
            try check(sqlite3_bind_int64(handle, first + Int32(offset), Int64(bitPattern: number)))
        }
    }

    /// Binds all values in order, runs to the end, and forgets them.
    package func run(_ cells: Cell...) throws(DatabaseFailure) {
        defer { sqlite3_clear_bindings(handle) }
        for (place, cell) in cells.enumerated() {
            let index = Int32(place + 1)
            switch cell {
            case .number(let number): try check(sqlite3_bind_int64(handle, index, number))
            case .text(let text): try check(sqlite3_bind_text(handle, index, text, Int32(text.utf8.count), Self.copies))
            case .data(nil): try check(sqlite3_bind_null(handle, index))
            case .bytes(let bytes), .data(.some(let bytes)):
                try check(
                    bytes.isEmpty
                        ? sqlite3_bind_zeroblob(handle, index, 0)
                        : sqlite3_bind_blob(handle, index, bytes, Int32(clamping: bytes.count), Self.copies))
            }
        }
        try run()
    }

    /// Lends a text and a blob to the statement while it runs once.
    package func run(
        text: UnsafeRawBufferPointer, at textIndex: Int32, blob: UnsafeRawBufferPointer, at blobIndex: Int32
    ) throws(DatabaseFailure) {
        try check(
            sqlite3_bind_text(
                handle, textIndex, text.assumingMemoryBound(to: CChar.self).baseAddress, Int32(text.count), nil))
        try check(
            blob.isEmpty
                ? sqlite3_bind_zeroblob(handle, blobIndex, 0)
                : sqlite3_bind_blob(handle, blobIndex, blob.baseAddress, Int32(clamping: blob.count), nil))
        defer { sqlite3_clear_bindings(handle) }
        try run()
    }

    /// Runs to the end with what is bound, and makes the statement ready for the next time.
    package func run() throws(DatabaseFailure) {
        let code = sqlite3_step(handle)
        let failure = code == SQLITE_DONE || code == SQLITE_ROW ? nil : database.failure(code)
        sqlite3_reset(handle)
        if let failure { throw failure }
    }

    /// Goes to the next row; false at the end.
    package func step() throws(DatabaseFailure) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else {
            let failure = database.failure(code)
            sqlite3_reset(handle)
            throw failure
        }
        return false
    }

    package func reset() { sqlite3_reset(handle) }

    package func number(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    /// The same bits without a sign.
    package func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: number(column)) }

    /// Good until the next step.
    package func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: sqlite3_column_blob(handle, column), count: Int(sqlite3_column_bytes(handle, column)))
    }

    /// A copy; nil where the column is null.
    package func data(_ column: Int32) -> [UInt8]? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : Array(bytes(column))
    }

    package func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    private func check(_ code: Int32) throws(DatabaseFailure) {
        guard code == SQLITE_OK else { throw database.failure(code) }
    }
}
