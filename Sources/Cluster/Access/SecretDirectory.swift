// Small secret files: read whole, written whole or not at all, readable by their owner only.

import Glibc
import Objects

/// A directory of secrets.
struct SecretDirectory: Sendable {
    /// Longer files are not ours.
    static let fileBytes = 65_536

    let path: String

    /// Makes the directory if it is not there, and those above it.
    init(_ path: String) throws(Problem) {
        self.path = path
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else {
                throw Self.problem("make the directory", made, errno)
            }
        }
    }

    /// The text of a file; nil when there is none.
    func read(_ name: String) throws(Problem) -> String? {
        let file = path + "/" + name
        let descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Self.problem("open", file, errno)
        }
        defer { Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.fileBytes)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Self.problem("read", file, errno) }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    func write(_ text: String, to name: String) throws(Problem) { try Self.write(text, to: path + "/" + name) }

    static func write(_ text: String, to file: String) throws(Problem) {
        let new = file + ".new"
        let bytes = Array(text.utf8)
        // A leftover may have other permissions.
        unlink(new)
        let descriptor = Glibc.open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw problem("create", new, errno) }
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let code = errno
        Glibc.close(descriptor)
        guard isWritten else { throw problem("write", new, code) }
        guard rename(new, file) == 0 else { throw problem("rename", new, errno) }
    }

    private static func problem(_ deed: String, _ path: String, _ code: Int32) -> Problem {
        Problem(.internalError, "cannot \(deed) \(path): \(String(cString: strerror(code)))")
    }
}
