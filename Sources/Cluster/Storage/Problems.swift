// How a write or an opening fails.

import Objects

/// Why a write was not made. Nothing has changed when it is thrown.
package enum StoreFailure: Error, Sendable, Hashable {
    /// A key to create is taken.
    case exists
    /// A key to update or delete is not there.
    case missing
    /// The key holds another revision than the writer expected.
    case conflict(current: Record)
    /// The store cannot take the write: too large, too many waiting, disk full, closed.
    case refused(Problem)
}

extension Problem {
    /// Reading or watching from a revision that is no longer remembered.
    static func tooOld(_ revision: UInt64, oldest: UInt64) -> Problem {
        Problem(.expired, "too old resource version: \(revision) (\(oldest))")
    }

    /// Reading or watching from a revision that has not been written.
    static func tooNew(_ revision: UInt64, current: UInt64) -> Problem {
        var problem = Problem(.timeout, "Too large resource version: \(revision), current: \(current)")
        problem.causes = [
            Cause(reason: "ResourceVersionTooLarge", message: "Too large resource version", field: "")
        ]
        problem.retryAfterSeconds = 1
        return problem
    }

    static func damaged(_ path: String, _ what: String) -> Problem { .damaged(path, what, remedy: RecordFile.remedy) }

    static func newerFormat(_ path: String, _ version: Int) -> Problem {
        Problem(
            .internalError,
            "\(path) was written by a newer Mangrove (store format \(version), this program reads "
                + "\(StoreDirectory.formatVersion)); it has been left untouched: use the newer program")
    }

    static func storeFull(_ limit: Int) -> Problem {
        Problem(
            .storageReadOnly, "the store has reached its size limit of \(limit >> 20) MiB: delete something first",
            code: 507)
    }

    /// After a failed sync nobody knows what is on the disk; only a new start, which reads it, can tell.
    static func storeFailed(_ cause: String) -> Problem {
        Problem(
            .storageReadOnly,
            "the store takes no more writes since the disk failed (\(cause)): see to the disk, then start again",
            code: 500)
    }

    static var storeClosed: Problem { Problem(.serviceUnavailable, "the store is closed") }

    static func storeBusy(_ waiting: Int) -> Problem {
        var problem = Problem(.tooManyRequests, "\(waiting) writes already wait for the disk; try again")
        problem.retryAfterSeconds = 1
        return problem
    }

    static func tooLarge(_ bytes: Int, limit: Int) -> Problem {
        Problem(.requestEntityTooLarge, "the object has \(bytes) bytes; at most \(limit) are stored")
    }

    static func badKey(_ key: String) -> Problem {
        .badRequest("\"\(key)\" cannot be stored: names consist of printable ASCII characters")
    }
}
