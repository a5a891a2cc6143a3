// Items and ConfigMaps: one thing seen twice.

import Formats
import Objects
import Testing

@testable import Configurations

@Suite struct ConfigFormTests {
    private let name = ConfigName(namespace: "shop", dataID: "app.yaml")

    private func draft(_ content: String, _ variant: ConfigVariant = .everyone) -> ConfigDraft {
        var draft = ConfigDraft(name: name, content: content)
        draft.variant = variant
        draft.details.type = "yaml"
        return draft
    }

    private func theirs(_ data: JSON, _ annotations: [String: String]) -> Object {
        var object = Object(.configMaps, namespace: "shop", name: "theirs")
        object.annotations = annotations
        object["data"] = data
        return object
    }

    @Test func anItemBecomesAConfigMapAndBack() throws {
        let object = ConfigForm.object(draft("a: 1"), over: nil, nowMilliseconds: 5)
        #expect(object.namespace == "shop" && object.name.hasPrefix("nacos-app-yaml-"))
        #expect(NameRules.fault(object.name, .subdomain) == nil)
        #expect(object["data"] == ["app.yaml": "a: 1"])
        let item = try #require(ConfigForm.item(of: object))
        #expect(item.name == name && item.text?.content == "a: 1")
        #expect(item.details.type == "yaml" && item.details.modifiedMilliseconds == 5)
        let next = ConfigForm.object(draft("a: 2"), over: object, nowMilliseconds: 5)
        #expect(ConfigForm.item(of: next)?.details.modifiedMilliseconds == 6)
        #expect(ConfigForm.item(of: next)?.details.createdMilliseconds == 5)
    }

    @Test func fingerprintsAreMD5() {
        #expect(ConfigText.md5("") == "d41d8cd98f00b204e9800998ecf8427e")
        #expect(ConfigText.md5("abc") == "900150983cd24fb0d6963f7d28e17f72")
    }

    @Test func anyNameHasItsOwnLegalConfigMap() {
        let ids = [
            "a", "A", "a.b", "a-b", "com.acme.Orders:1.0:", "ümläut", String(repeating: "x", count: 256), "nacos-beta",
        ]
        let names = ids.map { ConfigForm.objectName(ConfigName(namespace: "shop", dataID: $0)) }
        #expect(Set(names).count == ids.count)
        for name in names {
            #expect(NameRules.fault(name, .subdomain) == nil && NameRules.fault(name + "-history", .subdomain) == nil)
        }
    }

    @Test func aConfigMapOfTheirsIsAnItemAndKeepsTheRest() throws {
        let object = theirs(
            ["app.yaml": "a: 1", "other": "x"], [ConfigMark.dataID: "app.yaml", "note": "mine"])
        #expect(ConfigForm.item(of: object)?.text?.content == "a: 1")
        let changed = ConfigForm.object(draft("a: 2"), over: object, nowMilliseconds: 1)
        #expect(changed["data"] == ["app.yaml": "a: 2", "other": "x"])
        #expect(changed.annotations["note"] == "mine" && changed.name == "theirs")
        let released = ConfigForm.released(changed)
        #expect(!ConfigForm.isItem(released) && released["data"] == changed["data"])
        #expect(released.annotations == ["note": "mine"])
    }

    @Test func whichMemberIsTheContent() {
        let id = [ConfigMark.dataID: "app.yaml"]
        #expect(ConfigForm.item(of: theirs(["only": "1"], id))?.text?.content == "1")
        #expect(ConfigForm.item(of: theirs(["a": "1", "b": "2"], id)) == nil)
        let named = id.merging([ConfigMark.key: "b"]) { $1 }
        #expect(ConfigForm.item(of: theirs(["a": "1", "b": "2"], named))?.text?.content == "2")
        #expect(ConfigForm.item(of: theirs(["a": "1"], [:])) == nil)
    }

