// Watches: the waiting machine by script, and cursors over a real store.

import Objects
import Storage
import Testing

@testable import Watching

@Suite struct HubMachineTests {
    private let start = ContinuousClock.now

    @Test func wakesThoseWhoFollowTheKey() {
        var machine = HubMachine<String>(revision: 5)
        #expect(machine.cursorWaited(1, prefix: "/pods/", seen: 5, waker: "pods", at: start)?.waker == nil)
        #expect(machine.cursorWaited(2, prefix: "/nodes/", seen: 5, waker: "nodes", at: start)?.waker == nil)
        let wakes = machine.committed([event("/pods/a", 6), event("/leases/a", 7)], at: start)
        #expect(wakes.map(\.waker) == ["pods"] && wakes.map(\.nothingUpTo) == [5])
        #expect(machine.waiting == 1)
        // The one for nodes has slept through 6 and 7: nothing was there for it up to 7.
        #expect(machine.committed([event("/nodes/a", 8)], at: start).map(\.nothingUpTo) == [7])
        #expect(machine.waiting == 0)
    }

    @Test func prefixesOfEveryDepthAreFollowed() {
        var machine = HubMachine<String>(revision: 5)
        for prefix in ["", "/", "/core/", "/core/pods/", "/core/pods/shop/", "/core/po", "/core/pods/sh"] {
            let number = machine.cursorOpened(prefix: prefix) ?? 0
            _ = machine.cursorWaited(number, prefix: prefix, seen: 5, waker: prefix, at: start)
        }
        let wakes = machine.committed([event("/core/nodes/a", 6), event("/core/pods/b/a", 7)], at: start)
        #expect(Set(wakes.map(\.waker)) == ["", "/", "/core/", "/core/pods/", "/core/po"])
        #expect(
            Set(machine.committed([event("/core/pods/shop/a", 8)], at: start).map(\.waker)) == [
                "/core/pods/shop/", "/core/pods/sh",
            ])
    }

    @Test func aCommitBetweenReadingAndWaitingIsNotMissed() {
        var machine = HubMachine<String>(revision: 5)
        _ = machine.committed([event("/pods/a", 6)], at: start)
        #expect(machine.cursorWaited(1, prefix: "/pods/", seen: 5, waker: "pods", at: start)?.nothingUpTo == 5)
        #expect(machine.cursorWaited(1, prefix: "/pods/", seen: 6, waker: "pods", at: start)?.waker == nil)
    }

    @Test func cancellingAndClosing() {
        var machine = HubMachine<String>(revision: 5)
        _ = machine.cursorWaited(1, prefix: "/pods/", seen: 5, waker: "one", at: start)
        _ = machine.cursorWaited(2, prefix: "/pods/", seen: 5, waker: "two", at: start)
        _ = machine.committed([event("/nodes/a", 6)], at: start)
        #expect(machine.waitCancelled(1)?.nothingUpTo == 6)
        #expect(machine.waitCancelled(1)?.waker == nil)
        #expect(machine.closed().map(\.waker) == ["two"])
        #expect(machine.cursorWaited(3, prefix: "/pods/", seen: 6, waker: "three", at: start)?.waker == "three")
    }

    @Test func deadlinesWakeAndAreAskedForOnce() {
        var machine = HubMachine<String>(revision: 5)
        func wait(_ cursor: UInt64, _ seconds: Int) {
            _ = machine.cursorWaited(
                cursor, prefix: "/pods/", seen: 5, until: start + .seconds(seconds), waker: "\(seconds)", at: start)
        }
        wait(1, 60)
        #expect(machine.takeAlarm() == start + .seconds(60))
        wait(2, 90)
        #expect(machine.takeAlarm() == nil)
        wait(3, 30)
        #expect(machine.takeAlarm() == start + .seconds(30))
        _ = machine.committed([event("/nodes/a", 6)], at: start)
        #expect(machine.timePassed(start + .seconds(30)).map(\.waker) == ["30"])
        #expect(machine.takeAlarm() == start + .seconds(60))
        // Woken by a commit, the first one waits no more: its alarm rings for nobody and is set for the next one.
        _ = machine.waitCancelled(1)
        let late = machine.timePassed(start + .seconds(60))
        #expect(late.isEmpty && machine.takeAlarm() == start + .seconds(90))
        let last = machine.timePassed(start + .seconds(90))
        #expect(last.map(\.waker) == ["90"] && last.map(\.nothingUpTo) == [6])
        #expect(machine.takeAlarm() == nil && machine.waiting == 0)
    }

    @Test func aCrowdIsWokenTogether() {
        var limits = WatchLimits()
        limits.crowd = 2
        limits.gathering = .milliseconds(20)
        var machine = HubMachine<String>(revision: 5, limits: limits)
        func later(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }
        func wait(_ cursor: UInt64, seen: UInt64, at milliseconds: Int) -> String? {
            machine.cursorWaited(cursor, prefix: "/pods/", seen: seen, waker: "\(cursor)", at: later(milliseconds))?
                .waker
        }
        #expect(machine.cursorOpened(prefix: "/pods/") == 1 && machine.cursorOpened(prefix: "/pods/") == 2)
        #expect(wait(1, seen: 5, at: 0) == nil && wait(2, seen: 5, at: 0) == nil)
        // The first event after a rest is handed out at once.
        #expect(machine.committed([event("/pods/a", 6)], at: later(1)).map(\.waker).sorted() == ["1", "2"])
        #expect(wait(1, seen: 6, at: 2) == nil)
        // What follows is gathered, also for the one that comes back later and has missed a part already.
        #expect(machine.committed([event("/pods/b", 7)], at: later(3)).isEmpty)
        #expect(wait(2, seen: 6, at: 4) == nil)
        #expect(machine.committed([event("/pods/c", 8)], at: later(5)).isEmpty)
        // The rest begins when they are back.
        #expect(machine.takeAlarm() == later(24))
        #expect(machine.timePassed(later(23)).isEmpty)
        let wakes = machine.timePassed(later(24))
        #expect(wakes.map(\.waker).sorted() == ["1", "2"] && wakes.map(\.nothingUpTo) == [6, 6])
        #expect(machine.waiting == 0 && machine.takeAlarm() == nil)
        // Who is left alone is no crowd any more.
        machine.cursorClosed(prefix: "/pods/")
        #expect(wait(1, seen: 7, at: 25) == "1")
        #expect(wait(1, seen: 8, at: 25) == nil)
        #expect(machine.committed([event("/pods/d", 9)], at: later(26)).map(\.waker) == ["1"])
    }

    private func event(_ key: String, _ revision: UInt64) -> StoreEvent {
        let record = Record(key: key, bytes: [], revision: revision, createRevision: revision)
        return StoreEvent(kind: .put, record: record, previous: nil)
    }
}

