// Watches: set, found, removed, set again after a reconnection, and told.

import NIOCore

extension Keeper {
    func addWatch(_ mode: WatchModes, _ path: String, _ connection: Connection) throws(ErrorCode) {
        guard watches.added(mode, at: path, session: connection.session) else { throw .quotaExceeded }
    }

    func answerAddWatch(_ path: String, _ mode: Int32, _ xid: Int32, _ connection: Connection) {
        do throws(ErrorCode) {
            guard Path.isValid(path), let mode = Self.modes[mode] else { throw .badArguments }
            try addWatch(mode, path, connection)
            views?.watched(path, by: connection.session, isLasting: true)
            answer(xid, connection, after: tree.zxid) { $0.writeJute(Int32(0)) }
        } catch {
            fail(xid, connection, error)
        }
    }

    /// org.apache.zookeeper.AddWatchMode.
    private static let modes: [Int32: WatchModes] = [0: .persistent, 1: .recursive]

    /// The kinds of org.apache.zookeeper.Watcher.WatcherType; before 3.9 lasting watches count as all of the first
    /// three.
    private static let kinds: [Int32: (found: WatchModes, removed: WatchModes)] = [
        1: ([.children, .persistent, .recursive], [.children]), 2: ([.data, .persistent, .recursive], [.data]),
        3: ([.data, .children, .persistent, .recursive], [.data, .children, .persistent, .recursive]),
        4: ([.persistent], [.persistent]), 5: ([.recursive], [.recursive]),
    ]

    func answerFindWatch(_ path: String, _ kind: Int32, _ removes: Bool, _ xid: Int32, _ connection: Connection) {
        guard Path.isValid(path), let kind = Self.kinds[kind] else { return fail(xid, connection, .badArguments) }
        let modes = watches.modes(at: path, session: connection.session)
        guard !modes.isDisjoint(with: kind.found) else { return fail(xid, connection, .noWatcher) }
        if removes {
            watches.removed(kind.removed, at: path, session: connection.session)
            views?.unwatched(path, by: connection.session)
        }
        answer(xid, connection, after: 0)
    }

    /// A client that is back says what it watched and what it saw last; what happened since is told at once.
    func answerSetWatches(_ list: WatchList, _ xid: Int32, _ connection: Connection) {
        let paths = list.data + list.exist + list.child + list.persistent + list.recursive
        guard paths.allSatisfy(Path.isValid) else { return fail(xid, connection, .badArguments) }
        do throws(ErrorCode) {
            for path in list.data {
                guard let node = tree.nodes[path] else { tell(connection, .deleted, path); continue }
                if node.mzxid > list.relativeZxid {
                    tell(connection, .dataChanged, path)
                } else {
                    try addWatch(.data, path, connection)
                }
            }
            for path in list.exist {
                if tree.nodes[path] != nil {
                    tell(connection, .created, path)
                } else {
                    try addWatch(.data, path, connection)
                }
            }
            for path in list.child {
                guard let node = tree.nodes[path] else { tell(connection, .deleted, path); continue }
                if node.pzxid > list.relativeZxid {
                    tell(connection, .childrenChanged, path)
                } else {
                    try addWatch(.children, path, connection)
                    views?.watched(path, by: connection.session, isLasting: false)
                }
            }
            for path in list.persistent + list.recursive {
                views?.watched(path, by: connection.session, isLasting: true)
            }
            for path in list.persistent { try addWatch(.persistent, path, connection) }
            for path in list.recursive { try addWatch(.recursive, path, connection) }
            answer(xid, connection, after: tree.zxid)
        } catch {
            fail(xid, connection, error)
        }
    }

    // MARK: Telling

    /// Tells the watchers of what happened in the tree.
    func tell(_ events: [TreeEvent]) {
        guard watches.count > 0 else { return }
        for event in events {
            let kind: WatchEvent =
                switch event.kind {
                case .created: .created
                case .deleted: .deleted
                case .dataChanged: .dataChanged
                }
            tell(kind, event.path, event.access, event.zxid)
            if event.kind != .dataChanged {
                tell(.childrenChanged, Path.parent(event.path), event.parentAccess, event.zxid)
            }
        }
    }

    /// Whoever may not read a znode is not told of it either (CVE-2024-23944).
    private func tell(_ event: WatchEvent, _ path: String, _ access: AccessTable.Number, _ zxid: Int64) {
        for session in watches.happened(event, at: path) {
            guard let number = sessions.connection(of: session), let connection = connections[number] else { continue }
            guard tree.permits(access, .read, connection.caller) else { continue }
            tell(connection, event, path, after: zxid)
        }
    }

    private func tell(_ connection: Connection, _ event: WatchEvent, _ path: String, after zxid: Int64? = nil) {
        send(to: connection, after: zxid ?? tree.zxid) { bytes, _ in
            bytes.writeMultipleIntegers(Int32(-1), Int64(-1), Int32(0))
            bytes.writeMultipleIntegers(event.rawValue, Self.connected)
            bytes.writeJute(path)
        }
    }

    /// org.apache.zookeeper.Watcher.Event.KeeperState.SyncConnected.
    private static let connected: Int32 = 3
}