    @Test func betaAndTaggedTextsAreForSome() throws {
        var object = ConfigForm.object(draft("all"), over: nil, nowMilliseconds: 1)
        object = ConfigForm.object(draft("beta", .beta(["10.0.0.1"])), over: object, nowMilliseconds: 2)
        object = ConfigForm.object(draft("gray", .tag("t")), over: object, nowMilliseconds: 3)
        let item = try #require(ConfigForm.item(of: object))
        func shown(_ address: String, _ tag: String? = nil) -> String? {
            item.shown(to: ConfigReader(address: address, tag: tag))?.text.content
        }
        #expect(shown("10.0.0.1") == "beta" && shown("10.0.0.2") == "all" && shown("10.0.0.2", "t") == "gray")
        let without = try #require(ConfigForm.object(without: .beta([]), over: object, nowMilliseconds: 4))
        #expect(ConfigForm.item(of: without)?.beta == nil)
        #expect(ConfigForm.object(without: .everyone, over: object, nowMilliseconds: 4) == nil)
    }
}

@Suite struct ConfigMachineTests {
    private func object(_ name: String, created: String, content: String, id: String = "a") -> Object {
        var object = Object(.configMaps, namespace: "shop", name: name)
        object.annotations = [ConfigMark.dataID: id]
        object["data"] = ["content": .string(content)]
        object["metadata", "creationTimestamp"] = .string(created)
        return object
    }

    @Test func theOlderConfigMapCounts() {
        let name = ConfigName(namespace: "shop", dataID: "a")
        var machine = ConfigMachine()
        let young = object("young", created: "2026-01-02T00:00:00Z", content: "2")
        let old = object("old", created: "2026-01-01T00:00:00Z", content: "1")
        #expect(machine.received(young) == [name])
        #expect(machine.received(old) == [name])
        #expect(machine.item(name)?.text?.content == "1")
        #expect(machine.outdone(for: name) == [young.key])
        #expect(machine.removed(old.key) == [name])
        #expect(machine.item(name)?.text?.content == "2")
        #expect(machine.received(young).isEmpty)
        #expect(machine.removed(young.key) == [name] && machine.item(name) == nil && machine.count == 0)
    }

    @Test func anItemMayChangeItsName() {
        var machine = ConfigMachine()
        _ = machine.received(object("x", created: "", content: "1", id: "a"))
        let changed = machine.received(object("x", created: "", content: "1", id: "b"))
        #expect(changed.map(\.dataID).sorted() == ["a", "b"])
        #expect(machine.items(namespace: "shop").map(\.name.dataID) == ["b"])
        #expect(machine.items(namespace: "other").isEmpty)
    }
}

@Suite struct ConfigHistoryTests {
    @Test func theNewestComeFirstAndTheOldestGo() {
        let name = ConfigName(namespace: "shop", dataID: "a")
        var limits = ConfigLimits()
        limits.historyEntries = 3
        var object: Object?
        for round in 1...5 {
            object = ConfigHistory.object(
                of: name, adding: round == 1 ? .inserted : .updated, content: "v\(round)", details: ConfigDetails(),
                over: object, nowMilliseconds: 100, limits: limits)
        }
        let versions = object.map { ConfigHistory.versions(in: $0, of: name) } ?? []
        #expect(versions.map(\.content) == ["v5", "v4", "v3"])
        #expect(versions.map(\.number) == [104, 103, 102])
    }

    @Test func longContentsLeaveRoomForFewer() {
        let name = ConfigName(namespace: "shop", dataID: "a")
        var limits = ConfigLimits()
        limits.historyBytes = 10
        var object: Object?
        for _ in 1...5 {
            object = ConfigHistory.object(
                of: name, adding: .updated, content: "1234", details: ConfigDetails(), over: object,
                nowMilliseconds: 1, limits: limits)
        }
        #expect(object.map { ConfigHistory.versions(in: $0, of: name).count } == 2)
    }
}
