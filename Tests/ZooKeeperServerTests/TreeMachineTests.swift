// The tree by scripts: changes, what they answer, and what follows for watchers and the disk.

import Testing

@testable import ZooKeeperServer

@Suite struct TreeMachineTests {
    let nobody = Caller(session: 100, identities: [Identity(scheme: "ip", id: "10.0.0.1")])
    let jane = Caller(session: 200, identities: [Identity(scheme: "digest", id: "jane:hash")])

    func creation(
        _ path: String, _ data: String = "", mode: Creation.Mode = .persistent, acl: [AccessEntry] = AccessEntry.open,
        isSequential: Bool = false
    ) -> Change {
        .create(
            Creation(path: path, data: Array(data.utf8), acl: acl, mode: mode, isSequential: isSequential),
            answersStat: true)
    }

    func code(_ change: Change, in tree: inout TreeMachine, by caller: Caller? = nil) -> Int32 {
        do throws(ErrorCode) {
            _ = try tree.apply(change, by: caller ?? nobody, time: 1_000)
            return 0
        } catch {
            return error.number
        }
    }

    @Test func aFreshTreeHasWhatClientsLookFor() {
        var tree = TreeMachine()
        #expect(tree.nodes.keys.sorted() == ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"])
        #expect(tree.nodes["/zookeeper/config"]?.data == [])
        #expect(code(.delete("/zookeeper/quota", version: -1), in: &tree) == -8)
        #expect(code(.setData("/zookeeper/config", [1], version: -1), in: &tree) == -102)
    }

    @Test func changesCountInTheStat() throws {
        var tree = TreeMachine()
        #expect(code(creation("/a", "one"), in: &tree) == 0)
        #expect(code(creation("/a/b"), in: &tree) == 0)
        #expect(code(.setData("/a", [1, 2], version: 0), in: &tree) == 0)
        #expect(code(.delete("/a/b", version: -1), in: &tree) == 0)
        let stat = try #require(tree.nodes["/a"]?.stat)
        #expect(stat.czxid == 1 && stat.mzxid == 3 && stat.pzxid == 4)
        #expect(stat.version == 1 && stat.cversion == 2 && stat.numChildren == 0 && stat.dataLength == 2)
        #expect(tree.zxid == 4)
    }

    @Test func everyRefusalHasItsNumber() {
        var tree = TreeMachine()
        #expect(code(creation("/a"), in: &tree) == 0)
        #expect(code(creation("/a"), in: &tree) == -110)
        #expect(code(creation("/"), in: &tree) == -110)
        #expect(code(creation("/b/c"), in: &tree) == -101)
        #expect(code(.delete("/b", version: -1), in: &tree) == -101)
        #expect(code(.setData("/a", [], version: 5), in: &tree) == -103)
        #expect(code(.check("/a", version: 5), in: &tree) == -103)
        #expect(code(creation("/a/b"), in: &tree) == 0)
        #expect(code(.delete("/a", version: -1), in: &tree) == -111)
        #expect(code(creation("/e", mode: .ephemeral), in: &tree) == 0)
        #expect(code(creation("/e/f"), in: &tree) == -108)
        #expect(code(creation("/x", acl: []), in: &tree) == -114)
        let strange = AccessEntry(permissions: .all, identity: Identity(scheme: "x509", id: "CN=a"))
        #expect(code(creation("/x", acl: [strange]), in: &tree) == -114)
        for path in ["", "a", "/a/", "//a", "/a//b", "/a/./b", "/..", "/a/..", "/\u{1}", "/a\u{FFF0}", "/\u{9F}b"] {
            #expect(code(creation(path), in: &tree) == -8, "\(path)")
        }
        for path in ["/...", "/a.b", "/.a", "/a..", "/é", "/🌊 "] {
            #expect(code(creation(path), in: &tree) == 0, "\(path)")
        }
    }

    @Test func aFailedChangeUsesNoZxid() {
        var tree = TreeMachine()
        _ = code(creation("/a"), in: &tree)
        _ = code(creation("/a"), in: &tree)
        #expect(tree.zxid == 1)
    }

