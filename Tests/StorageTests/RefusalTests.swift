// What is not ours, too new, damaged or out of reach is refused with a sentence, and not a byte of it is changed.

import Fuzzing
import Glibc
import Objects
import Testing

@testable import Storage

@Suite struct RefusalTests {
    let scratch = Scratch()

    /// Flips bytes all over the database, with and without a log beside it: the store opens with exactly what was
    /// stored, or not at all.
    @Test(arguments: [true, false]) func aFlippedByteIsNoticed(hasLog: Bool) async throws {
        var limits = StoreLimits()
        // With a small log most of the rows are in the database itself.
        limits.logBytes = hasLog ? 32 << 10 : 8 << 20
        let store = try scratch.open(limits)
        for number in 0..<60 {
            _ = try await store.create("/k/\(number)") { bytes(String(repeating: "value \($0) ", count: 150)) }
        }
        let expected = try store.page(prefix: "/").records
        if !hasLog { store.close() }
        let database = try #require(scratch.read(scratch.store + "/store.db"))
        var random = SeededGenerator(seed: 7)
        var refused = 0
        for _ in 0..<60 {
            scratch.copyFiles()
            var damaged = database
            damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            scratch.write(damaged, to: scratch.copy + "/store.db")
            let before = files()
            if let problem = problem({ try Store.open(at: scratch.copy, logger: Scratch.logger).close() }) {
                refused += 1
                #expect(problem.message.contains("left untouched"))
                #expect(files() == before)
            } else {
                // Into what SQLite does not use.
                scratch.copyFiles()
                scratch.write(damaged, to: scratch.copy + "/store.db")
                let copy = try scratch.openCopy()
                #expect(try copy.page(prefix: "/").records == expected)
                copy.close()
            }
        }
        #expect(refused > 30, "\(refused) of 60 flips were noticed")
        if hasLog { store.close() }
    }

    @Test func aTruncatedDatabaseIsNoticed() async throws {
        let store = try scratch.open()
        for number in 0..<60 { _ = try await store.create("/k/\(number)") { _ in [UInt8](repeating: 9, count: 1_500) } }
        store.close()
        let database = try #require(scratch.read(scratch.store + "/store.db"))
        for length in [
            0, 1, 99, 100, 4_095, 4_096, 8_192, database.count / 2, database.count - 4_096, database.count - 1,
        ] {
            scratch.copyFiles()
            scratch.write(Array(database.prefix(length)), to: scratch.copy + "/store.db")
            let before = files()
            #expect(refusal().contains("left untouched"), "cut to \(length) bytes")
            #expect(files() == before)
        }
        scratch.copyFiles()
        unlink(scratch.copy + "/store.db")
        #expect(refusal().contains("left untouched"))
        #expect(access(scratch.copy + "/store.db", F_OK) != 0)
    }

    @Test func foreignAndNewerDatabasesAreLeftAlone() async throws {
        let store = try scratch.open()
        _ = try await store.create("/a") { _ in [1] }
        store.close()
        var newer = try #require(scratch.read(scratch.store + "/store.db"))
        newer[63] = 99
        try expectRefusal(newer, "newer Mangrove (store format 99")
        var foreign = try #require(scratch.read(scratch.store + "/store.db"))
        foreign.replaceSubrange(68..<72, with: [0, 0, 0, 0])
        try expectRefusal(foreign, "was not written by Mangrove")
        try expectRefusal([UInt8](repeating: 0x55, count: 8_192), "was not written by Mangrove")
    }

    @Test func placesOutOfReachAreNamed() throws {
        scratch.write([], to: scratch.copy)
        defer { unlink(scratch.copy) }
        let inAFile = problem { try Store.open(at: scratch.copy + "/store", logger: Scratch.logger).close() }
        #expect(inAFile?.message == "cannot make the directory \(scratch.copy)/store: Not a directory")
    }

    private func expectRefusal(_ database: [UInt8], _ words: String) throws {
        scratch.copyFiles()
        scratch.write(database, to: scratch.copy + "/store.db")
        let before = files()
        let message = refusal()
        #expect(message.contains(words) && message.contains("left untouched"))
        #expect(files() == before)
    }

    private func refusal() -> String {
        problem { try scratch.openCopy().close() }?.message ?? "opened"
    }

    /// Everything in the copy but the lock, which says who tried.
    private func files() -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for name in Scratch.files where name != "lock" { files[name] = scratch.read(scratch.copy + "/" + name) }
        return files
    }

    private func problem(_ body: () throws -> Void) -> Problem? {
        do {
            try body()
            return nil
        } catch {
            return error as? Problem
        }
    }
}

/// The ledger of the kill tests finds what it is there to find.
@Suite struct LedgerTests {
    let scratch = Scratch()

    @Test func itNoticesWhatIsMissing() async throws {
        let store = try scratch.open()
        _ = try await store.create("/a/1") { Value.bytes(key: "/a/1", revision: $0) }
        _ = try await store.create("/b/1") { Value.bytes(key: "/b/1", revision: $0) }
        let notes = [
            "open 0 0", "ask 0 create /a/1 0", "ask 1 create /b/1 0", "ack 0 1", "from 0 0", "see 0 1 put /a/1",
        ]
        #expect(faults(notes + ["ack 1 2", "see 0 2 put /b/1", "page 1 / /a/1=1"], store) == [])
        // Revision 2 was not acknowledged, but asked for.
        #expect(faults(notes, store) == [])
        #expect(faults(notes + ["ack 1 3"], store).contains("revision 3 was acknowledged, and the store is at 2"))
        #expect(
            faults(notes + ["ack 1 2", "see 0 1 put /a/1"], store) == ["watcher 0 saw revision 1 where 2 was next"])
        #expect(faults(notes + ["ack 1 2", "from 0 2"], store) == ["watcher 0 went on from 2 and missed revision 2"])
        #expect(faults(notes + ["ack 1 2", "page 1 / /a/1=1 /b/1=2"], store) == ["a list of / at revision 1 is wrong"])
        #expect(faults(["ask 0 create /a/1 0", "ack 0 1"], store).first == "nobody asked for the write of revision 2")
        #expect(faults(["open 5 0"] + notes, store) == ["opened at revision 5 instead of 0"])
        _ = try await store.create("/b/2") { Value.bytes(key: "/b/2", revision: $0).dropLast() }
        let halves = faults(notes + ["ack 1 2", "ask 2 create /b/2 0"], store)
        #expect(halves == ["/b/2 of revision 3 is not whole", "history holds half of revision 3"])
        store.close()
    }

    private func faults(_ notes: [String], _ store: Store) -> [String] {
        var ledger = Ledger()
        return ledger.faults(in: bytes(notes.map { $0 + "\n" }.joined()), store)
    }
}
