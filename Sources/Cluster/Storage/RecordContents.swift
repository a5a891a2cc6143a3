// Unsafe: reads what SQLite lends for the time of one row.
// Reads a record file whole at opening, and refuses what is damaged or not ours, without changing a byte.

import Glibc
import Objects
import SQLite

/// What a record file holds.
struct RecordContents: Sendable {
    private(set) var records: [Record] = []
    private(set) var history: History
    private(set) var tally: Tally
    /// Rows that nothing needs any more and that are still in the file.
    private(set) var obsolete: [UInt64] = []

    /// Reads a file that nobody has open, with the log that a killed process may have left.
    ///
    /// Everything is checked: each row against its checksum, all of them against the tally, and that the rows make
    /// sense as a history. Nothing on disk is changed, whatever comes out.
    init(reading path: String, limits: StoreLimits) throws(Problem) {
        try Self.checkHeader(of: path)
        let hasLog = Self.size(of: path + "-wal") ?? 0 > 0
        let hadIndex = access(path + "-shm", F_OK) == 0
        // Reading a log makes an index of it next to it; it is only of use while somebody reads.
        defer { if !hadIndex { unlink(path + "-shm") } }
        do {
            let database = try Database(
                opening: path, .reading(hasLog: hasLog), remedy: RecordFile.remedy)
            defer { database.close() }
            tally = try Self.tally(in: database, path)
            history = History(after: tally.floor, limits: limits)
            try readRows(of: database, path)
        } catch let problem as Problem {
            throw problem
        } catch let failure as DatabaseFailure {
            throw failure.problem
        } catch {
            throw Problem(.internalError, "\(path): \(error)")
        }
    }

    private static func tally(in database: Database, _ path: String) throws -> Tally {
        let row = try database.statement("SELECT revision, floor, row_count, row_sum, checksum FROM state")
        defer { row.finish() }
        guard try row.step() else { throw Problem.damaged(path, "it does not say its revision") }
        let tally = Tally(
            revision: row.unsigned(0), floor: row.unsigned(1), rows: row.unsigned(2), sum: row.unsigned(3))
        guard tally.checksum == row.unsigned(4) else { throw Problem.damaged(path, "its state has been altered") }
        return tally
    }

    /// Replays the rows in the order of their revisions.
    private mutating func readRows(of database: Database, _ path: String) throws {
        var found = Tally(revision: tally.revision, floor: tally.floor)
        var current: [String: Record] = [:]
        current.reserveCapacity(Int(clamping: min(tally.rows, 1 << 20)))
        let rows = try database.statement(
            "SELECT revision, is_deletion, created, previous, key, bytes, checksum FROM event ORDER BY revision")
        defer { rows.finish() }
        while try rows.step() {
            let checksum = Self.checksum((0..<4).map { rows.unsigned($0) }, rows.bytes(4), rows.bytes(5))
            let revision = rows.unsigned(0)
            guard checksum == rows.unsigned(6) else { throw Problem.damaged(path, "revision \(revision) is altered") }
            found.add(checksum)
            let record = Record(
                key: rows.text(4), bytes: Array(rows.bytes(5)), revision: revision, createRevision: rows.unsigned(2))
            let event = StoreEvent(
                kind: rows.unsigned(1) == 0 ? .put : .delete, record: record,
                previous: rows.unsigned(3) == 0 ? nil : current[record.key])
            current[record.key] = event.kind == .put ? record : nil
            guard revision > tally.floor else {
                // A commit deletes a part of what is forgotten; the rest is found again here.
                obsolete += event.obsoleteRows
                continue
            }
            guard revision == history.newest + 1, event.previous?.revision ?? 0 == rows.unsigned(3) else {
                throw Problem.damaged(path, "its history has a gap before revision \(revision)")
            }
            for forgotten in history.append(event) { obsolete += forgotten.obsoleteRows }
        }
        guard found == tally, history.newest == tally.revision else {
            throw Problem.damaged(path, "rows are missing or altered")
        }
        records = Array(current.values)
    }

    static func checksum(
        _ numbers: [UInt64], _ key: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer
    ) -> UInt64 {
        var checksum = Checksum()
        for number in numbers { checksum.add(number) }
        checksum.add(key)
        checksum.add(bytes)
        return checksum.value
    }

    /// The first hundred bytes say whose file it is (sqlite.org/fileformat2.html, section 1.3).
    private static func checkHeader(of path: String) throws(Problem) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { throw .damaged(path, "it is not there") }
            throw .file("open", path, errno)
        }
        defer { Glibc.close(descriptor) }
        var header = [UInt8](repeating: 0, count: 100)
        guard pread(descriptor, &header, header.count, 0) == header.count else {
            throw .damaged(path, "it is cut short")
        }
        func number(at place: Int) -> UInt32 { header[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        guard header.starts(with: Array("SQLite format 3\0".utf8)), number(at: 68) == RecordFile.applicationID else {
            throw Problem(
                .internalError,
                "\(path) is damaged, or was not written by Mangrove; it has been left untouched: "
                    + "restore a backup with `mangrove restore`, or use another directory")
        }
        let version = number(at: 60)
        if version > StoreDirectory.formatVersion { throw .newerFormat(path, Int(version)) }
        guard version == StoreDirectory.formatVersion else { throw .damaged(path, "its format is \(version)") }
    }

    private static func size(of path: String) -> Int? {
        var information = stat()
        return stat(path, &information) == 0 ? Int(information.st_size) : nil
    }
}