@Suite struct HubTests {
    let scratch = Scratch()

    @Test func deliversEverythingInOrderWithWhatWasBefore() async throws {
        let store = try scratch.open()
        let hub = Hub(store: store)
        _ = try await store.create("/pods/a") { _ in [1] }
        let cursor = try hub.watch(prefix: "/pods/", from: 1)
        let events = try await withThrowingTaskGroup(of: [StoreEvent].self) { group in
            group.addTask {
                var events: [StoreEvent] = []
                while events.count < 3 { events += try await cursor.next()?.events ?? [] }
                return events
            }
            _ = try await store.update("/pods/a", expecting: 1) { _ in [2] }
            _ = try await store.create("/nodes/n") { _ in [] }
            _ = try await store.delete("/pods/a") { record, _ in record.bytes + [9] }
            _ = try await store.create("/pods/b") { _ in [] }
            return try await group.next() ?? []
        }
        #expect(events.map(\.revision) == [2, 4, 5])
        #expect(events.map(\.kind) == [.put, .delete, .put])
        #expect(events.map { $0.previous?.bytes } == [[1], [2], nil])
        #expect(events[1].record.bytes == [2, 9])
        store.close()
    }

    @Test func manyWatchersSeeTheSame() async throws {
        let store = try scratch.open()
        let hub = Hub(store: store)
        let revisions = try await withThrowingTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<20 {
                let cursor = try hub.watch(prefix: "/k/", from: 0)
                group.addTask {
                    var seen: [UInt64] = []
                    while seen.count < 100 { seen += (try await cursor.next()?.events ?? []).map(\.revision) }
                    return seen
                }
            }
            for number in 0..<100 { _ = try await store.create("/k/\(number)") { _ in [] } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(revisions.count == 20)
        #expect(revisions.allSatisfy { $0 == Array(1...100) })
        store.close()
    }

    @Test func theSlowAreCutAndTheIdleAreNot() async throws {
        var limits = StoreLimits()
        limits.historyEvents = 4
        let store = try scratch.open(limits)
        let hub = Hub(store: store)
        let slow = try hub.watch(prefix: "/pods/", from: 0)
        let idle = try hub.watch(prefix: "/nodes/", from: 0)
        let first = try await withThrowingTaskGroup(of: [StoreEvent].self) { group in
            group.addTask { try await idle.next()?.events ?? [] }
            while hub.waiting == 0 { await Task.yield() }
            for number in 0..<9 { _ = try await store.create("/pods/\(number)") { _ in [] } }
            _ = try await store.create("/nodes/n") { _ in [] }
            return try await group.next() ?? []
        }
        #expect(first.map(\.revision) == [10])
        await #expect(throws: Problem(.expired, "too old resource version: 0 (6)")) { try await slow.next() }
        #expect(throws: Problem.self) { try hub.watch(prefix: "/", from: 5) }
        #expect(throws: Problem.self) { try hub.watch(prefix: "/", from: 11) }
        store.close()
    }

    @Test func aCancelledWaitKeepsItsPlace() async throws {
        let store = try scratch.open()
        let hub = Hub(store: store)
        let cursor = try hub.watch(prefix: "/pods/", from: 0)
        try await withThrowingTaskGroup(of: EventBatch?.self) { group in
            group.addTask { try await cursor.next() }
            while hub.waiting == 0 { await Task.yield() }
            _ = try await store.create("/nodes/n") { _ in [] }
            group.cancelAll()
            guard case .some(.none) = try await group.next() else {
                Issue.record("a cancelled wait returned a batch")
                return
            }
        }
        #expect(cursor.revision == 1)
        _ = try await store.create("/pods/a") { _ in [] }
        #expect(try await cursor.next()?.events.map(\.revision) == [2])
        store.close()
    }

    @Test func closingEndsWatches() async throws {
        let store = try scratch.open()
        let hub = Hub(store: store)
        let cursor = try hub.watch(prefix: "/", from: 0)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await #expect(throws: Problem.self) { try await cursor.next() } }
            while hub.waiting == 0 { await Task.yield() }
            hub.close()
        }
        store.close()
    }

