// The room's file: znodes and sessions in an SQLite database in WAL mode, synced at every commit.

import Glibc
import Objects
import SQLite
import Synchronization

/// The durable state, open for writing by this process alone (the platform's lock on its directory sees to that).
final class StateFile: Sendable {
    /// "mgzk", by which file(1) and this program know the database.
    static let applicationID: Int64 = 0x6D67_7A6B
    static let formatVersion: Int64 = 1
    static let name = "zookeeper.db"
    /// What to do about a damaged file.
    static let remedy = "restore a backup, or move its directory away to begin with an empty tree"
    /// The log is brought into the database when it has this many pages of 4 KiB.
    static let logPages = 4_096

    private let writer: Mutex<Writer?>

    /// Opens or makes the file in a directory, and reads all of it. A file that is damaged, foreign or of a newer
    /// format is refused and left as it is.
    static func open(in directory: String) throws(Problem) -> (file: StateFile, state: StoredState) {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw Problem(.forbidden, "cannot make \(directory): \(String(cString: strerror(errno)))")
        }
        let path = directory + "/" + name
        let isThere = access(path, F_OK) == 0
        let state = isThere ? try read(path) : StoredState()
        do throws(DatabaseFailure) {
            return (StateFile(try Writer(path, isNew: !isThere)), state)
        } catch {
            throw error.problem
        }
    }

    /// What a directory holds, without changing anything; also while a platform runs on it. Nil when there is no file.
    static func contents(of directory: String) throws(Problem) -> StoredState? {
        let path = directory + "/" + name
        return access(path, F_OK) == 0 ? try read(path) : nil
    }

    /// Makes a directory with a file that holds this state.
    static func make(in directory: String, holding state: StoredState) throws(Problem) {
        let file = try open(in: directory).file
        defer { file.close() }
        var rows = TreeRows()
        for (path, node) in state.nodes {
            rows.nodes.append((path, node, state.access[node.access]))
            rows.directories.append((node.id, node.creations, node.pzxid, node.changedZxid))
        }
        do throws(DatabaseFailure) {
            try file.commit(
                Batch(
                    zxid: state.zxid, tree: rows, sessions: state.sessions, nodeCount: state.nodes.count,
                    sessionCount: state.sessions.count))
        } catch {
            throw error.problem
        }
    }

    private init(_ writer: consuming sending Writer) { self.writer = Mutex(writer) }

    deinit { close() }

    func close() {
        writer.withLock { writer in
            writer?.close()
            writer = nil
        }
    }

    /// Writes a batch as one transaction and syncs it. On failure nothing is written.
    func commit(_ batch: Batch) throws(DatabaseFailure) {
        try writer.withLock { writer throws(DatabaseFailure) in try writer?.commit(batch) }
    }

    // MARK: Reading

    private static func read(_ path: String) throws(Problem) -> StoredState {
        do throws(DatabaseFailure) {
            let database = try Database(
                opening: path, .reading(hasLog: access(path + "-wal", F_OK) == 0), remedy: remedy)
            defer { database.close() }
            guard try database.number("PRAGMA application_id") == applicationID else {
                throw DatabaseFailure(.damaged(path, "it is not a file of this program", remedy: remedy))
            }
            let version = try database.number("PRAGMA user_version")
            guard version <= formatVersion else {
                let words =
                    "\(path) has format \(version), and this program reads up to \(formatVersion): use the newer one"
                throw DatabaseFailure(Problem(.invalid, words))
            }
            try database.run("BEGIN")
            return try state(in: database, path)
        } catch {
            throw error.problem
        }
    }

    private static func state(in database: Database, _ path: String) throws(DatabaseFailure) -> StoredState {
        func damage(_ words: String) -> DatabaseFailure { DatabaseFailure(.damaged(path, words, remedy: remedy)) }
        var state = StoredState()
        let summary = try database.statement("SELECT zxid, nodes, sessions, checksum FROM state")
        defer { summary.finish() }
        guard try summary.step() else { return state }
        state.zxid = summary.number(0)
        guard RowSum.of(state.zxid, summary.number(1), summary.number(2), bytes: []) == summary.number(3) else {
            throw damage("its summary")
        }
        let nodes = try database.statement("SELECT * FROM node JOIN directory USING (id)")
        defer { nodes.finish() }
        while try nodes.step() {
            guard let (name, read) = NodeRow.read(nodes, into: &state.access) else { throw damage("a znode") }
            var node = read
            node.creations = Int32(truncatingIfNeeded: nodes.number(12))
            node.pzxid = nodes.number(13)
            node.changedZxid = nodes.number(14)
            guard RowSum.of(node.id, Int64(node.creations), node.pzxid, node.changedZxid, bytes: []) == nodes.number(15)
            else { throw damage("a znode's children") }
            state.nodes[name] = node
        }
        guard Int64(state.nodes.count) == summary.number(1) else { throw damage("znodes are missing") }
        for path in state.nodes.keys where path != "/" {
            guard Path.isValid(path), let parent = state.nodes.index(forKey: Path.parent(path)) else {
                throw damage("a znode without a parent")
            }
            state.nodes.values[parent].children.insert(Path.name(path))
        }
        let sessions = try database.statement("SELECT id, password, timeout, checksum FROM session")
        defer { sessions.finish() }
        while try sessions.step() {
            let session = Session(
                id: sessions.number(0), password: Array(sessions.bytes(1)),
                timeoutMilliseconds: Int32(truncatingIfNeeded: sessions.number(2)))
            guard session.checksum == sessions.number(3) else { throw damage("a session") }
            state.sessions.append(session)
        }
        guard Int64(state.sessions.count) == summary.number(2) else { throw damage("sessions are missing") }
        return state
    }
}

