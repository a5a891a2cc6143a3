// What is left after a kill, a torn log, a full disk, another holder, or a newer program.

import Fuzzing
import Glibc
import Objects
import Testing

@testable import Storage

@Suite struct DurabilityTests {
    let scratch = Scratch()

    @Test func acknowledgedWritesAreOnDiskWithoutClosing() async throws {
        let store = try scratch.open()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask { _ = try? await store.create("/k/\(number)") { bytes("\(number)@\($0)") } }
            }
        }
        _ = try await store.delete("/k/7")
        scratch.copyFiles()
        let copy = try scratch.openCopy()
        #expect(copy.revision == 201)
        #expect(try copy.page(prefix: "/").records == store.page(prefix: "/").records)
        copy.close()
        store.close()
    }

    @Test func aTornLogKeepsAPrefixOfTheWrites() async throws {
        let store = try scratch.open()
        for number in 1...40 { _ = try await store.create("/k/\(number)") { _ in bytes("value \(number)") } }
        var random = SeededGenerator(seed: 4)
        for _ in 0..<40 {
            let isCut = Bool.random(using: &random)
            scratch.copyFiles { log in
                // Below the header, SQLite begins a new log: nothing is left but what was checkpointed.
                let place = Int.random(in: 0..<log.count, using: &random)
                if isCut { log.removeSubrange(place...) } else { log[place] ^= 0x40 }
            }
            let copy = try scratch.openCopy()
            let kept = copy.revision
            #expect(kept <= 40)
            let expected = kept == 0 ? [] : (1...kept).map { "/k/\($0)" }.sorted()
            #expect(try copy.page(prefix: "/k/").records.map(\.key) == expected)
            #expect(try await copy.create("/new") { _ in [] }.revision == kept + 1)
            copy.close()
        }
        store.close()
    }

    @Test func droppingAStoreLetsGoOfIt() async throws {
        var store: Store? = try scratch.open()
        _ = try await store?.create("/a") { _ in [1] }
        store = nil
        let again = try scratch.open()
        #expect(again.get("/a")?.bytes == [1])
        again.close()
    }

    @Test func aWriteThatDoesNotFitChangesNothing() async throws {
        var limits = StoreLimits()
        limits.databaseBytes = 256 << 10
        let store = try scratch.open(limits)
        _ = try await store.create("/small") { _ in [1] }
        let big = [UInt8](repeating: 7, count: 10 << 10)
        var created = 0
        var refusal: StoreFailure?
        while refusal == nil, created < 100 {
            do throws(StoreFailure) {
                _ = try await store.create("/big/\(created)") { _ in big }
                created += 1
            } catch {
                refusal = error
            }
        }
        guard case .refused(let problem) = refusal else {
            Issue.record("nothing was refused")
            return
        }
        #expect(problem.reason == .storageReadOnly && problem.code == 507)
        let revision = UInt64(created + 1)
        #expect(store.revision == revision && store.get("/small")?.bytes == [1])
        #expect(store.get("/big/\(created)") == nil)
        // Deletions are taken, and make room.
        for number in 0..<4 { _ = try await store.delete("/big/\(number)") }
        #expect(try await store.create("/big/again") { _ in big }.revision == revision + 5)
        store.close()
        let again = try scratch.open(limits)
        #expect(again.revision == revision + 5)
        #expect(again.get("/big/again")?.bytes == big)
        again.close()
    }

    @Test func oneProcessAtATime() throws {
        let store = try scratch.open()
        #expect(problem { try scratch.open().close() }?.message.contains("held by process \(getpid()):") == true)
        store.close()
        try scratch.open().close()
    }

    @Test func aNewerFormatIsLeftUntouched() async throws {
        let store = try scratch.open()
        _ = try await store.create("/a") { _ in [1] }
        store.close()
        scratch.write(bytes("mangrove-store 3\n"), to: scratch.store + "/format")
        let before = scratch.read(scratch.store + "/store.db")
        #expect(problem { try scratch.open().close() }?.message.contains("newer Mangrove") == true)
        #expect(scratch.read(scratch.store + "/store.db") == before)
        scratch.write(bytes("something else\n"), to: scratch.store + "/format")
        #expect(problem { try scratch.open().close() } != nil)
        unlink(scratch.store + "/format")
        #expect(problem { try scratch.open().close() } != nil)
    }

    @Test func historyOutlivesTheProcessAndIsCompacted() async throws {
        var limits = StoreLimits()
        limits.historyEvents = 10
        var store = try scratch.open(limits)
        _ = try await store.create("/kept") { _ in bytes("kept") }
        _ = try await store.create("/gone") { _ in bytes("gone") }
        var revision = try await store.create("/a") { _ in bytes("0") }.revision
        _ = try await store.delete("/gone")
        for number in 1..<100 {
            revision = try await store.update("/a", expecting: revision) { _ in bytes("\(number)") }.revision
        }
        #expect(revision == 103 && store.oldestRevision == 93)
        store.close()
        store = try scratch.open(limits)
        #expect(store.oldestRevision == 93)
        let events = try store.events(after: 93, prefix: "/a", limit: 99).events
        #expect(events.map(\.revision) == Array(94...103))
        #expect(events.first?.previous?.bytes == bytes("89") && events.last?.record.bytes == bytes("99"))
        #expect(try store.page(prefix: "/", at: 95).records.map(\.bytes) == [bytes("91"), bytes("kept")])
        #expect(throws: Problem.self) { try store.page(prefix: "/", at: 92) }
        // One more write deletes what was left. Then there are what is stored, ten writes of history, what the first of
        // them replaced, and what that one had replaced: it goes with the next commit.
        _ = try await store.update("/a", expecting: 103) { _ in bytes("100") }
        store.close()
        #expect(try RecordContents(reading: scratch.store + "/store.db", limits: limits).tally.rows == 13)
    }

    @Test func filesAreForTheirOwnerOnly() async throws {
        let store = try scratch.open()
        _ = try await store.create("/secret") { _ in [1] }
        for file in ["store.db", "store.db-wal", "lock"] {
            var information = stat()
            #expect(stat("\(scratch.store)/\(file)", &information) == 0)
            #expect(information.st_mode & 0o077 == 0, "\(file)")
        }
        store.close()
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
