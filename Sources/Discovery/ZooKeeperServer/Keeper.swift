// The owner of everything: znodes, sessions and watches change here, on one event loop, and go to disk from here.

import Catalogue
import Logging
import NIOCore
import Objects
import SQLite

/// Serves every connection. All of it runs on one event loop, so nothing is locked and no request changes threads; only
/// commits go to a thread of their own, all that came meanwhile together.
///
/// A change is made at once and told when it is on disk. A read waits for the disk only when it saw such a change.
final class Keeper {
    let limits: Limits
    let loop: any EventLoop
    let logger: Logger
    private let disk: any EventLoop
    private let file: StateFile
    /// Fails when nothing can be promised any more.
    private let failure: EventLoopPromise<Void>

    var tree: TreeMachine
    var sessions: SessionMachine
    var watches: WatchMachine
    var views: CatalogueViews?
    var connections: [Int: Connection] = [:]
    var counters = Counters()
    /// Where others read what `mntr` tells.
    var board: MonitorBoard?
    var partialBytes = 0
    private(set) var durableZxid: Int64
    var sessionsToStore: [Int64: Session] = [:]
    var sessionsToRemove: [Int64] = []
    private var waiting: [Connection] = []
    private var touched: [Connection] = []
    private var isCommitting = false
    private var isCommitDue = false
    private var nextConnection = 1
    /// Set when the service ends; succeeds when the disk rests.
    private var stopped: EventLoopPromise<Void>?
    var random = SystemRandomNumberGenerator()

    /// How long a disk that is full is waited for before a commit is tried again.
    static let diskPatience: TimeAmount = .seconds(1)
    /// Containers are deleted when they have been empty for so long (ZooKeeper looks once a minute).
    static let containerPatienceMilliseconds: Int64 = 60_000

    init(
        file: StateFile, state: StoredState, loop: any EventLoop, disk: any EventLoop, limits: Limits, logger: Logger,
        failure: EventLoopPromise<Void>
    ) {
        self.file = file
        self.loop = loop
        self.disk = disk
        self.limits = limits
        self.logger = logger
        self.failure = failure
        tree = TreeMachine(nodes: state.nodes, access: state.access, zxid: state.zxid, limits: limits)
        sessions = SessionMachine(
            stored: state.sessions, milliseconds: Int64(WallClock.milliseconds()), now: Self.now, limits: limits)
        watches = WatchMachine(limits: limits)
        durableZxid = state.zxid
        for session in tree.ephemerals.keys where !sessions.isAlive(session) { tree.sessionEnded(session) }
        if state.nodes.isEmpty { tree.sessionBegan() }  // the first nodes are on disk before anything is answered
    }

    static var now: Int64 { Int64(NIODeadline.now().uptimeNanoseconds / 1_000_000) }
    static var time: Int64 { Int64(WallClock.milliseconds()) }

    // MARK: Connections

    /// Nil when there are too many.
    func opened(_ channel: any Channel) -> Connection? {
        guard connections.count < limits.connections else { return nil }
        let address = channel.remoteAddress?.ipAddress ?? "0.0.0.0"
        let connection = Connection(number: nextConnection, channel: channel, address: address, now: Self.now)
        nextConnection += 1
        connections[connection.number] = connection
        return connection
    }

    func closed(_ connection: Connection) {
        connections[connection.number] = nil
        guard connection.session != 0 else { return }
        if sessions.connection(of: connection.session) == connection.number {
            watches.disconnected(connection.session)
            views?.disconnected(connection.session)
        }
        sessions.disconnected(connection.session, connection: connection.number)
    }

    func refused(_ connection: Connection, _ problem: WireProblem) {
        logger.debug(
            "zookeeper connection closed",
            metadata: ["client": .string(connection.address), "sent": .string("\(problem)")])
        counters.refused += 1
        close(connection)
    }

    func overflowed(_ connection: Connection) {
        logger.warning(
            "zookeeper connection closed: its client does not read", metadata: ["client": .string(connection.address)])
        close(connection)
    }

    func asked(_ word: FourLetterWord, _ connection: Connection) {
        connection.outbox.add(text: answer(to: word))
        leave(connection)
        flush()  // at once, as the client may have closed its half already
    }

    /// Closes when everything has been sent.
    func leave(_ connection: Connection) {
        connection.isLeaving = true
        touch(connection)
    }

    func close(_ connection: Connection) {
        connection.isLeaving = true
        connection.channel.close(promise: nil)
    }

    func received(_ frame: ByteBuffer, from connection: Connection) throws(WireProblem) {
        counters.received += 1
        connection.received += 1
        var reader = JuteReader(frame)
        if connection.session == 0 {
            greeted(try Greeting(&reader), connection)
        } else {
            guard sessions.isAlive(connection.session) else { return close(connection) }
            sessions.heard(connection.session, now: Self.now)
            let xid = try reader.int()
            let opcode = try reader.int()
            answer(try Request(&reader, opcode: opcode, limits: limits), xid: xid, opcode: opcode, connection)
        }
        if connection.outbox.heldCount > limits.waitingAnswers, !connection.isPaused { pause(connection, true) }
    }

