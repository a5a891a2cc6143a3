// Backups of a stopped platform, and what is refused; Tests/Clients has the running one.

import Glibc
import Logging
import Objects
import Testing

@testable import Platform

@Suite struct BackupTests {
    let scratch = ScratchDirectory()
    private var state: String { scratch.path + "/state" }
    private var file: String { scratch.path + "/backup" }
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func aBackupOfNothingIsRefused() async throws {
        await expectProblem("there is nothing to back up") { _ = try await make() }
        #expect(access(file, F_OK) != 0)
    }

    @Test func keysAndRevisionsComeBack() async throws {
        try prepare(key: "secret")
        let made = try await make()
        #expect(made.files == 1 && made.records == 0 && made.revision == 0)
        var information = stat()
        #expect(stat(file, &information) == 0 && information.st_mode & 0o077 == 0)
        let other = scratch.path + "/other"
        #expect(try Backup.restore(file, to: other, replacing: false) == made)
        #expect(try BackupFile.read(other + "/pki/ca.key", limit: 99) == Array("secret".utf8))
        // Restored state is state: a second time it is in the way.
        await expectProblem("is not empty") { _ = try Backup.restore(file, to: other, replacing: false) }
        scratch.write("another", to: other + "/pki/ca.key")
        _ = try Backup.restore(file, to: other, replacing: true)
        #expect(try BackupFile.read(other + "/pki/ca.key", limit: 99) == Array("secret".utf8))
        #expect(StateDirectory.names(in: other).sorted() == ["lock", "pki", "store"])
        // Revisions go on behind those that may have been given after the backup.
        let again = try await Backup.make(of: other, to: file, version: "test", logger: logger)
        #expect(again.revision == Backup.revisionGap)
    }

    @Test func damagedForeignAndNewerFilesAreRefused() async throws {
        try prepare(key: String(repeating: "k", count: 500))
        _ = try await make()
        let whole = try BackupFile.read(file, limit: 1 << 20)
        let other = scratch.path + "/other"
        for place in stride(from: 18, to: whole.count, by: 7) {
            var damaged = whole
            damaged[place] ^= 0x20
            scratch.write(damaged, to: file)
            await expectProblem("damaged or cut short") { _ = try Backup.restore(file, to: other, replacing: true) }
            scratch.write(Array(whole.prefix(place)), to: file)
            await expectProblem("damaged or cut short") { _ = try Backup.restore(file, to: other, replacing: true) }
        }
        scratch.write("mangrove-backup 3\nwhatever", to: file)
        await expectProblem("newer Mangrove (backup format 3") {
            _ = try Backup.restore(file, to: other, replacing: true)
        }
        scratch.write("PK\u{3}\u{4}", to: file)
        await expectProblem("is not a backup") { _ = try Backup.restore(file, to: other, replacing: true) }
        unlink(file)
        await expectProblem("No such file") { _ = try Backup.restore(file, to: other, replacing: true) }
        #expect(access(other, F_OK) != 0)
    }

    @Test func aRunningPlatformIsInTheWay() async throws {
        try prepare(key: "secret")
        _ = try await make()
        let lock = try StateLock(directory: state, note: ["pid": 1])
        await expectProblem("mangrove runs on") { _ = try Backup.restore(file, to: state, replacing: true) }
        withExtendedLifetime(lock) {}
    }

    private func make() async throws -> Backup.Summary {
        try await Backup.make(of: state, to: file, version: "test", logger: logger)
    }

    private func prepare(key: String) throws {
        try StateDirectory.prepare(state + "/store")
        try StateDirectory.prepare(state + "/pki")
        scratch.write(key, to: state + "/pki/ca.key")
    }

    private func expectProblem(_ words: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("nothing was refused: \(words)")
        } catch let problem as Problem {
            #expect(problem.message.contains(words), "\(problem.message)")
        } catch {
            Issue.record(error)
        }
    }
}

/// A directory of its own for one test, gone when the test is.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/mangrove-platform-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/mangrove-platform-none"
    }

    func write(_ text: String, to file: String) { write(Array(text.utf8), to: file) }

    func write(_ bytes: [UInt8], to file: String) {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    deinit { try? StateDirectory.remove(path) }
}
