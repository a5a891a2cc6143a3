// Who watches which path, how, and who is to be told of what happens there.

/// A kind of event, in the client's numbers (org.apache.zookeeper.Watcher.Event.EventType).
enum WatchEvent: Int32, Hashable, Sendable {
    case created = 1, deleted = 2, dataChanged = 3, childrenChanged = 4
}

/// How a session watches a path; several may hold at once.
struct WatchModes: OptionSet, Hashable, Sendable {
    let rawValue: UInt8
    /// Told once of creation, change and deletion: set by exists and getData.
    static let data = WatchModes(rawValue: 1)
    /// Told once of children and deletion: set by getChildren.
    static let children = WatchModes(rawValue: 2)
    /// Told of everything here, until removed.
    static let persistent = WatchModes(rawValue: 4)
    /// Told of everything here and below, but not that children changed, until removed.
    static let recursive = WatchModes(rawValue: 8)
}

/// The watches of all sessions with a connection; they end with it, and the client sets them again when it is back.
struct WatchMachine: Sendable {
    private var watchers: [String: [Int64: WatchModes]] = [:]
    private var paths: [Int64: Set<String>] = [:]
    /// Recursive watches: without any, nobody has to look at the paths above.
    private var recursiveCount = 0
    private(set) var count = 0
    private let limit: Int

    init(limits: Limits = Limits()) { limit = limits.sessionWatches }

    var sessionCount: Int { paths.count }
    var pathCount: Int { watchers.count }

    /// False when the session watches too much.
    @discardableResult
    mutating func added(_ mode: WatchModes, at path: String, session: Int64) -> Bool {
        let before = watchers[path]?[session] ?? []
        if before.isSuperset(of: mode) { return true }
        guard before.isEmpty == false || (paths[session]?.count ?? 0) < limit else { return false }
        watchers[path, default: [:]][session] = before.union(mode)
        if mode.contains(.recursive), !before.contains(.recursive) { recursiveCount += 1 }
        if before.isEmpty {
            paths[session, default: []].insert(path)
            count += 1
        }
        return true
    }

    func modes(at path: String, session: Int64) -> WatchModes { watchers[path]?[session] ?? [] }

    mutating func removed(_ modes: WatchModes, at path: String, session: Int64) {
        guard let before = watchers[path]?[session] else { return }
        let after = before.subtracting(modes)
        if before.contains(.recursive), !after.contains(.recursive) { recursiveCount -= 1 }
        guard after.isEmpty else {
            watchers[path]?[session] = after
            return
        }
        watchers[path]?[session] = nil
        if watchers[path]?.isEmpty == true { watchers[path] = nil }
        paths[session]?.remove(path)
        if paths[session]?.isEmpty == true { paths[session] = nil }
        count -= 1
    }

    mutating func disconnected(_ session: Int64) {
        for path in paths[session] ?? [] {
            removed([.data, .children, .persistent, .recursive], at: path, session: session)
        }
    }

    /// Something happened to a path; returns whom to tell, once each. One-shot watches that it fires are gone.
    mutating func happened(_ event: WatchEvent, at path: String) -> [Int64] {
        var told: [Int64] = []
        if let here = watchers[path] {
            let firing: WatchModes =
                switch event {
                case .created, .dataChanged: [.data]
                case .deleted: [.data, .children]
                case .childrenChanged: [.children]
                }
            for (session, modes) in here {
                let isRecursive = modes.contains(.recursive) && event != .childrenChanged
                let fired = modes.intersection(firing)
                guard isRecursive || modes.contains(.persistent) || !fired.isEmpty else { continue }
                told.append(session)
                if !fired.isEmpty { removed(fired, at: path, session: session) }
            }
        }
        guard recursiveCount > 0, event != .childrenChanged, path != "/" else { return told }
        var above = path
        while above != "/" {
            above = Path.parent(above)
            for (session, modes) in watchers[above] ?? [:] where modes.contains(.recursive) {
                if !told.contains(session) { told.append(session) }
            }
        }
        return told
    }

    /// The paths that a session watches, sorted.
    func paths(of session: Int64) -> [String] { (paths[session] ?? []).sorted() }
}
