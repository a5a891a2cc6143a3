// The few ways in which the tree is changed; everything else is made of them, and what a multi undoes is known here.

extension TreeMachine {
    mutating func newNode(access: AccessTable.Number, kind: Node.Kind, data: [UInt8]?, time: Int64) -> Node {
        defer { nextID += 1 }
        return Node(
            id: nextID, data: data, access: access, kind: kind, czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time,
            mtime: time, changedZxid: zxid)
    }

    /// A new child of a parent that is there.
    mutating func add(_ node: Node, at path: String) {
        let parentPath = Path.parent(path)
        let name = Path.name(path)
        let zxid = zxid
        modify(parentPath, isWhole: false) { parent in
            parent.children.insert(name)
            parent.creations &+= 1
            parent.pzxid = zxid
            parent.changedZxid = zxid
        }
        insert(node, at: path)
        note(.created, path, node)
    }

    mutating func insert(_ node: Node, at path: String) {
        if journal != nil { record(path) }
        nodes[path] = node
        dataBytes += node.dataBytes
        if node.kind != .rendered { dirty[node.id] = (path, true) }
        index(node, at: path)
        countQuota(of: path, nodes: 1, bytes: node.dataBytes)
        if path.hasSuffix(QuotaTable.limitsSuffix) { readQuota(at: path) }
    }

    mutating func remove(at path: String) {
        if journal != nil { record(path) }
        guard let node = nodes.removeValue(forKey: path) else { return }
        dataBytes -= node.dataBytes
        if node.kind != .rendered { dirty[node.id] = (path, true) }
        unindex(node, at: path)
        let name = Path.name(path)
        let zxid = zxid
        modify(Path.parent(path), isWhole: false) { parent in
            parent.children.remove(name)
            parent.pzxid = zxid
            parent.changedZxid = zxid
        }
        countQuota(of: path, nodes: -1, bytes: -node.dataBytes)
        if path.hasSuffix(QuotaTable.limitsSuffix) { quotas.forget(path) }
        note(.deleted, path, node)
    }

    mutating func write(_ data: [UInt8]?, to path: String, time: Int64) {
        let zxid = zxid
        var growth = 0
        modify(path, isWhole: true) { node in
            growth = (data?.count ?? 0) - node.dataBytes
            node.data = data
            node.version &+= 1
            node.mzxid = zxid
            node.mtime = time
            node.changedZxid = zxid
        }
        dataBytes += growth
        countQuota(of: path, nodes: 0, bytes: growth)
        if path.hasSuffix(QuotaTable.limitsSuffix) { readQuota(at: path) }
        if let place = nodes.index(forKey: path) {
            let access = nodes.values[place].access
            let kind = nodes.values[place].kind
            events.append(
                TreeEvent(
                    kind: .dataChanged, path: path, nodeKind: kind, zxid: zxid, access: access, parentAccess: access))
        }
    }

    mutating func modify(_ path: String, isWhole: Bool, _ change: (inout Node) -> Void) {
        if journal != nil { record(path) }
        guard let place = nodes.index(forKey: path) else { return }
        change(&nodes.values[place])
        let id = nodes.values[place].id
        if isWhole || dirty[id] == nil { dirty[id] = (path, isWhole) }
    }

    mutating func note(_ kind: TreeEvent.Kind, _ path: String, _ node: Node) {
        let parent = nodes.index(forKey: Path.parent(path)).map { nodes.values[$0].access } ?? AccessTable.open
        events.append(
            TreeEvent(
                kind: kind, path: path, nodeKind: node.kind, zxid: zxid, access: node.access, parentAccess: parent))
    }

    mutating func index(_ node: Node, at path: String) {
        switch node.kind {
        case .ephemeral(let session): ephemerals[session, default: []].insert(path)
        case .container, .ttl: reapable.insert(path)
        case .rendered: renderedCount += 1
        case .persistent: break
        }
    }

    mutating func unindex(_ node: Node, at path: String) {
        switch node.kind {
        case .ephemeral(let session):
            ephemerals[session]?.remove(path)
            if ephemerals[session]?.isEmpty == true { ephemerals[session] = nil }
        case .container, .ttl:
            reapable.remove(path)
            emptySince[path] = nil
        case .rendered: renderedCount -= 1
        case .persistent: break
        }
    }

    mutating func record(_ path: String) {
        if journal?[path] == nil { journal?[path] = .some(nodes[path]) }
    }

    mutating func rollBack() {
        for (path, before) in journal ?? [:] {
            if let now = nodes.removeValue(forKey: path) {
                dataBytes -= now.dataBytes
                unindex(now, at: path)
                dirty[now.id] = (path, true)
            }
            guard let before else { continue }
            nodes[path] = before
            dataBytes += before.dataBytes
            index(before, at: path)
            dirty[before.id] = (path, true)
        }
        journal = nil
    }

    // MARK: Quotas

    func checkQuota(of path: String, nodes: Int, bytes: Int) throws(ErrorCode) {
        guard !quotas.isEmpty, !quotas.allows(path, nodes: nodes, bytes: bytes) else { return }
        throw .quotaExceeded
    }

    mutating func countQuota(of path: String, nodes count: Int, bytes: Int) {
        guard !quotas.isEmpty, let statistics = quotas.count(path, nodes: count, bytes: bytes) else { return }
        guard nodes[statistics.path] != nil else { return }
        modify(statistics.path, isWhole: true) { $0.data = statistics.data }
    }

    mutating func readQuota(at path: String) {
        guard let node = nodes[path] else { return }
        quotas.read(node.data ?? [], at: path) { limited in
            var usage = QuotaTable.Usage()
            for (path, node) in nodes where Path.isWithin(path, limited) {
                usage.nodes += 1
                usage.bytes += node.dataBytes
            }
            return usage
        }
    }
}