    private func pause(_ connection: Connection, _ isPaused: Bool) {
        connection.isPaused = isPaused
        try? connection.channel.syncOptions?.setOption(.autoRead, value: !isPaused)
    }

    // MARK: Time

    func timePassed() {
        let now = Self.now
        for (session, connection) in sessions.timePassed(now: now) {
            logger.debug("zookeeper session expired", metadata: ["session": .string(String(session, radix: 16))])
            counters.expired += 1
            end(session)
            if let connection, let open = connections[connection] { close(open) }
        }
        for connection in connections.values
        where connection.session == 0 && connection.openedMilliseconds + Int64(limits.greetingMilliseconds) < now {
            close(connection)
        }
        views?.timePassed(now: now)
        board?.note(facts)
        tree.timePassed(Self.time, containerPatience: Self.containerPatienceMilliseconds)
        changed()
        flush()
    }

    // MARK: Sending

    func send(to connection: Connection, after zxid: Int64, _ body: (inout ByteBuffer, Int64) -> Void) {
        counters.sent += 1
        connection.sent += 1
        connection.outbox.add(after: zxid, durable: durableZxid, body)
        if connection.outbox.isHolding {
            guard !connection.isWaiting else { return }
            connection.isWaiting = true
            waiting.append(connection)
        } else {
            touch(connection)
        }
    }

    private func touch(_ connection: Connection) {
        guard !connection.isTouched else { return }
        connection.isTouched = true
        touched.append(connection)
    }

    /// Sends what may be sent.
    func flush() {
        guard !touched.isEmpty else { return }
        let connections = touched
        touched.removeAll(keepingCapacity: true)
        for connection in connections {
            connection.isTouched = false
            let isLast = connection.isLeaving && !connection.outbox.isHolding
            if let bytes = connection.outbox.takeReady() {
                let written = connection.channel.writeAndFlush(bytes)
                if isLast { written.whenComplete { [channel = connection.channel] _ in channel.close(promise: nil) } }
            } else if isLast {
                connection.channel.close(promise: nil)
            }
        }
    }

    // MARK: The disk

    /// Tells watchers and views what has changed, and sees to it that it gets to disk.
    func changed() {
        let events = tree.drainEvents()
        if !events.isEmpty {
            tell(events)
            views?.changed(events, in: self)
        }
        guard !isCommitting, !isCommitDue, tree.zxid > durableZxid else { return }
        isCommitDue = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.commit() }
    }

    /// Closes every connection and begins no further commit. The promise succeeds when the last one is over.
    func stop(_ promise: EventLoopPromise<Void>) {
        stopped = promise
        for connection in connections.values { close(connection) }
        if !isCommitting { promise.succeed() }
    }

    private func commit() {
        isCommitDue = false
        guard stopped == nil else { return }
        isCommitting = true
        let batch = Batch(
            zxid: tree.zxid, tree: tree.drainDirty(), sessions: Array(sessionsToStore.values),
            endedSessions: sessionsToRemove, nodeCount: tree.storedCount, sessionCount: sessions.count)
        sessionsToStore.removeAll(keepingCapacity: true)
        sessionsToRemove.removeAll(keepingCapacity: true)
        write(batch)
    }

    private func write(_ batch: Batch) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let file = file
        let loop = loop
        disk.execute {
            do throws(DatabaseFailure) {
                try file.commit(batch)
                loop.execute { bound.value.committed(batch.zxid) }
            } catch {
                loop.execute { bound.value.failed(batch, error) }
            }
        }
    }

    private func committed(_ zxid: Int64) {
        isCommitting = false
        if let stopped { return stopped.succeed() }
        counters.commits += 1
        durableZxid = zxid
        let connections = waiting
        waiting.removeAll(keepingCapacity: true)
        for connection in connections {
            connection.outbox.settled(zxid)
            if connection.outbox.hasReady || connection.isLeaving { touch(connection) }
            connection.isWaiting = connection.outbox.isHolding
            if connection.isWaiting { waiting.append(connection) }
            if connection.isPaused, connection.outbox.heldCount < limits.waitingAnswers / 2 { pause(connection, false) }
        }
        changed()
        flush()
    }

    /// A full disk is waited for; nothing is answered meanwhile that rests on what could not be written.
    private func failed(_ batch: Batch, _ error: DatabaseFailure) {
        if let stopped { return stopped.succeed() }
        guard error.isDiskFull else { return failure.fail(error.problem) }
        logger.error("zookeeper changes wait: \(error.problem.message)")
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: Self.diskPatience) { bound.value.write(batch) }
    }
}

/// What the four-letter words tell.
struct Counters: Sendable {
    var received = 0
    var sent = 0
    var commits = 0
    var expired = 0
    var refused = 0
}
