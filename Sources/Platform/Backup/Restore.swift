// Brings a backup back: builds the new state beside the old one, and puts it in its place when it is whole.

import Formats
import Glibc
import Objects
import Storage
import ZooKeeperServer

extension Backup {
    /// Restores a backup to a directory on which no platform runs.
    ///
    /// Nothing is touched before all of the file has been read and checked. State that is there already is refused,
    /// unless `replacing`. What belongs to this machine (addresses, running pods, logs) is left as it is.
    package static func restore(_ path: String, to directory: String, replacing: Bool) throws(Problem) -> Summary {
        let contents = try contents(of: path)
        if let holder = StateLock.holder(of: directory) {
            throw Problem(
                .conflict, "mangrove runs on \(directory) with process id \(holder.pid); run `mangrove down` first")
        }
        try StateDirectory.prepare(directory)
        let lock = try StateLock(directory: directory, note: ["pid": JSON(Int(getpid()))])
        defer { withExtendedLifetime(lock) {} }
        let parts = ["store", "pki", "zookeeper"].map { directory + "/" + $0 }
        if !replacing, let taken = parts.first(where: { access($0, F_OK) == 0 }) {
            throw Problem(
                .conflict,
                "\(directory) is not empty (there is \(taken)); give --force to replace what it holds, or choose "
                    + "another directory with --state")
        }
        for part in parts { try StateDirectory.remove(part + ".restored") }
        try Store.make(
            at: parts[0] + ".restored", holding: contents.records, revision: contents.revision + revisionGap)
        try KeyFiles.write(contents.files, to: parts[1] + ".restored")
        if let znodes = contents.znodes {
            try ZooKeeperArchive.restore(znodes, to: parts[2] + ".restored", secondsSinceEpoch: Int64(time(nil)))
        }
        for part in parts {
            try StateDirectory.remove(part + ".replaced")
            if access(part, F_OK) == 0 { try move(part, to: part + ".replaced") }
            if access(part + ".restored", F_OK) == 0 { try move(part + ".restored", to: part) }
        }
        for part in parts { try StateDirectory.remove(part + ".replaced") }
        return contents.summary
    }

    private static func move(_ path: String, to other: String) throws(Problem) {
        guard rename(path, other) == 0 else {
            throw Problem(.internalError, "cannot move \(path) to \(other): \(String(cString: strerror(errno)))")
        }
    }
}

/// The keys and certificates of `pki/`: small files, copied as they are.
enum KeyFiles {
    static let fileBytes = 64 << 10

    static func isName(_ name: Substring) -> Bool {
        !name.isEmpty && name.utf8.count < 200 && name.first != "."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }
    }

    static func read(_ directory: String) throws(Problem) -> [(name: String, bytes: [UInt8])] {
        var files: [(name: String, bytes: [UInt8])] = []
        for name in StateDirectory.names(in: directory).sorted() where isName(name[...]) && !name.hasSuffix(".new") {
            files.append((name, try BackupFile.read(directory + "/" + name, limit: fileBytes)))
        }
        return files
    }

    static func write(_ files: [(name: String, bytes: [UInt8])], to directory: String) throws(Problem) {
        guard mkdir(directory, 0o700) == 0 else { throw BackupFile.failure("make", directory) }
        for file in files {
            let path = directory + "/" + file.name
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw BackupFile.failure("create", path) }
            defer { close(descriptor) }
            guard Glibc.write(descriptor, file.bytes, file.bytes.count) == file.bytes.count, fsync(descriptor) == 0
            else {
                throw BackupFile.failure("write", path)
            }
        }
    }
}