extension Session {
    fileprivate var checksum: Int64 { RowSum.of(id, Int64(timeoutMilliseconds), bytes: password) }
}

/// The open database with its statements.
private struct Writer {
    private let database: Database
    private let begin, commit, rollback: Statement
    private let putNode, putDirectory, removeNode, removeDirectory, putSession, removeSession, putState: Statement

    init(_ path: String, isNew: Bool) throws(DatabaseFailure) {
        if isNew { try Self.create(path) }
        database = try Database(opening: path, .writing, remedy: StateFile.remedy)
        do throws(DatabaseFailure) {
            try database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            try database.run("PRAGMA wal_autocheckpoint = \(StateFile.logPages)")
            begin = try database.statement("BEGIN IMMEDIATE")
            commit = try database.statement("COMMIT")
            rollback = try database.statement("ROLLBACK")
            putNode = try database.statement(NodeRow.upsert)
            putDirectory = try database.statement(
                "INSERT INTO directory VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE "
                    + "SET creations = ?2, pzxid = ?3, changed = ?4, checksum = ?5")
            removeNode = try database.statement("DELETE FROM node WHERE id = ?1")
            removeDirectory = try database.statement("DELETE FROM directory WHERE id = ?1")
            putSession = try database.statement("INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4)")
            removeSession = try database.statement("DELETE FROM session WHERE id = ?1")
            putState = try database.statement("INSERT OR REPLACE INTO state VALUES (1, ?1, ?2, ?3, ?4)")
        } catch {
            database.close()
            throw error
        }
    }

    /// Makes an empty file, whole or not at all.
    private static func create(_ path: String) throws(DatabaseFailure) {
        let new = path + ".new"
        for leftover in [new, new + "-wal", new + "-shm"] { unlink(leftover) }
        // SQLite gives the files that it keeps beside this one the same permissions.
        let descriptor = Glibc.open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let words = "cannot make \(new): \(String(cString: strerror(errno)))"
            throw DatabaseFailure(Problem(.forbidden, words))
        }
        Glibc.close(descriptor)
        let database = try Database(opening: new, .writing, remedy: StateFile.remedy)
        do throws(DatabaseFailure) {
            try database.run(schema)
        } catch {
            database.close()
            throw error
        }
        database.close()
        guard rename(new, path) == 0 else {
            let words = "cannot rename \(new): \(String(cString: strerror(errno)))"
            throw DatabaseFailure(Problem(.forbidden, words))
        }
    }

    private static let schema = """
        PRAGMA application_id = \(StateFile.applicationID); PRAGMA user_version = \(StateFile.formatVersion);
        BEGIN;
        CREATE TABLE node (
            id INTEGER PRIMARY KEY, path TEXT NOT NULL, data BLOB, access BLOB NOT NULL, owner INTEGER NOT NULL,
            czxid INTEGER NOT NULL, mzxid INTEGER NOT NULL, ctime INTEGER NOT NULL, mtime INTEGER NOT NULL,
            version INTEGER NOT NULL, aversion INTEGER NOT NULL, checksum INTEGER NOT NULL);
        CREATE TABLE directory (
            id INTEGER PRIMARY KEY, creations INTEGER NOT NULL, pzxid INTEGER NOT NULL, changed INTEGER NOT NULL,
            checksum INTEGER NOT NULL);
        CREATE TABLE session (
            id INTEGER PRIMARY KEY, password BLOB NOT NULL, timeout INTEGER NOT NULL, checksum INTEGER NOT NULL);
        CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1), zxid INTEGER NOT NULL, nodes INTEGER NOT NULL,
            sessions INTEGER NOT NULL, checksum INTEGER NOT NULL);
        COMMIT;
        """

    func commit(_ batch: Batch) throws(DatabaseFailure) {
        do throws(DatabaseFailure) {
            try begin.run()
            for id in batch.tree.removed {
                try removeNode.run(.number(id))
                try removeDirectory.run(.number(id))
            }
            for entry in batch.tree.nodes { try NodeRow.write(entry, with: putNode) }
            for (id, creations, pzxid, changed) in batch.tree.directories {
                let sum = RowSum.of(id, Int64(creations), pzxid, changed, bytes: [])
                try putDirectory.run(
                    .number(id), .number(Int64(creations)), .number(pzxid), .number(changed), .number(sum))
            }
            for id in batch.endedSessions { try removeSession.run(.number(id)) }
            for session in batch.sessions {
                try putSession.run(
                    .number(session.id), .bytes(session.password), .number(Int64(session.timeoutMilliseconds)),
                    .number(session.checksum))
            }
            let counts = (nodes: Int64(batch.nodeCount), sessions: Int64(batch.sessionCount))
            let sum = RowSum.of(batch.zxid, counts.nodes, counts.sessions, bytes: [])
            try putState.run(.number(batch.zxid), .number(counts.nodes), .number(counts.sessions), .number(sum))
            try commit.run()
        } catch {
            // Some failures have undone the transaction already.
            if database.isInTransaction { try? rollback.run() }
            throw error
        }
    }

    func close() {
        for each in [
            begin, commit, rollback, putNode, putDirectory, removeNode, removeDirectory, putSession, removeSession,
            putState,
        ] { each.finish() }
        database.close()
    }
}
