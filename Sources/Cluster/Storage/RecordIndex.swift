// The records in memory, in the order of their keys, cheap to copy and to change.

/// An ordered map from key to record, in leaves of bounded size.
///
/// A copy costs the same however many records there are, and a change after a copy rewrites one leaf and the list of
/// leaves: so readers take a copy and walk it without holding up writers. Keys are ASCII, for which Swift's order is
/// that of bytes.
struct RecordIndex: Sendable {
    static let leafRecords = 256

    /// Not one of them is empty.
    private var leaves: [[Record]] = []
    private(set) var count = 0

    /// An index of records in any order; of equal keys the last one stays.
    init(_ records: [Record] = []) {
        for record in records.sorted(by: { $0.key < $1.key }) { append(record) }
    }

    private mutating func append(_ record: Record) {
        if let last = leaves.indices.last, let end = leaves[last].last {
            if end.key == record.key {
                leaves[last][leaves[last].count - 1] = record
                return
            }
            if leaves[last].count < Self.leafRecords / 2 {
                leaves[last].append(record)
                count += 1
                return
            }
        }
        leaves.append([record])
        count += 1
    }

    subscript(_ key: String) -> Record? {
        guard let leaf = leaf(for: key) else { return nil }
        let slot = Self.firstSlot(in: leaves[leaf], notBefore: key)
        guard slot < leaves[leaf].count, leaves[leaf][slot].key == key else { return nil }
        return leaves[leaf][slot]
    }

    mutating func put(_ record: Record) {
        guard let leaf = leaf(for: record.key) else {
            leaves.append([record])
            count = 1
            return
        }
        let slot = Self.firstSlot(in: leaves[leaf], notBefore: record.key)
        if slot < leaves[leaf].count, leaves[leaf][slot].key == record.key {
            leaves[leaf][slot] = record
            return
        }
        leaves[leaf].insert(record, at: slot)
        count += 1
        if leaves[leaf].count > Self.leafRecords {
            let half = leaves[leaf].count / 2
            let upper = Array(leaves[leaf][half...])
            leaves[leaf].removeSubrange(half...)
            leaves.insert(upper, at: leaf + 1)
        }
    }

    mutating func remove(_ key: String) {
        guard let leaf = leaf(for: key) else { return }
        let slot = Self.firstSlot(in: leaves[leaf], notBefore: key)
        guard slot < leaves[leaf].count, leaves[leaf][slot].key == key else { return }
        leaves[leaf].remove(at: slot)
        count -= 1
        if leaves[leaf].isEmpty { leaves.remove(at: leaf) }
    }

    /// Where a walk stands: a leaf and a slot in it.
    struct Position {
        fileprivate var leaf: Int
        fileprivate var slot: Int
    }

    /// The position of the first record whose key is `key` or comes after it.
    func position(notBefore key: String) -> Position {
        guard let leaf = leaf(for: key) else { return Position(leaf: 0, slot: 0) }
        return normalized(Position(leaf: leaf, slot: Self.firstSlot(in: leaves[leaf], notBefore: key)))
    }

    /// The record at a position, nil at the end; moves the position on.
    func next(_ position: inout Position) -> Record? {
        guard position.leaf < leaves.count else { return nil }
        let record = leaves[position.leaf][position.slot]
        position.slot += 1
        position = normalized(position)
        return record
    }

    /// How many records from this position on have keys with the prefix; the record there must be one of them if any
    /// is.
    func count(from start: Position, prefix: String) -> Int {
        var count = 0
        var leaf = start.leaf
        var slot = start.slot
        while leaf < leaves.count {
            let records = leaves[leaf]
            if records.last?.key.hasPrefix(prefix) == true {
                count += records.count - slot
            } else {
                while slot < records.count, records[slot].key.hasPrefix(prefix) {
                    count += 1
                    slot += 1
                }
                return count
            }
            leaf += 1
            slot = 0
        }
        return count
    }

    private func normalized(_ position: Position) -> Position {
        if position.leaf < leaves.count, position.slot >= leaves[position.leaf].count {
            return Position(leaf: position.leaf + 1, slot: 0)
        }
        return position
    }

    /// The leaf that holds the key or would take it; nil when there is no leaf.
    private func leaf(for key: String) -> Int? {
        var low = 0
        var high = leaves.count
        while low < high {
            let middle = (low + high) / 2
            if leaves[middle][0].key <= key { low = middle + 1 } else { high = middle }
        }
        return leaves.isEmpty ? nil : max(low - 1, 0)
    }

    private static func firstSlot(in leaf: [Record], notBefore key: String) -> Int {
        var low = 0
        var high = leaf.count
        while low < high {
            let middle = (low + high) / 2
            if leaf[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
