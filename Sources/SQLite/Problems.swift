// What SQLite's result codes mean to whoever runs the program.

import GRDBSQLite
import Objects

/// A failure of SQLite, with its extended result code; 0 where a file's owner found something wrong.
package struct DatabaseFailure: Error {
    package let code: Int32
    package let problem: Problem

    package init(_ problem: Problem) {
        code = SQLITE_OK
        self.problem = problem
    }

    init(_ code: Int32, _ words: String, _ path: String, remedy: String) {
        self.code = code
        problem =
            switch code & 0xFF {
            case SQLITE_FULL:
                Problem(.storageReadOnly, "\(path): the disk is full; nothing was written: free some space", code: 507)
            case SQLITE_CORRUPT, SQLITE_NOTADB: .damaged(path, words, remedy: remedy)
            case SQLITE_BUSY: Problem(.serviceUnavailable, "\(path) is open in another program: close it there")
            default: Problem(.internalError, "\(path): \(words) (SQLite \(code)); nothing was written")
            }
    }

    /// The same may work a while later: there was no room on the disk.
    package var isDiskFull: Bool { code & 0xFF == SQLITE_FULL }

    package var isDamage: Bool { [SQLITE_CORRUPT, SQLITE_NOTADB].contains(code & 0xFF) }

    /// A sync that failed may have lost what was written before it, and a later one would not say so: nothing may be
    /// promised on this file any more. (PostgreSQL calls it fsyncgate.)
    package var isFatal: Bool { isDamage || [Self.failedSync, Self.failedDirectorySync].contains(code) }

    /// `SQLITE_IOERR_FSYNC` and `SQLITE_IOERR_DIR_FSYNC`, which are macros that Swift cannot read.
    private static let failedSync = SQLITE_IOERR | (4 << 8)
    private static let failedDirectorySync = SQLITE_IOERR | (5 << 8)
}

extension Problem {
    package static func damaged(_ path: String, _ what: String, remedy: String) -> Problem {
        Problem(.internalError, "\(path) is damaged (\(what)); it has been left untouched: \(remedy)")
    }
}
