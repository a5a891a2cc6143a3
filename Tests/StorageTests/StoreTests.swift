// The store through its front door: revisions, compare-and-set, pages, durability.

import Objects
import Testing

@testable import Storage

@Suite struct StoreTests {
    let scratch = Scratch()

    @Test func revisionsRiseByOneAndEncodersLearnThem() async throws {
        let store = try scratch.open()
        let first = try await store.create("/a") { bytes("a@\($0)") }
        let second = try await store.create("/b") { bytes("b@\($0)") }
        let third = try await store.update("/a", expecting: first.revision) { bytes("a@\($0)") }
        #expect([first.revision, second.revision, third.revision] == [1, 2, 3])
        #expect(third.createRevision == 1)
        #expect(store.get("/a")?.bytes == bytes("a@3"))
        let gone = try await store.delete("/a", expecting: 3) { $0.bytes + bytes("!\($1)") }
        #expect(gone.revision == 4 && gone.bytes == bytes("a@3!4"))
        #expect(store.get("/a") == nil)
        #expect(store.revision == 4)
        store.close()
    }

    @Test func comparesBeforeItSets() async throws {
        let store = try scratch.open()
        let record = try await store.create("/a") { _ in [1] }
        await #expect(throws: StoreFailure.exists) { try await store.create("/a") { _ in [2] } }
        await #expect(throws: StoreFailure.missing) { try await store.update("/b", expecting: 1) { _ in [2] } }
        await #expect(throws: StoreFailure.conflict(current: record)) {
            try await store.update("/a", expecting: 7) { _ in [2] }
        }
        await #expect(throws: StoreFailure.conflict(current: record)) { try await store.delete("/a", expecting: 7) }
        await #expect(throws: StoreFailure.missing) { try await store.delete("/b") }
        #expect(store.revision == 1)
        store.close()
    }

    @Test func ofManyWritersAtOneRevisionOneWins() async throws {
        let store = try scratch.open()
        let start = try await store.create("/a") { _ in [0] }
        let wins = await withTaskGroup(of: Bool.self) { group in
            for writer in 1...50 {
                group.addTask {
                    (try? await store.update("/a", expecting: start.revision) { _ in [UInt8(writer)] }) != nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
        #expect(store.revision == 2)
        store.close()
    }

    @Test func pagesShowOneMoment() async throws {
        let store = try scratch.open()
        for name in ["b", "d", "a", "c"] { _ = try await store.create("/pods/\(name)") { _ in bytes(name) } }
        _ = try await store.create("/nodes/n") { _ in [] }
        let first = try store.page(prefix: "/pods/", limit: 2)
        #expect(first.records.map(\.key) == ["/pods/a", "/pods/b"])
        #expect(first.revision == 5 && first.remaining == 2)
        _ = try await store.delete("/pods/c")
        _ = try await store.create("/pods/bb") { _ in [] }
        _ = try await store.update("/pods/d", expecting: 2) { _ in bytes("new") }
        let second = try store.page(prefix: "/pods/", after: "/pods/b", limit: 1, at: first.revision)
        #expect(second.records.map(\.key) == ["/pods/c"] && second.remaining == 1 && second.revision == 5)
        let third = try store.page(prefix: "/pods/", after: "/pods/c", limit: 5, at: first.revision)
        #expect(third.records.map(\.bytes) == [bytes("d")] && third.remaining == 0)
        #expect(try store.page(prefix: "/pods/").records.map(\.key) == ["/pods/a", "/pods/b", "/pods/bb", "/pods/d"])
        #expect(throws: Problem.self) { try store.page(prefix: "/", at: 99) }
        store.close()
    }

    @Test func remembersAcrossOpenings() async throws {
        var store = try scratch.open()
        _ = try await store.create("/a") { _ in bytes("one") }
        _ = try await store.create("/b") { _ in [] }
        _ = try await store.delete("/b")
        store.close()
        await #expect(throws: StoreFailure.self) { try await store.create("/c") { _ in [] } }
        store = try scratch.open()
        #expect(store.revision == 3)
        #expect(store.get("/a") == Record(key: "/a", bytes: bytes("one"), revision: 1, createRevision: 1))
        #expect(store.get("/b") == nil)
        let next = try await store.create("/b") { _ in [] }
        #expect(next.revision == 4 && next.createRevision == 4)
        store.close()
    }
}
