// The committed state in memory against a plain model: index, history, pages of any moment.

import Fuzzing
import Objects
import Testing

@testable import Storage

@Suite struct StoreViewTests {
    /// Random writes; after each, some pages of some moment, compared with dictionaries that were kept of every moment.
    @Test(arguments: [1, 2, 3] as [UInt64]) func agreesWithAModel(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var limits = StoreLimits()
        limits.historyEvents = 300
        var view = StoreView(records: [], history: History(after: 0, limits: limits))
        var moments: [[String: Record]] = [[:]]
        for revision in 1...2_000 as ClosedRange<UInt64> {
            var now = moments[Int(revision) - 1]
            let key = "/\(["a", "b"].randomElement(using: &random) ?? "")/\(Int.random(in: 0..<900, using: &random))"
            let old = now[key]
            let isDeletion = old != nil && Int.random(in: 0..<3, using: &random) == 0
            let record = Record(
                key: key, bytes: [], revision: revision, createRevision: old?.createRevision ?? revision)
            now[key] = isDeletion ? nil : record
            _ = view.committed([StoreEvent(kind: isDeletion ? .delete : .put, record: record, previous: old)])
            moments.append(now)
            if revision % 50 == 0 {
                let back = UInt64.random(in: 0...min(revision, 299), using: &random)
                try compare(view, at: revision - back, with: moments[Int(revision - back)], &random)
            }
        }
        #expect(view.history.floor == 1_700)
        #expect(throws: Problem.self) { try view.moment(at: 1_699, prefix: "/") }
    }

    private func compare(
        _ view: StoreView, at revision: UInt64, with model: [String: Record], _ random: inout SeededGenerator
    ) throws {
        let expected = model.values.filter { $0.key.hasPrefix("/a/") }.sorted { $0.key < $1.key }
        let moment = try view.moment(at: revision, prefix: "/a/")
        var found: [Record] = []
        var after: String?
        while true {
            let limit = Int.random(in: 1...100, using: &random)
            let page = moment.page(prefix: "/a/", after: after, limit: limit)
            found += page.records
            #expect(page.remaining == expected.count - found.count)
            guard page.remaining > 0, let last = page.records.last else { break }
            after = last.key
        }
        #expect(found == expected)
    }

    @Test func loadsRecordsInAnyOrder() {
        let keys = (0..<2_000).map { "/k/\($0)" }
        var random = SeededGenerator(seed: 9)
        let records = keys.shuffled(using: &random).map { Record(key: $0, bytes: [], revision: 1, createRevision: 1) }
        var index = RecordIndex(records)
        #expect(index.count == 2_000)
        #expect(keys.allSatisfy { index[$0]?.key == $0 })
        let copy = index
        for key in keys.shuffled(using: &random) { index.remove(key) }
        #expect(index.count == 0 && index["/k/1"] == nil)
        #expect(copy.count == 2_000 && copy["/k/1"] != nil)
        #expect(copy.count(from: copy.position(notBefore: "/k/"), prefix: "/k/") == 2_000)
        #expect(copy.count(from: copy.position(notBefore: "/k/1"), prefix: "/k/1") == 1_111)
    }

    @Test func historyIsBoundedByBytes() throws {
        var limits = StoreLimits()
        limits.historyBytes = 3 * (256 + 30)
        var history = History(after: 5, limits: limits)
        for revision in 6...30 as ClosedRange<UInt64> {
            let record = Record(
                key: "/\(revision)", bytes: [UInt8](repeating: 0, count: 30), revision: revision,
                createRevision: revision)
            history.append(StoreEvent(kind: .put, record: record, previous: nil))
        }
        #expect(history.count == 3 && history.floor == 27)
        #expect(try history.after(27, prefix: "/", limit: 2).events.map(\.revision) == [28, 29])
        #expect(try history.after(27, prefix: "/30", limit: 2).upTo == 30)
        #expect(try history.after(30, prefix: "/", limit: 2).events.isEmpty)
        #expect(throws: Problem.self) { try history.after(26, prefix: "/", limit: 2) }
    }
}