    @Test func sequencesGoOnAfterDeletions() throws {
        var tree = TreeMachine()
        let change = creation("/n-", isSequential: true)
        #expect(code(change, in: &tree) == 0)
        #expect(code(.delete("/n-0000000000", version: -1), in: &tree) == 0)
        guard case .created(let path, _) = try tree.apply(change, by: nobody, time: 0) else { return }
        #expect(path == "/n-0000000001")
        #expect(Path.sequence(2_147_483_647) == "2147483647" && Path.sequence(-2_147_483_648) == "-2147483648")
    }

    @Test func theEndOfASessionTakesItsNodesUnderOneZxid() {
        var tree = TreeMachine()
        _ = code(creation("/e", mode: .ephemeral), in: &tree)
        _ = code(creation("/f", mode: .ephemeral), in: &tree)
        _ = code(creation("/g", mode: .ephemeral), in: &tree, by: jane)
        _ = tree.drainEvents()
        tree.sessionEnded(nobody.session)
        let events = tree.drainEvents()
        #expect(events.map(\.path) == ["/e", "/f"] && Set(events.map(\.zxid)) == [4])
        #expect(tree.ephemerals == [jane.session: ["/g"]])
    }

    @Test func aMultiIsAllOrNothing() {
        var tree = TreeMachine()
        _ = code(creation("/a", "old"), in: &tree)
        _ = tree.drainEvents()
        let before = tree.nodes
        let failed = tree.applyAll(
            [
                creation("/b"), creation("/b/c", mode: .ephemeral), .setData("/a", [9], version: 0),
                .delete("/a", version: 1), .check("/nowhere", version: 0),
            ], by: nobody, time: 5)
        guard case .failure(let failure) = failed else {
            Issue.record("the multi went through")
            return
        }
        #expect(failure == TreeMachine.MultiFailure(place: 4, code: .noNode))
        #expect(tree.nodes == before && tree.zxid == 1 && tree.ephemerals.isEmpty && tree.drainEvents().isEmpty)
        #expect(tree.dataBytes == 3)
        let done = tree.applyAll([creation("/b"), .delete("/a", version: 0)], by: nobody, time: 5)
        #expect((try? done.get())?.count == 2)
        #expect(tree.nodes["/b"]?.czxid == 2 && tree.nodes["/a"] == nil)
    }

    @Test func accessListsAreHeld() throws {
        var tree = TreeMachine()
        let auth = [AccessEntry(permissions: .all, identity: Identity(scheme: "auth", id: ""))]
        #expect(code(creation("/j", acl: auth), in: &tree) == -114)
        #expect(code(creation("/j", acl: auth), in: &tree, by: jane) == 0)
        #expect(code(.setData("/j", [], version: -1), in: &tree) == -102)
        #expect(code(creation("/j/k"), in: &tree) == -102)
        #expect(code(creation("/j/k"), in: &tree, by: jane) == 0)
        #expect(code(.delete("/j/k", version: -1), in: &tree) == -102)
        #expect(code(.setACL("/j", AccessEntry.readOnly, version: 0), in: &tree) == -102)
        #expect(code(.setACL("/j", AccessEntry.readOnly, version: 1), in: &tree, by: jane) == -103)
        #expect(code(.setACL("/j", AccessEntry.readOnly, version: 0), in: &tree, by: jane) == 0)
        #expect(tree.access[try #require(tree.nodes["/j"]).access] == AccessEntry.readOnly)
        let subnet = [AccessEntry(permissions: .all, identity: Identity(scheme: "ip", id: "10.0.0.0/8"))]
        #expect(code(creation("/s", acl: subnet), in: &tree) == 0)
        #expect(code(.setData("/s", [], version: -1), in: &tree) == 0)
        #expect(code(.setData("/s", [], version: -1), in: &tree, by: jane) == -102)
        let password = Array("user:password".utf8)
        #expect(Identity.digest(proof: password)?.id == "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")
    }

