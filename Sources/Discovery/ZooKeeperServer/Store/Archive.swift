// What a backup carries of the znodes: as bytes, and back.

import NIOCore
import Objects

/// All durable znodes of one moment. Sessions and their ephemeral znodes are left out: clients make them again.
package enum ZooKeeperArchive {
    /// Nil when the directory has no znodes. A platform may run on it.
    package static func bytes(of directory: String) throws(Problem) -> [UInt8]? {
        guard let state = try StateFile.contents(of: directory) else { return nil }
        let kept = state.nodes.filter { !$0.value.kind.isEphemeral }
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(version, state.zxid, Int32(kept.count))
        for (path, node) in kept.sorted(by: { $0.key < $1.key }) {
            buffer.writeJute(path)
            buffer.writeJute(node.data)
            buffer.writeJute(state.access[node.access])
            buffer.writeMultipleIntegers(node.kind.owner, node.czxid, node.mzxid, node.pzxid, node.ctime, node.mtime)
            buffer.writeMultipleIntegers(node.version, node.aversion, node.creations)
        }
        return Array(buffer.readableBytesView)
    }

    /// Makes a directory with these znodes. `secondsSinceEpoch` makes the new tree's zxids later than any that was
    /// given since the backup, so that no client has seen more than there is.
    package static func restore(
        _ bytes: [UInt8], to directory: String, secondsSinceEpoch: Int64
    ) throws(Problem) {
        let restored: StoredState
        do throws(WireProblem) {
            restored = try state(bytes, secondsSinceEpoch: secondsSinceEpoch)
        } catch {
            throw Problem(.invalid, "the znodes of the backup cannot be read: \(error)")
        }
        try StateFile.make(in: directory, holding: restored)
    }

    private static let version: Int32 = 1

    private static func state(_ bytes: [UInt8], secondsSinceEpoch: Int64) throws(WireProblem) -> StoredState {
        var reader = JuteReader(ByteBuffer(bytes: bytes))
        _ = try reader.int()
        var state = StoredState()
        // The upper half of a zxid is ZooKeeper's epoch; a minute is long enough for none to be given twice.
        let zxid = try reader.long()
        state.zxid = max((zxid >> 32) + 1, secondsSinceEpoch / 60) << 32
        for id in 0..<Int64(try reader.count(elementBytes: 72)) {
            let path = try reader.text()
            let data = try reader.data()
            let access = state.access.number(of: try reader.accessList())
            var node = Node(
                id: id + 1, data: data, access: access, kind: .init(owner: try reader.long()), czxid: try reader.long(),
                mzxid: try reader.long(), pzxid: try reader.long(), ctime: try reader.long(), mtime: try reader.long(),
                changedZxid: state.zxid)
            node.version = try reader.int()
            node.aversion = try reader.int()
            node.creations = try reader.int()
            state.nodes[path] = node
        }
        return state
    }
}
