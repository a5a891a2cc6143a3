// Backups: everything that a platform could not make again, in one file.

import Client
import Crypto
import Glibc
import HTTPTypes
import Logging
import Objects
import Storage
import ZooKeeperServer

/// Makes backups of a state directory and brings them back.
///
/// A backup file is text lines with bytes between them: `mangrove-backup 2`; a line about its origin; the records
/// (`Snapshot`); for each file of `pki/` a line `file NAME BYTES` and its bytes; a line
/// `znodes BYTES` and the bytes of `ZooKeeperArchive`, where there are any; `end` and the SHA-256 of all before it.
package enum Backup {
    static let formatVersion = 2
    /// Larger files are not backups of ours.
    static let limitBytes = 8 << 30
    /// How far a restored store's revision is ahead of the backup's, so that no revision that was given after the
    /// backup is given again: watches from then are told to list again, instead of missing what came before them (etcd:
    /// `--bump-revision 1000000000 --mark-compacted`).
    static let revisionGap: UInt64 = 1_000_000_000

    /// What a backup holds.
    package struct Summary: Sendable, Hashable {
        package var records: Int
        package var revision: UInt64
        package var files: Int
        package var bytes: Int
    }

    /// Writes a backup of a directory, whether a platform runs on it or not: the records are all of one moment.
    ///
    /// The file is readable by its owner only, replaces another one only when it is whole, and has been read back when
    /// this returns.
    package static func make(of directory: String, to path: String, version: String, logger: Logger) async throws
        -> Summary
    {
        guard access(directory + "/store", F_OK) == 0 else {
            throw Problem(.notFound, "there is nothing to back up in \(directory); choose the directory with --state")
        }
        let output = try BackupOutput(path)
        do {
            try output.write(Array("mangrove-backup \(formatVersion)\nwritten by mangrove \(version)\n".utf8))
            if StateLock.holder(of: directory) != nil {
                try await writeRunning(directory, to: output)
            } else {
                try writeStopped(directory, to: output, logger: logger)
            }
            for (name, bytes) in try KeyFiles.read(directory + "/pki") {
                try output.write(Array("file \(name) \(bytes.count)\n".utf8) + bytes + [UInt8(ascii: "\n")])
            }
            if let znodes = try ZooKeeperArchive.bytes(of: directory + "/zookeeper") {
                try output.write(Array("znodes \(znodes.count)\n".utf8) + znodes + [UInt8(ascii: "\n")])
            }
            try output.finish()
        } catch {
            output.discard()
            throw error
        }
        return try contents(of: path).summary
    }

    /// Asks the running platform: nobody else may open its store.
    private static func writeRunning(_ directory: String, to output: BackupOutput) async throws {
        let text = try BackupFile.read(directory + "/kubeconfig", limit: 1 << 20)
        let kubeconfig = try Kubeconfig(parsing: String(decoding: text, as: UTF8.self)) { file in
            throw Problem(.invalid, "the kubeconfig that mangrove writes names no files, and this one names \(file)")
        }
        let transport = try HTTPSTransport(kubeconfig)
        do {
            let request = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/mangrove.dev/snapshot")
            let answer = try await transport.send(request, body: [])
            guard answer.response.status == .ok else {
                throw Problem(
                    .unknown, "the platform answered \(answer.response.status.code) to the request for its records")
            }
            switch answer.body {
            case .bytes(let bytes): try output.write(bytes)
            case .stream(let chunks): while let chunk = try await chunks.next() { try output.write(chunk) }
            }
            try await transport.shutdown()
        } catch {
            try? await transport.shutdown()
            guard let problem = error as? Problem else { throw error }
            throw Problem(problem.reason, "no backup was made: \(problem.message)", code: problem.code)
        }
    }

    private static func writeStopped(_ directory: String, to output: BackupOutput, logger: Logger) throws {
        let store = try Store.open(at: directory + "/store", logger: logger)
        defer { store.close() }
        var encoder = Snapshot.Encoder(try store.page(prefix: ""))
        while let chunk = encoder.next() { try output.write(chunk) }
    }

    struct Contents {
        var records: [Record]
        var revision: UInt64
        var files: [(name: String, bytes: [UInt8])]
        var znodes: [UInt8]?
        var summary: Summary
    }

    /// Reads a backup whole and checks it.
    static func contents(of path: String) throws(Problem) -> Contents {
        let bytes = try BackupFile.read(path, limit: limitBytes)
        let broken = Problem(
            .invalid, "\(path) is damaged or cut short: its checksum does not match; nothing was restored")
        var rest = bytes[...]
        guard let first = try? Snapshot.words(&rest), first.first == "mangrove-backup", first.count == 2 else {
            throw Problem(.invalid, "\(path) is not a backup made by `mangrove backup`")
        }
        guard let version = Int(first[1]), version <= formatVersion else {
            throw Problem(
                .invalid,
                "\(path) was made by a newer Mangrove (backup format \(first[1]), this program reads "
                    + "\(formatVersion)): use the newer program")
        }
        // `end `, 64 digits and a newline.
        guard bytes.count > 69, bytes.suffix(69).starts(with: Array("end ".utf8)),
            bytes.suffix(65).dropLast().elementsEqual(BackupFile.digest(of: bytes.dropLast(69)).utf8)
        else { throw broken }
        rest = rest.dropLast(69)
        do throws(Problem) {
            _ = try Snapshot.words(&rest)
            let (records, revision) = try Snapshot.decode(&rest)
            var files: [(name: String, bytes: [UInt8])] = []
            var znodes: [UInt8]?
            while !rest.isEmpty {
                let words = try Snapshot.words(&rest)
                if words.count == 2, words[0] == "znodes", let count = UInt64(words[1]), znodes == nil {
                    znodes = Array(try Snapshot.take(count, from: &rest))
                    rest = rest.dropFirst()
                    continue
                }
                guard words.count == 3, words[0] == "file", let count = UInt64(words[2]), KeyFiles.isName(words[1])
                else {
                    throw Snapshot.unreadable
                }
                files.append((String(words[1]), Array(try Snapshot.take(count, from: &rest))))
                rest = rest.dropFirst()
            }
            let summary = Summary(records: records.count, revision: revision, files: files.count, bytes: bytes.count)
            return Contents(records: records, revision: revision, files: files, znodes: znodes, summary: summary)
        } catch {
            throw Problem(.invalid, "\(path) is not as `mangrove backup` writes it, though its checksum matches")
        }
    }
}
