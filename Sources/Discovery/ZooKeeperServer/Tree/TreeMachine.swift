// The tree of znodes: what may be read and changed, by whom, and what follows for watchers and for the disk.

/// Who asks for a change.
struct Caller: Sendable {
    var session: Int64
    var identities: [Identity]
}

/// Something that happened to a znode, for those who watch it and for the views.
struct TreeEvent: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case created, deleted, dataChanged
    }

    var kind: Kind
    var path: String
    var nodeKind: Node.Kind
    var zxid: Int64
    /// Who might read the znode, and who its parent: nobody else is told.
    var access: AccessTable.Number
    var parentAccess: AccessTable.Number
}

/// What a successful change answers.
enum ChangeResult: Hashable, Sendable {
    case created(path: String, stat: Stat?)
    case deleted, checked
    case set(Stat)
}

/// The pure part of the store of znodes. Every change is made at once, under the next zxid; the shell keeps answers
/// that rest on it back until it is on disk. What follows is taken with `drainEvents` and `drainDirty`.
struct TreeMachine: Sendable {
    let limits: Limits
    var nodes: [String: Node]
    var zxid: Int64
    var access: AccessTable
    var dataBytes: Int
    var ephemerals: [Int64: Set<String>] = [:]
    /// Containers and nodes with a time to live.
    var reapable: Set<String> = []
    var emptySince: [String: Int64] = [:]
    var renderedCount = 0
    var quotas = QuotaTable()
    var nextID: Int64
    var events: [TreeEvent] = []
    /// Rows to write, by number: whether all of the znode has changed, or only its children.
    var dirty: [Int64: (path: String, isWhole: Bool)] = [:]
    /// What a multi has changed so far, as it was before.
    var journal: [String: Node?]?