    @Test func aDeadlineEndsAWaitAndKeepsThePlace() async throws {
        let store = try scratch.open()
        let hub = Hub(store: store)
        let cursor = try hub.watch(prefix: "/pods/", from: 0)
        #expect(try await cursor.next(until: .now) == nil)
        #expect(try await cursor.next(until: .now + .milliseconds(3)) == nil)
        _ = try await store.create("/pods/a") { _ in [] }
        #expect(try await cursor.next(until: .now)?.events.map(\.revision) == [1])
        store.close()
    }

    @Test func watchesAtOnePlaceShareTheirEvents() async throws {
        let store = try scratch.open()
        var limits = WatchLimits()
        limits.batchBytes = 10
        let hub = Hub(store: store, limits: limits)
        for number in 0..<4 { _ = try await store.create("/pods/\(number)") { _ in bytes("12345") } }
        let one = try hub.watch(prefix: "/pods/", from: 0)
        let other = try hub.watch(prefix: "/pods/", from: 0)
        let first = try #require(try await one.next())
        #expect(first === (try await other.next()))
        // Two of five bytes fit into ten.
        #expect(first.events.map(\.revision) == [1, 2] && first.upTo == 2)
        var encodings = 0
        for _ in 0..<3 {
            #expect(
                first.encoded(as: "form") { events in
                    encodings += 1
                    return [UInt8(events.count)]
                } == [2])
        }
        #expect(encodings == 1)
        #expect(try await one.next()?.events.map(\.revision) == [3, 4])
        store.close()
    }

    @Test func cursorsAreCounted() throws {
        let store = try scratch.open()
        var limits = WatchLimits()
        limits.cursors = 1
        let hub = Hub(store: store, limits: limits)
        var cursor: Cursor? = try hub.watch(prefix: "/", from: 0)
        #expect(cursor?.revision == 0)
        #expect(throws: Problem.self) { try hub.watch(prefix: "/", from: 0) }
        cursor = nil
        _ = try hub.watch(prefix: "/", from: 0)
        store.close()
    }
}
