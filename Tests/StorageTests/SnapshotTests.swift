// Snapshots: out and in again, cut anywhere, and a store made of one.

import Objects
import Testing

@testable import Storage

@Suite struct SnapshotTests {
    let scratch = Scratch()

    @Test func whatGoesOutComesIn() async throws {
        let store = try scratch.open()
        for number in 0..<50 {
            _ = try await store.create("/k/\(number)") { _ in [UInt8](repeating: 0x0A, count: number * 999) }
        }
        _ = try await store.update("/k/7", expecting: 8) { _ in bytes("new") }
        _ = try await store.delete("/k/9")
        let page = try store.page(prefix: "")
        store.close()
        var encoder = Snapshot.Encoder(page)
        var encoded: [UInt8] = []
        var chunks = 0
        while let chunk = encoder.next() {
            encoded += chunk
            chunks += 1
        }
        #expect(chunks > 1 && page.records.count == 49)
        var rest = (encoded + bytes("what follows"))[...]
        let (records, revision) = try Snapshot.decode(&rest)
        #expect(records == page.records && revision == 52 && Array(rest) == bytes("what follows"))
        try Store.make(at: scratch.copy, holding: records, revision: 1_000)
        let copy = try scratch.openCopy()
        #expect(try copy.page(prefix: "/").records == page.records)
        #expect(copy.revision == 1_000 && copy.oldestRevision == 1_000)
        #expect(try await copy.update("/k/7", expecting: 51) { _ in [] }.revision == 1_001)
        copy.close()
    }

    @Test func whatIsCutIsRefused() throws {
        let records = (1...3).map {
            Record(key: "/\($0)", bytes: bytes("value"), revision: UInt64($0), createRevision: 1)
        }
        var encoder = Snapshot.Encoder(Page(records: records, revision: 3, remaining: 0))
        let first = encoder.next()
        let whole = try #require(first)
        for length in 0..<whole.count {
            var cut = whole[..<length]
            #expect(throws: Problem.self) { try Snapshot.decode(&cut) }
        }
        for text in [
            "store 1 1\nrecord 2 1 1 0\na\n", "store 1 1\nrecord 1 2 1 0\na\n", "store 9 99999999999999999999\n",
            "records",
        ] {
            var wrong = bytes(text)[...]
            #expect(throws: Problem.self) { try Snapshot.decode(&wrong) }
        }
    }
}