    @Test func containersAndTimesToLiveEnd() {
        var tree = TreeMachine()
        _ = code(creation("/c", mode: .container), in: &tree)
        _ = code(creation("/t", mode: .ttl(500)), in: &tree)
        tree.timePassed(1_400, containerPatience: 60_000)
        #expect(tree.nodes["/t"] != nil)
        tree.timePassed(1_500, containerPatience: 60_000)
        #expect(tree.nodes["/t"] == nil)
        // A container that never had a child stays.
        tree.timePassed(1_000_000, containerPatience: 60_000)
        tree.timePassed(2_000_000, containerPatience: 60_000)
        #expect(tree.nodes["/c"]?.stat.ephemeralOwner == .min)
        _ = code(creation("/c/d"), in: &tree)
        _ = code(.delete("/c/d", version: -1), in: &tree)
        tree.timePassed(3_000_000, containerPatience: 60_000)
        tree.timePassed(3_050_000, containerPatience: 60_000)
        #expect(tree.nodes["/c"] != nil)
        tree.timePassed(3_060_000, containerPatience: 60_000)
        #expect(tree.nodes["/c"] == nil)
    }

    @Test func quotasAreCountedAndHardOnesHeld() {
        var tree = TreeMachine()
        for path in ["/app", "/zookeeper/quota/app"] { _ = code(creation(path), in: &tree) }
        _ = code(creation("/zookeeper/quota/app/zookeeper_stats"), in: &tree)
        let hard = "count=-1,bytes=-1=;countHardLimit=2;byteHardLimit=4"
        _ = code(creation("/zookeeper/quota/app/zookeeper_limits", hard), in: &tree)
        #expect(code(creation("/app/a", "1234"), in: &tree) == 0)
        #expect(code(creation("/app/b"), in: &tree) == -125)
        #expect(code(.setData("/app/a", Array("12345".utf8), version: -1), in: &tree) == -125)
        let told = tree.nodes["/zookeeper/quota/app/zookeeper_stats"]?.data ?? []
        #expect(String(decoding: told, as: UTF8.self) == "count=2,bytes=4")
        #expect(code(.delete("/app/a", version: -1), in: &tree) == 0)
        #expect(code(creation("/app/b"), in: &tree) == 0)
    }

    @Test func theDiskGetsWhatChangedOnce() {
        var tree = TreeMachine()
        _ = tree.drainDirty()
        _ = code(creation("/a", "x"), in: &tree)
        _ = code(.setData("/a", [1], version: -1), in: &tree)
        _ = code(creation("/a/b"), in: &tree)
        _ = code(.delete("/a/b", version: -1), in: &tree)
        let rows = tree.drainDirty()
        #expect(rows.nodes.map(\.path) == ["/a"] && rows.removed.count == 1)
        #expect(rows.directories.count == 2)  // the root and /a
        #expect(tree.render("/services/orders/10.0.0.1:80", [1], time: 0) == true)
        #expect(tree.drainDirty().nodes.map(\.path).sorted() == ["/services", "/services/orders"])
        #expect(tree.storedCount == tree.count - 1)
    }

    @Test func renderedNodesAreReadOnlyUntilTheirOwnerComes() {
        var tree = TreeMachine()
        let path = "/services/orders/10.0.0.1:80"
        tree.render(path, [1], time: 0)
        #expect(code(.setData(path, [2], version: -1), in: &tree) == -102)
        #expect(code(.delete(path, version: -1), in: &tree) == -102)
        #expect(code(creation(path + "/x"), in: &tree) == -108 || code(creation(path + "/x"), in: &tree) == -102)
        #expect(code(creation(path, "mine", mode: .ephemeral), in: &tree) == 0)
        #expect(tree.nodes[path]?.kind == .ephemeral(nobody.session))
        #expect(tree.render(path, [1], time: 0) == false)
        tree.hide(path)
        #expect(tree.nodes[path] == nil)
    }

    @Test func aReaderWaitsOnlyForWhatItSaw() {
        var tree = TreeMachine()
        _ = code(creation("/a"), in: &tree)
        _ = code(creation("/b"), in: &tree)
        #expect(tree.seenZxid(at: "/a") == 1)
        #expect(tree.seenZxid(at: "/b") == 2)
        #expect(tree.seenZxid(at: "/a/missing/deeper") == 1)
        _ = code(.delete("/b", version: -1), in: &tree)
        #expect(tree.seenZxid(at: "/b") == 3)
    }
}
