// What the platform itself does with the tree: shows instances, mirrors tables, ends what is over; and what goes to
// disk.

extension TreeMachine {
    /// Makes a directory that a view needs, and what is above it, as containers: they go when they have emptied.
    mutating func makeDirectory(_ path: String, time: Int64) {
        guard nodes[path] == nil, Path.isValid(path), path != "/" else { return }
        makeDirectory(Path.parent(path), time: time)
        guard nodes[Path.parent(path)]?.kind.isEphemeral == false else { return }
        zxid += 1
        add(newNode(access: AccessTable.open, kind: .container, data: [], time: time), at: path)
    }

    /// Shows an instance as a znode. False where a client's own stands, or where none can be.
    @discardableResult
    mutating func render(_ path: String, _ data: [UInt8], time: Int64) -> Bool {
        if let node = nodes[path] {
            guard node.kind == .rendered else { return false }
            guard node.data != data else { return true }
            zxid += 1
            write(data, to: path, time: time)
            return true
        }
        guard Path.isValid(path), path != "/", nodes.count < limits.nodes else { return false }
        makeDirectory(Path.parent(path), time: time)
        guard nodes[Path.parent(path)]?.kind.isEphemeral == false else { return false }
        zxid += 1
        let number = access.number(of: AccessEntry.readOnly)
        add(newNode(access: number, kind: .rendered, data: data, time: time), at: path)
        return true
    }

    /// Makes an ordinary znode hold this, or with nil be gone.
    mutating func mirror(_ path: String, _ data: [UInt8]?, time: Int64) {
        guard let data else {
            guard nodes[path]?.children.isEmpty == true else { return }
            zxid += 1
            return remove(at: path)
        }
        if let node = nodes[path] {
            guard node.data != data else { return }
            zxid += 1
            return write(data, to: path, time: time)
        }
        guard Path.isValid(path), path != "/" else { return }
        makeDirectory(Path.parent(path), time: time)
        guard nodes[Path.parent(path)]?.kind.isEphemeral == false else { return }
        zxid += 1
        add(newNode(access: AccessTable.open, kind: .persistent, data: data, time: time), at: path)
    }

    /// Takes a znode of a view away, whoever wrote it.
    mutating func hide(_ path: String) {
        guard let node = nodes[path], node.kind.isEphemeral, node.children.isEmpty else { return }
        zxid += 1
        remove(at: path)
    }

    /// Deletes containers that have been empty for a while and nodes whose time is up.
    mutating func timePassed(_ time: Int64, containerPatience: Int64) {
        for path in reapable {
            guard let node = nodes[path], node.children.isEmpty else {
                emptySince[path] = nil
                continue
            }
            switch node.kind {
            case .ttl(let milliseconds):
                guard node.mtime + milliseconds <= time else { continue }
            case .container:
                guard node.creations > 0 else { continue }
                guard let since = emptySince[path] else {
                    emptySince[path] = time
                    continue
                }
                guard since + containerPatience <= time else { continue }
            case .persistent, .ephemeral, .rendered: continue
            }
            zxid += 1
            remove(at: path)
        }
    }
}

extension TreeMachine {
    /// Takes the events since the last call, in order.
    mutating func drainEvents() -> [TreeEvent] {
        guard !events.isEmpty else { return [] }
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    /// Takes what has to be written to disk since the last call.
    mutating func drainDirty() -> TreeRows {
        var rows = TreeRows()
        for (id, entry) in dirty {
            guard let node = nodes[entry.path], node.id == id, node.kind != .rendered else {
                rows.removed.append(id)
                continue
            }
            if entry.isWhole {
                rows.nodes.append((entry.path, node, access[node.access]))
            }
            rows.directories.append((id, node.creations, node.pzxid, node.changedZxid))
        }
        dirty.removeAll(keepingCapacity: true)
        return rows
    }
}

/// Rows of the tree for the disk.
struct TreeRows: Sendable {
    var nodes: [(path: String, node: Node, access: [AccessEntry])] = []
    var directories: [(id: Int64, creations: Int32, pzxid: Int64, changedZxid: Int64)] = []
    var removed: [Int64] = []
}
