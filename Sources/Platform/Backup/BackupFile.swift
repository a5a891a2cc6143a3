// The file of a backup: written beside its place and moved there when it is whole, read whole.

import Crypto
import Glibc
import Objects
import Synchronization

/// A backup that is being written. Not for use by two tasks at once.
final class BackupOutput: Sendable {
    private struct State {
        var descriptor: Int32
        var hash = SHA256()
    }

    private let path: String
    private var unfinished: String { path + ".new" }
    private let state: Mutex<State>

    init(_ path: String) throws(Problem) {
        self.path = path
        let descriptor = open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BackupFile.failure("create", path + ".new") }
        state = Mutex(State(descriptor: descriptor))
    }

    func write(_ bytes: [UInt8]) throws(Problem) {
        let isWritten = state.withLock { state in
            state.hash.update(data: bytes)
            return BackupFile.write(bytes, to: state.descriptor)
        }
        if !isWritten { throw BackupFile.failure("write", unfinished) }
    }

    /// Adds the checksum, syncs, and moves the file to its place.
    func finish() throws(Problem) {
        let isWritten = state.withLock { state in
            let end = "end \(BackupFile.text(of: state.hash.finalize()))\n"
            return BackupFile.write(Array(end.utf8), to: state.descriptor) && fsync(state.descriptor) == 0
        }
        guard isWritten else { throw BackupFile.failure("write", unfinished) }
        guard rename(unfinished, path) == 0 else { throw BackupFile.failure("rename", unfinished) }
    }

    func discard() { unlink(unfinished) }

    deinit { state.withLock { _ = close($0.descriptor) } }
}

enum BackupFile {
    static func read(_ path: String, limit: Int) throws(Problem) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw failure("read", path) }
        guard Int(information.st_size) <= limit else {
            throw Problem(.invalid, "\(path) has more than \(limit) bytes: it is not one of ours")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(information.st_size))
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    static func digest(of bytes: ArraySlice<UInt8>) -> String {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return text(of: hash.finalize())
    }

    static func text(of digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func failure(_ deed: String, _ path: String) -> Problem {
        Problem(.internalError, "cannot \(deed) \(path): \(String(cString: strerror(errno)))")
    }
}
