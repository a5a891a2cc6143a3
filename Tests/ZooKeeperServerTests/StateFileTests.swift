// What is stored is read back as it was, and what is damaged, foreign or newer is refused and left as it is.

import Glibc
import Objects
import Testing

@testable import ZooKeeperServer

@Suite struct StateFileTests {
    /// A directory of the test's own.
    private func scratch() -> String {
        var name = Array("/tmp/mangrove-zookeeper-XXXXXX".utf8CString)
        _ = mkdtemp(&name)
        return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A directory with a few znodes and a session in it.
    private func filled() throws -> (directory: String, tree: TreeMachine, session: Session) {
        let directory = scratch()
        var tree = TreeMachine()
        let caller = Caller(session: 5, identities: [])
        let acl = [AccessEntry(permissions: .read, identity: Identity(scheme: "ip", id: "10.0.0.0/8"))]
        for (path, mode, list) in [
            ("/a", Creation.Mode.persistent, AccessEntry.open), ("/a/é", .ephemeral, AccessEntry.open),
            ("/c", .container, acl), ("/t", .ttl(77), AccessEntry.open),
        ] {
            let creation = Creation(path: path, data: Array(path.utf8), acl: list, mode: mode, isSequential: false)
            _ = try tree.apply(.create(creation, answersStat: false), by: caller, time: 123)
        }
        tree.render("/services/x/1.2.3.4:5", [1], time: 1)
        let session = Session(id: 5, password: Array(0..<16), timeoutMilliseconds: 4_000)
        let file = try StateFile.open(in: directory).file
        defer { file.close() }
        try file.commit(
            Batch(
                zxid: tree.zxid, tree: tree.drainDirty(), sessions: [session], nodeCount: tree.storedCount,
                sessionCount: 1))
        return (directory, tree, session)
    }

    @Test func whatIsStoredIsReadBack() throws {
        let (directory, tree, session) = try filled()
        let state = try StateFile.open(in: directory).state
        #expect(state.zxid == tree.zxid && state.sessions == [session])
        let again = TreeMachine(nodes: state.nodes, access: state.access, zxid: state.zxid)
        #expect(again.count == tree.count - 1)
        for (path, node) in again.nodes {
            var expected = try #require(tree.nodes[path]?.stat)
            if path == "/services/x" { expected.numChildren = 0; expected.cversion = 2 }
            #expect(node.stat == expected && node.data == tree.nodes[path]?.data, "\(path)")
            #expect(again.access[node.access] == tree.access[tree.nodes[path]?.access ?? 0])
        }
        #expect(again.ephemerals == [5: ["/a/é"]])
    }

    @Test func deletionsAreStored() throws {
        let (directory, _, session) = try filled()
        let (file, state) = try StateFile.open(in: directory)
        var tree = TreeMachine(nodes: state.nodes, access: state.access, zxid: state.zxid)
        tree.sessionEnded(session.id)
        try file.commit(
            Batch(
                zxid: tree.zxid, tree: tree.drainDirty(), endedSessions: [session.id], nodeCount: tree.storedCount,
                sessionCount: 0))
        file.close()
        let after = try StateFile.open(in: directory).state
        #expect(after.sessions.isEmpty && after.nodes["/a/é"] == nil && after.nodes["/a"]?.children == [])
    }

    @Test func aFlippedByteIsRefusedAndLeft() throws {
        let (directory, _, _) = try filled()
        let path = directory + "/" + StateFile.name
        let good = try bytes(of: path)
        var noticed = 0
        for place in stride(from: 200, to: good.count, by: 97) {
            var bad = good
            bad[place] ^= 0x10
            try write(bad, to: path)
            do throws(Problem) {
                let state = try StateFile.contents(of: directory)
                // A byte that no row uses: what is read must be what was written.
                #expect(state?.nodes["/a"]?.data == Array("/a".utf8), "byte \(place)")
            } catch {
                noticed += 1
                #expect(
                    error.message.contains("left untouched") || error.message.contains("SQLite"), "\(error.message)")
                #expect(throws: Problem.self) { try StateFile.open(in: directory) }
            }
            #expect(try bytes(of: path) == bad)
        }
        #expect(noticed > 0)
    }

    @Test func aNewerFormatAndAForeignFileAreRefused() throws {
        let (directory, _, _) = try filled()
        let path = directory + "/" + StateFile.name
        var newer = try bytes(of: path)
        newer[63] = 9  // the low byte of user_version (sqlite.org/fileformat2.html, offset 60)
        try write(newer, to: path)
        #expect { try StateFile.open(in: directory) } throws: { "\($0)".contains("format 9") }
        try write(Array("hello, I am no database, and long enough to be looked at by anybody".utf8), to: path)
        #expect(throws: Problem.self) { try StateFile.open(in: directory) }
        #expect(String(decoding: try bytes(of: path), as: UTF8.self).hasPrefix("hello"))
    }

    @Test func aBackupCarriesWhatNoClientMakesAgain() throws {
        let (directory, tree, _) = try filled()
        let archive = try #require(try ZooKeeperArchive.bytes(of: directory))
        let other = scratch() + "/restored"
        try ZooKeeperArchive.restore(archive, to: other, secondsSinceEpoch: 1_800_000_000)
        let state = try StateFile.open(in: other).state
        #expect(state.nodes["/a/é"] == nil && state.sessions.isEmpty)
        #expect(state.nodes["/t"]?.kind == .ttl(77) && state.nodes["/c"]?.data == Array("/c".utf8))
        #expect(state.nodes["/a"]?.creations == tree.nodes["/a"]?.creations)
        #expect(state.zxid == 30_000_000 << 32)
        #expect(throws: Problem.self) {
            try ZooKeeperArchive.restore(archive.dropLast(20) + [], to: other + "2", secondsSinceEpoch: 0)
        }
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let descriptor = try #require(Optional(open(path, O_RDONLY)))
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Int(lseek(descriptor, 0, SEEK_END)))
        #expect(pread(descriptor, &bytes, bytes.count, 0) == bytes.count)
        return bytes
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_TRUNC)
        defer { close(descriptor) }
        #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }
}
