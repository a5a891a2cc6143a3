// The rows of the room's file: how znodes and sessions are written, and what tells damaged ones from good.

import NIOCore
import SQLite

/// What one commit writes.
struct Batch: Sendable {
    var zxid: Int64
    var tree: TreeRows
    var sessions: [Session] = []
    var endedSessions: [Int64] = []
    /// What the file holds after the commit.
    var nodeCount: Int
    var sessionCount: Int
}

/// Everything that the file holds.
struct StoredState: Sendable {
    var nodes: [String: Node] = [:]
    var access = AccessTable()
    var sessions: [Session] = []
    var zxid: Int64 = 0
}

/// 64 bits over numbers and bytes in their order; against worn disks, not against an adversary.
struct RowSum {
    private var state: UInt64 = 0x9AE1_6A3B_2F90_404F

    var value: Int64 { Int64(bitPattern: state) }

    mutating func add(_ number: UInt64) {
        state = (state ^ number) &* 0xD6E8_FEB8_6659_FD93
        state ^= state >> 32
    }

    mutating func add(_ bytes: some Sequence<UInt8>) {
        var word: UInt64 = 0
        var count: UInt64 = 0
        for byte in bytes {
            word = word << 8 | UInt64(byte)
            count += 1
            if count % 8 == 0 {
                add(word)
                word = 0
            }
        }
        add(word)
        add(count)
    }

    static func of(_ numbers: Int64..., bytes: [UInt8]...) -> Int64 {
        var sum = RowSum()
        for number in numbers { sum.add(UInt64(bitPattern: number)) }
        for each in bytes { sum.add(each) }
        return sum.value
    }
}

/// The columns of a znode: an access list is written in jute.
struct NodeRow {
    static let upsert = """
        INSERT INTO node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
        ON CONFLICT (id) DO UPDATE SET path = ?2, data = ?3, access = ?4, owner = ?5, czxid = ?6,
        mzxid = ?7, ctime = ?8,
            mtime = ?9, version = ?10, aversion = ?11, checksum = ?12
        """

    static func write(
        _ entry: (path: String, node: Node, access: [AccessEntry]), with statement: Statement
    ) throws(DatabaseFailure) {
        let node = entry.node
        var access = ByteBuffer()
        access.writeJute(entry.access)
        let bytes = Array(access.readableBytesView)
        let sum = checksum(node, path: Array(entry.path.utf8), access: bytes)
        try statement.run(
            .number(node.id), .text(entry.path), .data(node.data), .bytes(bytes), .number(node.kind.owner),
            .number(node.czxid), .number(node.mzxid), .number(node.ctime), .number(node.mtime),
            .number(Int64(node.version)), .number(Int64(node.aversion)), .number(sum))
    }

    /// Nil when the row is damaged.
    static func read(_ row: Statement, into access: inout AccessTable) -> (path: String, node: Node)? {
        let path = Array(row.bytes(1))
        let list = Array(row.bytes(3))
        var reader = JuteReader(ByteBuffer(bytes: list))
        guard let entries = try? reader.accessList(), let name = String(validating: path, as: UTF8.self) else {
            return nil
        }
        let node = Node(
            id: row.number(0), data: row.data(2), access: access.number(of: entries), kind: .init(owner: row.number(4)),
            czxid: row.number(5), mzxid: row.number(6), pzxid: 0, ctime: row.number(7), mtime: row.number(8),
            version: Int32(truncatingIfNeeded: row.number(9)), aversion: Int32(truncatingIfNeeded: row.number(10)),
            changedZxid: 0)
        guard checksum(node, path: path, access: list) == row.number(11) else { return nil }
        return (name, node)
    }

    private static func checksum(_ node: Node, path: [UInt8], access: [UInt8]) -> Int64 {
        RowSum.of(
            node.id, node.kind.owner, node.czxid, node.mzxid, node.ctime, node.mtime, Int64(node.version),
            Int64(node.aversion), node.data == nil ? 1 : 0, bytes: path, node.data ?? [], access)
    }
}
