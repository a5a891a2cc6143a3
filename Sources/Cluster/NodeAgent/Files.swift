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

    /// At most so many bytes of a file's end; empty when it cannot be read.
    static func tail(_ path: String, bytes limit: Int) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        let end = Int(lseek(file, 0, SEEK_END))
        var buffer = [UInt8](repeating: 0, count: min(max(end, 0), limit))
        let count = pread(file, &buffer, buffer.count, off_t(end - buffer.count))
        return Array(buffer.prefix(max(count, 0)))
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

    /// The permissions of a file; nil when there is none.
    static func mode(_ path: String) -> Int? {
        var facts = stat()
        return lstat(path, &facts) == 0 ? Int(facts.st_mode & 0o7777) : nil
    }

    /// What kind of file it is, links followed: `S_IFSOCK` and the like; 0 when there is none.
    static func kind(_ path: String) -> mode_t {
        var facts = stat()
        return stat(path, &facts) == 0 ? facts.st_mode & S_IFMT : 0
    }

    /// The path without links; nil when it does not exist.
    static func real(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }

    /// Where a symbolic link leads; nil when it is none.
    static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink(path, &buffer, buffer.count - 1)
        return length > 0 ? String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// Makes a symbolic link or changes where it leads, in one step.
    static func replaceLink(_ path: String, to target: String) throws(Problem) {
        if link(path) == target { return }
        let fresh = path + ".new"
        unlink(fresh)
        guard symlink(target, fresh) == 0, rename(fresh, path) == 0 else { throw failure("make the link", path) }
    }

    /// The regular files below a directory, as paths from it.
    static func filesBelow(_ directory: String, _ prefix: String = "") -> [String] {
        names(in: directory).flatMap { name -> [String] in
            let path = "\(directory)/\(name)"
            return isDirectory(path) ? filesBelow(path, "\(prefix)\(name)/") : ["\(prefix)\(name)"]
        }
    }

    /// Gives a file to a group; new files in a directory belong to it too.
    static func give(_ path: String, to group: Int) {
        guard let mode = mode(path), link(path) == nil else { return }
        _ = lchown(path, uid_t.max, gid_t(truncatingIfNeeded: group))
        let shared = mode | (mode & 0o600) >> 3
        _ = chmod(path, mode_t(isDirectory(path) ? shared | 0o2070 : shared))
    }

    /// Gives everything below a directory, and itself, to a group. Links are left alone.
    static func giveTree(_ path: String, to group: Int) {
        if link(path) != nil { return }
        give(path, to: group)
        if isDirectory(path) { for name in names(in: path) { giveTree("\(path)/\(name)", to: group) } }
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
