// Who a replica is: a name that stays with its state directory, so that it finds again what it exported.

import Glibc
import Objects

enum ReplicaIdentity {
    /// A label value has 63 characters; the group's name and the suffix need some.
    private static let hostLimit = 40

    /// The name kept in the directory, made from the host's the first time.
    static func open(in directory: String, host: String) throws(Problem) -> String {
        let path = directory + "/replica"
        if let bytes = try? BackupFile.read(path, limit: 100), !bytes.isEmpty {
            return String(decoding: bytes, as: UTF8.self)
        }
        let plain = host.utf8.map { byte -> Character in
            let isPlain = (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
            return isPlain ? Character(Unicode.Scalar(byte)) : "-"
        }
        let letters = Array("bcdfghjklmnpqrstvwxz2456789")
        let suffix = String((0..<6).compactMap { _ in letters.randomElement() })
        let name = "r-" + String(plain.prefix(hostLimit)) + "-" + suffix
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BackupFile.failure("create", path) }
        defer { close(descriptor) }
        guard BackupFile.write(Array(name.utf8), to: descriptor) else { throw BackupFile.failure("write", path) }
        return name
    }
}
