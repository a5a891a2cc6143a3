// What is left after a kill, a torn log, a full disk, another holder, or a newer program.

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
        let big = [UInt8](repeating: 7, count: 100 << 10)
        var created = 0
        var refusal: StoreFailure?
        while refusal == nil, created < 10 {
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
        #expect(problem.reason == .storageReadOnly)
        let revision = UInt64(created + 1)
        #expect(store.revision == revision)
        #expect(store.get("/big/\(created)") == nil)
        #expect(try await store.delete("/big/0").revision == revision + 1)
        #expect(try await store.create("/big/again") { _ in big }.revision == revision + 2)
        store.close()
        let again = try scratch.open(limits)
        #expect(again.revision == revision + 2)
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
        scratch.write(bytes("mangrove-store 2\n"), to: scratch.store + "/format")
        let before = scratch.read(scratch.store + "/store.db")
        #expect(problem { try scratch.open().close() }?.message.contains("newer Mangrove") == true)
        #expect(scratch.read(scratch.store + "/store.db") == before)
        scratch.write(bytes("something else\n"), to: scratch.store + "/format")
        #expect(problem { try scratch.open().close() } != nil)
        unlink(scratch.store + "/format")
        #expect(problem { try scratch.open().close() } != nil)
    }

    @Test func aDamagedFileIsAProblem() throws {
        try scratch.open().close()
        scratch.write([UInt8](repeating: 0x55, count: 8192), to: scratch.store + "/store.db")
        #expect(problem { try scratch.open().close() }?.message.contains("damaged") == true)
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
