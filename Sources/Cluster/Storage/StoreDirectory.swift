// The store's directory: who may open it, and which version of this program wrote it.

import Glibc
import Objects
import Synchronization

/// A directory held by this process. Files: `lock` (the holder's pid), `format` (a version), `store.db` and what
/// SQLite keeps next to it.
final class StoreDirectory: Sendable {
    static let formatName = "mangrove-store"
    static let formatVersion = 2

    let path: String
    var database: String { path + "/store.db" }
    /// The locked file; nil once unlocked.
    private let lock: Mutex<Int32?>

    /// Makes the directory if need be, locks it and checks its format. It is readable by its owner only: it holds
    /// Secrets.
    init(opening path: String) throws(Problem) {
        self.path = path
        try Self.make(path)
        lock = Mutex(try Self.takeLock(path + "/lock"))
        do {
            try Self.checkFormat(path)
        } catch {
            unlock()
            throw error
        }
    }

    deinit { unlock() }

    /// Lets another process open the directory.
    func unlock() {
        lock.withLock { descriptor in
            if let open = descriptor {
                // Closing is not enough: a process that is being started elsewhere may share the descriptor until its
                // exec.
                flock(open, LOCK_UN)
                Glibc.close(open)
            }
            descriptor = nil
        }
    }

    static func make(_ path: String) throws(Problem) {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else { throw .file("make the directory", made, errno) }
        }
    }

    private static func takeLock(_ path: String) throws(Problem) -> Int32 {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .file("open", path, errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            defer { Glibc.close(descriptor) }
            guard code == EWOULDBLOCK else { throw .file("lock", path, code) }
            let holder = text(of: descriptor).prefix { $0.isNumber }
            throw Problem(
                .serviceUnavailable,
                "\(path) is held by process \(holder.isEmpty ? "unknown" : String(holder)): stop it, "
                    + "or use another directory")
        }
        let pid = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, pid, pid.count, 0) == pid.count else {
            let code = errno
            Glibc.close(descriptor)
            throw .file("write", path, code)
        }
        return descriptor
    }

    /// Refuses what this program did not write, and finishes what it was killed in the middle of making.
    private static func checkFormat(_ directory: String) throws(Problem) {
        let path = directory + "/format"
        var descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT {
            try makeFiles(in: directory, records: [], revision: 0)
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw .file("open", path, errno) }
        defer { Glibc.close(descriptor) }
        let words = text(of: descriptor).split(whereSeparator: \.isWhitespace)
        guard words.count == 2, words[0] == formatName, let version = Int(words[1]), version > 0 else {
            throw Problem(
                .internalError,
                "\(path) does not name a store format: \(directory) was not written by Mangrove, and has been left "
                    + "untouched")
        }
        if version > formatVersion { throw .newerFormat(directory, version) }
        guard version == formatVersion else {
            throw Problem(
                .internalError,
                "\(directory) was written by a Mangrove of before its first release (store format \(version)); it has "
                    + "been left untouched: use another directory, or `mangrove reset`")
        }
    }

    /// Makes the files of a store that holds these records: the database first, the format last, so that a directory
    /// with a format is whole.
    static func makeFiles(in directory: String, records: [Record], revision: UInt64) throws(Problem) {
        let path = directory + "/format"
        guard access(directory + "/store.db", F_OK) != 0 || access(path + ".new", F_OK) == 0 else {
            throw Problem(
                .internalError,
                "\(directory) has a store.db but no file \"format\": it cannot be told who wrote it, and it has been "
                    + "left untouched")
        }
        let bytes = Array("\(formatName) \(formatVersion)\n".utf8)
        try create(path + ".new") { descriptor in write(descriptor, bytes, bytes.count) == bytes.count }
        try sync(directory)
        try RecordFile.create(at: directory + "/store.db", records: records, revision: revision)
        try sync(directory)
        guard rename(path + ".new", path) == 0 else { throw .file("rename", path + ".new", errno) }
        try sync(directory)
    }

    private static func sync(_ directory: String) throws(Problem) {
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file("open", directory, errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .file("sync", directory, errno) }
    }

    private static func create(_ path: String, _ fill: (Int32) -> Bool) throws(Problem) {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .file("create", path, errno) }
        defer { Glibc.close(descriptor) }
        guard fill(descriptor), fsync(descriptor) == 0 else { throw .file("write", path, errno) }
    }

    /// The first bytes of a file.
    private static func text(of descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }
}

extension Problem {
    static func file(_ deed: String, _ path: String, _ code: Int32) -> Problem {
        Problem(.internalError, "cannot \(deed) \(path): \(String(cString: strerror(code)))")
    }
}
