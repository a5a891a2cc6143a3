// The sessions of clients: made, resumed, kept alive, and ended when they have been silent for too long.

/// A client's session, which outlives its connections and this process.
struct Session: Hashable, Sendable {
    let id: Int64
    /// Whoever knows it may resume the session; 16 bytes.
    let password: [UInt8]
    var timeoutMilliseconds: Int32
}

/// The pure part of the sessions. `now` is a clock in milliseconds that never goes back.
struct SessionMachine: Sendable {
    static let tickMilliseconds: Int32 = 2_000
    /// Two ticks, as ZooKeeper's default.
    static let shortestTimeoutMilliseconds: Int32 = 2 * tickMilliseconds
    /// ZooKeeper's default is 20 ticks (40 s). Dubbo asks for 60 s, and reckons with what it asked for.
    static let longestTimeoutMilliseconds: Int32 = 30 * tickMilliseconds
    static let passwordBytes = 16

    private struct Entry: Sendable {
        var session: Session
        var deadline: Int64
        /// Nil while the client is away.
        var connection: Int?
    }

    enum Resumption: Hashable, Sendable {
        /// `displaced` is the connection that had the session so far.
        case resumed(Session, displaced: Int?)
        case unknown
    }

    private let limit: Int
    private var entries: [Int64: Entry] = [:]
    private var nextID: Int64
    private var lastLook: Int64

    /// `stored` sessions have as much time to come back as they may be silent. `milliseconds` is the time of day.
    init(stored: [Session] = [], milliseconds: Int64, now: Int64, limits: Limits = Limits()) {
        limit = limits.sessions
        lastLook = now
        // The server's number (1) in the first byte, then the time, as in ZooKeeper; no kind of owner begins with a 1.
        let first = Int64(bitPattern: (UInt64(bitPattern: milliseconds) << 24) >> 8) | (1 << 56)
        nextID = max(first, (stored.map(\.id).max() ?? 0) + 1)
        for session in stored {
            entries[session.id] = Entry(session: session, deadline: now + Int64(session.timeoutMilliseconds))
        }
    }

    var count: Int { entries.count }
    var sessions: [Session] { entries.values.map(\.session).sorted { $0.id < $1.id } }

    func isAlive(_ id: Int64) -> Bool { entries[id] != nil }
    func connection(of id: Int64) -> Int? { entries[id]?.connection }
    func timeout(of id: Int64) -> Int32? { entries[id]?.session.timeoutMilliseconds }

    static func negotiated(_ wanted: Int32) -> Int32 {
        min(max(wanted, shortestTimeoutMilliseconds), longestTimeoutMilliseconds)
    }

    /// A client without a session came. Nil when there are too many.
    mutating func began(wanting timeout: Int32, password: [UInt8], connection: Int, now: Int64) -> Session? {
        guard entries.count < limit else { return nil }
        let session = Session(id: nextID, password: password, timeoutMilliseconds: Self.negotiated(timeout))
        nextID += 1
        entries[session.id] = Entry(
            session: session, deadline: now + Int64(session.timeoutMilliseconds), connection: connection)
        return session
    }

    /// A client came back with its session.
    mutating func returned(
        _ id: Int64, password: [UInt8], wanting timeout: Int32, connection: Int, now: Int64
    ) -> Resumption {
        guard var entry = entries[id], entry.session.password == password else { return .unknown }
        let displaced = entry.connection
        entry.session.timeoutMilliseconds = Self.negotiated(timeout)
        entry.connection = connection
        entry.deadline = now + Int64(entry.session.timeoutMilliseconds)
        entries[id] = entry
        return .resumed(entry.session, displaced: displaced == connection ? nil : displaced)
    }

    /// Something came from the client.
    mutating func heard(_ id: Int64, now: Int64) {
        guard let place = entries.index(forKey: id) else { return }
        entries.values[place].deadline = now + Int64(entries.values[place].session.timeoutMilliseconds)
    }

    /// A connection ended; its session goes on for as long as it may be silent.
    mutating func disconnected(_ id: Int64, connection: Int) {
        guard entries[id]?.connection == connection else { return }
        entries[id]?.connection = nil
    }

    /// A client ended its session.
    mutating func ended(_ id: Int64) { entries[id] = nil }

    /// Time passed: the sessions that are over now, oldest first, with the connections that they had.
    ///
    /// When this process itself was held up, what clients sent meanwhile is still unread, so everybody gets that time.
    mutating func timePassed(now: Int64) -> [(id: Int64, connection: Int?)] {
        let missed = max(0, now - lastLook - Self.longestGapMilliseconds)
        lastLook = now
        var over: [(id: Int64, connection: Int?)] = []
        for (id, entry) in entries {
            if missed > 0 { entries[id]?.deadline += missed }
            if entry.deadline + missed < now { over.append((id, entry.connection)) }
        }
        for each in over { entries[each.id] = nil }
        return over.sorted { $0.id < $1.id }
    }

    /// Looks further apart than this mean that the process was held up.
    static let longestGapMilliseconds: Int64 = 1_500
    /// How often sessions are looked through.
    static let lookMilliseconds: Int64 = 500
}
