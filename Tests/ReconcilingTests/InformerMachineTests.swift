// Scripts of list and watch answers, and what they change.

import Formats
import Objects
import Testing

@testable import Reconciling

@Suite struct InformerMachineTests {
    func pod(_ name: String, revision: String, labels: [String: String] = [:]) -> Object {
        var object = Object(.pods, namespace: "shop", name: name)
        object.resourceVersion = revision
        object.labels = labels
        return object
    }

    @Test func theFirstListMakesItSyncedAndWatchFromThere() {
        var machine = InformerMachine(indexers: [:])
        #expect(machine.step == .list)
        let changes = machine.listed([pod("a", revision: "3")], resourceVersion: "5")
        #expect(changes.map(\.key.name) == ["a"])
        #expect(machine.isSynced)
        #expect(machine.step == .watch(from: "5"))
    }

    @Test func eventsMoveTheRevisionAndABookmarkOnlyThat() {
        var machine = InformerMachine(indexers: [:])
        _ = machine.listed([], resourceVersion: "5")
        #expect(machine.received(.put(pod("a", revision: "6")))?.old == nil)
        let change = machine.received(.put(pod("a", revision: "8")))
        #expect(change?.old?.resourceVersion == "6")
        #expect(machine.received(.reached(resourceVersion: "12")) == nil)
        #expect(machine.step == .watch(from: "12"))
        #expect(machine.received(.removed(pod("a", revision: "13")))?.new == nil)
        #expect(machine.cache.count == 0)
    }

    @Test func aRevisionThatIsGoneListsAgainAndTheListReplaces() {
        var machine = InformerMachine(indexers: [:])
        _ = machine.listed([pod("a", revision: "1"), pod("b", revision: "2")], resourceVersion: "2")
        machine.failed(Problem(.serviceUnavailable, "down"))
        #expect(machine.step == .watch(from: "2"))
        machine.failed(Problem(.expired, "too old"))
        #expect(machine.step == .list)
        #expect(machine.isSynced)
        let changes = machine.listed([pod("b", revision: "7"), pod("c", revision: "8")], resourceVersion: "9")
        #expect(
            changes.map { "\($0.key.name) \($0.old != nil) \($0.new != nil)" }
                == ["b true true", "c false true", "a true false"])
    }

    @Test func anIndexFollowsEveryChange() {
        var machine = InformerMachine(indexers: ["app": { [$0.labels["app"] ?? ""] }])
        _ = machine.listed([pod("a", revision: "1", labels: ["app": "x"])], resourceVersion: "1")
        #expect(machine.cache.indexed("app", "x").map(\.name) == ["a"])
        _ = machine.received(.put(pod("a", revision: "2", labels: ["app": "y"])))
        #expect(machine.cache.indexed("app", "x").isEmpty)
        #expect(machine.cache.indexed("app", "y").map(\.name) == ["a"])
        #expect(machine.cache.list(namespace: "shop").count == 1)
    }
}
