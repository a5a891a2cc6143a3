// All names of a zone with their records as bytes: many small tables, so that a change copies little and readers keep
// the old.

/// The records of one type at a name, as bytes after the owner.
struct RecordSet: Sendable {
    let type: RecordType
    private let bytes: [UInt8]
    /// Where each record begins, and at last where all end.
    private let starts: [Int]

    init(type: RecordType, bodies: [[UInt8]]) {
        self.type = type
        var starts = [0]
        for body in bodies { starts.append(starts[starts.count - 1] + body.count) }
        self.starts = starts
        bytes = Array(bodies.joined())
    }

    var count: Int { starts.count - 1 }

    func body(_ index: Int) -> ArraySlice<UInt8> { bytes[starts[index]..<starts[index + 1]] }
}

/// A name that exists. Without sets it is one that only has names below it (RFC 4592, section 2.2.2).
struct ZoneNode: Sendable {
    /// In lower case.
    let name: [UInt8]
    let sets: [RecordSet]
    /// What the name is an alias for.
    let alias: DomainName?

    /// Type, class, life and length come before a record's data.
    static let bodyHeaderBytes = 10

    init(name: [UInt8], records: [RecordData], timeToLiveSeconds: UInt32) {
        self.name = name
        var types: [RecordType] = []
        for record in records where !types.contains(record.type) { types.append(record.type) }
        sets = types.map { type in
            RecordSet(
                type: type,
                bodies: records.filter { $0.type == type }.map {
                    MessageWriter.body(of: $0, timeToLiveSeconds: timeToLiveSeconds)
                })
        }
        alias = records.lazy.compactMap { if case .cname(let target) = $0 { target } else { nil } }.first
    }

    func set(_ type: RecordType) -> RecordSet? { sets.first { $0.type == type } }
}

/// An immutable map from names to nodes. Changing a copy costs the shards that change.
struct NameTable: Sendable {
    static let shardCount = 4096

    private struct Shard: Sendable {
        var hashes: [UInt64] = []
        var nodes: [ZoneNode] = []
    }

    private var shards = [Shard](repeating: Shard(), count: shardCount)
    /// Keeps those who choose names from choosing collisions.
    private let seed: UInt64
    private(set) var count = 0

    init(seed: UInt64) { self.seed = seed }

    /// The node of a whole name in any case.
    func find(_ name: ArraySlice<UInt8>) -> ZoneNode? {
        let hash = hash(name)
        let shard = shards[Int(hash % UInt64(Self.shardCount))]
        for (index, each) in shard.hashes.enumerated() where each == hash {
            let node = shard.nodes[index]
            if Self.isEqual(name, node.name) { return node }
        }
        return nil
    }

    /// Puts or (with nil) removes the node of a name in lower case.
    mutating func set(_ node: ZoneNode?, at name: [UInt8]) {
        let hash = hash(name[...])
        let place = Int(hash % UInt64(Self.shardCount))
        let found = shards[place].hashes.indices.first {
            shards[place].hashes[$0] == hash && shards[place].nodes[$0].name == name
        }
        switch (found, node) {
        case (let index?, let node?): shards[place].nodes[index] = node
        case (let index?, nil):
            shards[place].hashes.remove(at: index)
            shards[place].nodes.remove(at: index)
            count -= 1
        case (nil, let node?):
            shards[place].hashes.append(hash)
            shards[place].nodes.append(node)
            count += 1
        case (nil, nil): break
        }
    }

    /// FNV-1a over the name in lower case, begun with the seed.
    private func hash(_ name: ArraySlice<UInt8>) -> UInt64 {
        var hash = 0xcbf2_9ce4_8422_2325 ^ seed
        for byte in name { hash = (hash ^ UInt64(DomainName.folded(byte))) &* 0x100_0000_01b3 }
        return hash ^ hash >> 32
    }

    private static func isEqual(_ name: ArraySlice<UInt8>, _ folded: [UInt8]) -> Bool {
        guard name.count == folded.count else { return false }
        var at = name.startIndex
        for byte in folded {
            guard DomainName.folded(name[at]) == byte else { return false }
            at += 1
        }
        return true
    }
}
