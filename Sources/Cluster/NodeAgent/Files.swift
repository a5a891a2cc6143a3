// Unsafe: a directory entry's name is read as the C string that `readdir` promises it to be, before the next call.
// The few deeds on files that the agent needs, without Foundation.

import Glibc
import Objects

/// Files and directories of the host.
enum Files {
    /// The most that `read` takes in.
    static let readLimitBytes = 16 * 1024 * 1024

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isDirectory(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    /// The whole content, or nil when the file cannot be read or is larger than the limit.
    static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while content.count <= readLimitBytes {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0 { return nil }
            if count == 0 { return content }
            content += buffer[..<count]
        }
        return nil
    }

    static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

    /// Writes a whole file anew, with this mode, whatever the umask is. A reader sees the old content or the new one.
    static func write(_ content: [UInt8], to path: String, mode: UInt32) throws(Problem) {
        let fresh = path + ".new"
        let file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("write", path) }
        defer { close(file) }
        var written = 0
        while written < content.count {
            let count = Glibc.write(file, Array(content[written...]), content.count - written)
            guard count > 0 else { throw failure("write", path) }
            written += count
        }
        guard fchmod(file, mode) == 0 else { throw failure("set the mode of", path) }
        guard rename(fresh, path) == 0 else { throw failure("write", path) }
    }

    /// Makes a directory and what is missing above it; one that exists keeps its mode.
    static func makeDirectory(_ path: String, mode: UInt32 = 0o755) throws(Problem) {
        if isDirectory(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeDirectory(String(path[..<slash])) }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("make the directory", path) }
        guard chmod(path, mode) == 0 else { throw failure("set the mode of", path) }
    }

    /// The names in a directory, sorted; empty when there is none.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a file or a whole tree, following no link and crossing into no other file system.
    static func remove(_ path: String) {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return }
        remove(path, facts, device: facts.st_dev)
    }

    private static func remove(_ path: String, _ facts: stat, device: dev_t) {
        guard facts.st_dev == device else { return }
        guard facts.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) {
            var below = stat()
            if lstat("\(path)/\(name)", &below) == 0 { remove("\(path)/\(name)", below, device: device) }
        }
        rmdir(path)
    }

    private static func failure(_ deed: String, _ path: String) -> Problem {
        Problem(.internalError, "cannot \(deed) \(path): \(String(cString: strerror(errno)))")
    }
}
