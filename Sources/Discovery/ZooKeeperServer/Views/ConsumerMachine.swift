// Which sessions look at which directories of instances, and what each is known to have taken in.

import Catalogue

/// What follows for the catalogue's subscriptions.
enum ConsumerAction: Hashable, Sendable {
    case subscribe(session: Int64, ServiceName)
    case unsubscribe(session: Int64, ServiceName)
    case acknowledge(session: Int64, ServiceName)
}

/// The pure part of knowing ZooKeeper's consumers. The protocol has no acknowledgement: whoever lists a directory again
/// after it was told of a change has taken it in; whoever has a lasting watch has when the event is handed over.
struct ConsumerMachine: Sendable {
    /// A consumer with a one-shot watch that was told and does not come back for so long no longer looks.
    static let patienceMilliseconds: Int64 = 10_000

    private struct Look: Hashable, Sendable {
        var isLasting: Bool
        /// When it was told and has not listed again since.
        var toldMilliseconds: Int64?
    }

    private var looks: [String: [Int64: Look]] = [:]
    private var directories: [Int64: Set<String>] = [:]
    private var services: [String: Set<ServiceName>] = [:]

    func services(at directory: String) -> Set<ServiceName> { services[directory] ?? [] }
    func isWatched(_ directory: String) -> Bool { looks[directory] != nil }

    /// A service is shown in a directory.
    mutating func shown(_ service: ServiceName, at directory: String) -> [ConsumerAction] {
        guard services[directory, default: []].insert(service).inserted else { return [] }
        return (looks[directory] ?? [:]).keys.sorted().map { .subscribe(session: $0, service) }
    }

    /// A session listed a directory, and looks on when it left a watch.
    mutating func listed(_ directory: String, by session: Int64, keepsWatch: Bool) -> [ConsumerAction] {
        let known = services(at: directory).sorted()
        guard let look = looks[directory]?[session] else {
            return keepsWatch ? watched(directory, by: session, isLasting: false) : []
        }
        let acknowledged = known.map { ConsumerAction.acknowledge(session: session, $0) }
        if keepsWatch || look.isLasting || look.toldMilliseconds == nil {
            looks[directory]?[session]?.toldMilliseconds = nil
            return acknowledged
        }
        return acknowledged + unwatched(directory, by: session)
    }

    mutating func watched(_ directory: String, by session: Int64, isLasting: Bool) -> [ConsumerAction] {
        let isNew = looks[directory]?[session] == nil
        let wasLasting = looks[directory]?[session]?.isLasting ?? false
        looks[directory, default: [:]][session] = Look(isLasting: isLasting || wasLasting)
        directories[session, default: []].insert(directory)
        return isNew ? services(at: directory).sorted().map { .subscribe(session: session, $0) } : []
    }

    mutating func unwatched(_ directory: String, by session: Int64) -> [ConsumerAction] {
        guard looks[directory]?.removeValue(forKey: session) != nil else { return [] }
        if looks[directory]?.isEmpty == true { looks[directory] = nil }
        directories[session]?.remove(directory)
        if directories[session]?.isEmpty == true { directories[session] = nil }
        return services(at: directory).sorted().map { .unsubscribe(session: session, $0) }
    }

    mutating func disconnected(_ session: Int64) -> [ConsumerAction] {
        (directories[session] ?? []).sorted().flatMap { unwatched($0, by: session) }
    }

    /// Something in the directory changed, and its watches have fired.
    mutating func told(_ directory: String, now: Int64) {
        for (session, look) in looks[directory] ?? [:] where !look.isLasting && look.toldMilliseconds == nil {
            looks[directory]?[session]?.toldMilliseconds = now
        }
    }

    /// The sessions that look at a directory, and which of them have seen all that it shows.
    func lookers(at directory: String) -> (all: [Int64], upToDate: [Int64]) {
        let looks = looks[directory] ?? [:]
        return (looks.keys.sorted(), looks.filter { $0.value.toldMilliseconds == nil }.keys.sorted())
    }

    mutating func timePassed(now: Int64) -> [ConsumerAction] {
        var gone: [(String, Int64)] = []
        for (directory, sessions) in looks {
            for (session, look) in sessions {
                if let told = look.toldMilliseconds, told + Self.patienceMilliseconds < now {
                    gone.append((directory, session))
                }
            }
        }
        return gone.flatMap { unwatched($0.0, by: $0.1) }
    }
}
