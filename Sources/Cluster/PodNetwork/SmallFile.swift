// Unsafe: every buffer is passed with its own length and outlives the call.
// Small files read and written whole: the pod network's state and the kernel's settings.

import Glibc
import Objects

/// A file of at most `sizeLimit` bytes.
struct SmallFile: Sendable {
    static let sizeLimit = 16 * 1024 * 1024

    let path: String

    /// Nil when there is no such file.
    func read() throws(Problem) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failed("be opened") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while bytes.count < Self.sizeLimit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failed("be read") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
        throw Problem(.internalError, "\(path) is larger than \(Self.sizeLimit) bytes")
    }

    /// Writes into the file that is there, as the kernel's settings want it.
    func overwrite(_ bytes: [UInt8]) throws(Problem) {
        try write(bytes, flags: O_WRONLY | O_CLOEXEC)
    }

    /// Writes these bytes instead of the file's own, in place.
    func rewrite(_ bytes: [UInt8]) throws(Problem) {
        try write(bytes, flags: O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC)
    }

    /// Puts a file with these bytes in place in one step; a reader sees the old file or the new one.
    func replace(_ bytes: [UInt8]) throws(Problem) {
        let fresh = SmallFile(path: path + ".new")
        try fresh.write(bytes, flags: O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC)
        guard rename(fresh.path, path) == 0 else { throw failed("be replaced") }
    }

    /// A file that is not there is no error.
    func remove() throws(Problem) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failed("be removed") }
    }

    private func write(_ bytes: [UInt8], flags: Int32) throws(Problem) {
        let descriptor = open(path, flags, 0o644)
        guard descriptor >= 0 else { throw failed("be opened for writing") }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failed("be written") }
            rest = rest.dropFirst(count)
        }
    }

    private func failed(_ what: String) -> Problem {
        Problem(.internalError, "\(path) could not \(what): \(String(cString: strerror(errno)))")
    }
}
