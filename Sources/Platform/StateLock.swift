// One platform per state directory: a lock that dies with its holder, and a note of who holds it.

import Formats
import Glibc
import Objects

/// The lock on a state directory, held for as long as this value lives.
///
/// The kernel releases it when the holder ends, however it ends (flock(2)); the note in the file is only for people and
/// for `mangrove status`.
package final class StateLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock; throws a Problem that says who holds it.
    package init(directory: String, note: JSON) throws(Problem) {
        let path = Self.path(directory)
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Problem(.internalError, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            let holder = Self.holder(of: directory)
            throw Problem(
                .conflict,
                "\(directory) is in use by mangrove with process id \(holder.map { String($0.pid) } ?? "unknown");"
                    + " stop it with `mangrove down`, or choose another directory with --state")
        }
        self.descriptor = descriptor
        write(note)
    }

    deinit { close(descriptor) }

    /// Replaces the note. It is never shorter than the one before, so that a reader finds the old one or the new one.
    package func write(_ note: JSON) {
        var bytes = note.bytes
        bytes += [UInt8](repeating: UInt8(ascii: " "), count: max(0, Self.noteBytes - bytes.count))
        _ = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// Notes are filled up with spaces to so many bytes.
    private static let noteBytes = 4 << 10

    /// Who runs on a state directory.
    package struct Holder: Sendable {
        package var pid: Int32
        package var note: JSON
    }

    /// The platform that holds the lock now, or nil when none does.
    package static func holder(of directory: String) -> Holder? {
        let descriptor = open(path(directory), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0, let note = try? JSON(parsing: buffer.prefix(count)), let pid = note["pid"]?.integer else {
            return nil
        }
        return Holder(pid: Int32(clamping: pid), note: note)
    }

    private static func path(_ directory: String) -> String { directory + "/lock" }
}