    /// A tree as it was stored; an empty one gets what every ZooKeeper has.
    init(
        nodes stored: [String: Node] = [:], access: AccessTable = AccessTable(), zxid: Int64 = 0,
        limits: Limits = Limits()
    ) {
        nodes = stored
        self.access = access
        self.zxid = zxid
        self.limits = limits
        nextID = (stored.values.lazy.map(\.id).max() ?? 0) + 1
        dataBytes = stored.values.reduce(0) { $0 + $1.dataBytes }
        for (path, node) in stored { index(node, at: path) }
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] where nodes[path] == nil {
            let isConfig = path == "/zookeeper/config"
            let number = isConfig ? self.access.number(of: AccessEntry.readOnly) : AccessTable.open
            insert(newNode(access: number, kind: .persistent, data: [], time: 0), at: path)
            if path != "/" { nodes[Path.parent(path)]?.children.insert(Path.name(path)) }
        }
        for path in nodes.keys where path.hasSuffix(QuotaTable.limitsSuffix) { readQuota(at: path) }
        events = []
    }

    var count: Int { nodes.count }
    /// How many of them are on disk.
    var storedCount: Int { nodes.count - renderedCount }

    func permits(_ number: AccessTable.Number, _ wanted: Permissions, _ caller: Caller) -> Bool {
        access.permits(number, wanted, to: caller.identities)
    }

    /// The last zxid that a reader of this path has seen the effects of, whether there is a znode or not.
    func seenZxid(at path: String) -> Int64 {
        var path = path
        while true {
            if let node = nodes[path] { return node.changedZxid }
            if path == "/" || path.isEmpty { return zxid }
            path = Path.parent(path)
        }
    }

    /// The znodes below a path, at any depth.
    func descendantCount(of path: String) -> Int {
        var count = 0
        var open = [path]
        while let next = open.popLast() {
            for name in nodes[next]?.children ?? [] {
                count += 1
                open.append(Path.join(next, name))
            }
        }
        return count
    }

    // MARK: Changes

    /// One change under a zxid of its own.
    mutating func apply(_ change: Change, by caller: Caller, time: Int64) throws(ErrorCode) -> ChangeResult {
        zxid += 1
        do throws(ErrorCode) {
            return try perform(change, by: caller, time: time)
        } catch {
            zxid -= 1
            throw error
        }
    }

    /// All changes under one zxid, or none: then the place of the one that failed, and why.
    mutating func applyAll(
        _ changes: [Change], by caller: Caller, time: Int64
    ) -> Result<[ChangeResult], MultiFailure> {
        zxid += 1
        journal = [:]
        let eventCount = events.count
        let quotasBefore = quotas
        defer { journal = nil }
        var results: [ChangeResult] = []
        for (place, change) in changes.enumerated() {
            do throws(ErrorCode) {
                results.append(try perform(change, by: caller, time: time))
            } catch {
                rollBack()
                quotas = quotasBefore
                events.removeSubrange(eventCount...)
                zxid -= 1
                return .failure(MultiFailure(place: place, code: error))
            }
        }
        return .success(results)
    }

    struct MultiFailure: Error, Hashable, Sendable {
        var place: Int
        var code: ErrorCode
    }

    /// A session ended, and its znodes with it, under one zxid.
    mutating func sessionEnded(_ session: Int64) {
        zxid += 1
        for path in (ephemerals[session] ?? []).sorted() { remove(at: path) }
    }

    /// Something outside the tree was changed that must be on disk: a session was made.
    mutating func sessionBegan() { zxid += 1 }

    private mutating func perform(_ change: Change, by caller: Caller, time: Int64) throws(ErrorCode) -> ChangeResult {
        switch change {
        case .create(let creation, let answersStat):
            let path = try create(creation, by: caller, time: time)
            return .created(path: path, stat: answersStat ? nodes[path]?.stat : nil)
        case .delete(let path, let version):
            try delete(path, version: version, by: caller)
            return .deleted
        case .setData(let path, let data, let version):
            return .set(try setData(path, data, version: version, by: caller, time: time))
        case .setACL(let path, let list, let version):
            return .set(try setAccess(path, list, version: version, by: caller))
        case .check(let path, let version):
            guard let node = nodes[path] else { throw .noNode }
            guard permits(node.access, .read, caller) else { throw .noAuth }
            guard version == -1 || version == node.version else { throw .badVersion }
            return .checked
        }
    }

    private mutating func create(_ creation: Creation, by caller: Caller, time: Int64) throws(ErrorCode) -> String {
        guard Path.isValid(creation.isSequential ? creation.path + "1" : creation.path) else { throw .badArguments }
        guard creation.path != "/" else { throw .nodeExists }
        let list = try creation.acl.settled(for: caller.identities)
        let parentPath = Path.parent(creation.path)
        guard let parent = nodes.index(forKey: parentPath) else { throw .noNode }
        guard permits(nodes.values[parent].access, .create, caller) else { throw .noAuth }
        let isBelowEphemeral = nodes.values[parent].kind.isEphemeral
        let path = creation.isSequential ? creation.path + Path.sequence(nodes.values[parent].creations) : creation.path
        if let existing = nodes[path] {
            // Whoever registers an instance that a view shows already takes its place.
            guard existing.kind == .rendered else { throw .nodeExists }
        }
        guard !isBelowEphemeral else { throw .noChildrenForEphemerals }
        guard nodes.count < limits.nodes, dataBytes + creation.dataBytes <= limits.dataBytes else {
            throw .quotaExceeded
        }
        try checkQuota(of: path, nodes: 1, bytes: creation.dataBytes)
        if nodes[path] != nil { remove(at: path) }
        let kind: Node.Kind =
            switch creation.mode {
            case .persistent: .persistent
            case .ephemeral: .ephemeral(caller.session)
            case .container: .container
            case .ttl(let milliseconds): .ttl(milliseconds)
            }
        add(newNode(access: access.number(of: list), kind: kind, data: creation.data, time: time), at: path)
        return path
    }

    private mutating func delete(_ path: String, version: Int32, by caller: Caller) throws(ErrorCode) {
        guard Path.isValid(path), path != "/", path != "/zookeeper", path != "/zookeeper/quota" else {
            throw .badArguments
        }
        guard let parent = nodes.index(forKey: Path.parent(path)), let place = nodes.index(forKey: path) else {
            throw .noNode
        }
        guard permits(nodes.values[parent].access, .delete, caller) else { throw .noAuth }
        guard version == -1 || nodes.values[place].version == version else { throw .badVersion }
        guard nodes.values[place].children.isEmpty else { throw .notEmpty }
        guard nodes.values[place].kind != .rendered else { throw .noAuth }
        remove(at: path)
    }

    private mutating func setData(
        _ path: String, _ data: [UInt8]?, version: Int32, by caller: Caller, time: Int64
    ) throws(ErrorCode) -> Stat {
        guard Path.isValid(path) else { throw .badArguments }
        guard let place = nodes.index(forKey: path) else { throw .noNode }
        guard permits(nodes.values[place].access, .write, caller) else { throw .noAuth }
        guard version == -1 || nodes.values[place].version == version else { throw .badVersion }
        guard nodes.values[place].kind != .rendered else { throw .noAuth }
        let growth = (data?.count ?? 0) - nodes.values[place].dataBytes
        guard growth <= 0 || dataBytes + growth <= limits.dataBytes else { throw .quotaExceeded }
        if growth > 0 { try checkQuota(of: path, nodes: 0, bytes: growth) }
        write(data, to: path, time: time)
        return nodes[path]?.stat ?? nodes.values[place].stat
    }

    private mutating func setAccess(
        _ path: String, _ list: [AccessEntry], version: Int32, by caller: Caller
    ) throws(ErrorCode) -> Stat {
        let list = try list.settled(for: caller.identities)
        guard Path.isValid(path) else { throw .badArguments }
        guard let place = nodes.index(forKey: path) else { throw .noNode }
        guard permits(nodes.values[place].access, .admin, caller) else { throw .noAuth }
        guard version == -1 || nodes.values[place].aversion == version else { throw .badVersion }
        guard nodes.values[place].kind != .rendered else { throw .noAuth }
        let number = access.number(of: list)
        let zxid = zxid
        modify(path, isWhole: true) { node in
            node.access = number
            node.aversion &+= 1
            node.changedZxid = zxid
        }
        return nodes[path]?.stat ?? nodes.values[place].stat
    }
}
