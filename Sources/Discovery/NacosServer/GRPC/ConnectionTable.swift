// The connections that are set up: by TCP peer, by subscriber, and by what they look at.

import Catalogue
import Configurations
import GRPCServing
import Synchronization

final class ConnectionTable: Sendable {
    private struct State {
        var byPeer: [GRPCPeer: Connection] = [:]
        var bySubscriber: [SubscriberID: Connection] = [:]
        var subscribers = Onlookers<ServiceName>()
        var listeners = Onlookers<ConfigName>()
        var watchers = Onlookers<FuzzyWatchName>()

        func has(_ connection: Connection) -> Bool { bySubscriber[connection.subscriber] === connection }
    }

    /// Connections beyond this are refused.
    static let limit = 20_000

    private let state = Mutex(State())

    /// Adds a connection; a stream set up anew on the same TCP connection takes the old one's place. False when full.
    func add(_ connection: Connection) -> Bool {
        state.withLock { state in
            guard state.byPeer.count < Self.limit else { return false }
            state.byPeer[connection.peer] = connection
            state.bySubscriber[connection.subscriber] = connection
            return true
        }
    }

    func remove(_ connection: Connection) {
        let services = connection.selectedServices
        let items = connection.listenedItems
        let watches = connection.watchNames
        state.withLock { state in
            if state.byPeer[connection.peer] === connection { state.byPeer[connection.peer] = nil }
            state.bySubscriber[connection.subscriber] = nil
            for service in services { state.subscribers.remove(connection, from: service) }
            for item in items { state.listeners.remove(connection, from: item.name) }
            for watch in watches { state.watchers.remove(connection, from: watch) }
        }
    }

    func connection(from peer: GRPCPeer) -> Connection? { state.withLock { $0.byPeer[peer] } }
    func connection(of subscriber: SubscriberID) -> Connection? { state.withLock { $0.bySubscriber[subscriber] } }
    var all: [Connection] { state.withLock { Array($0.byPeer.values) } }
    var count: Int { state.withLock { $0.byPeer.count } }

    // MARK: Who looks at what

    // Each of these does nothing for a connection that has ended meanwhile.

    func subscribe(_ connection: Connection, to service: ServiceName) {
        state.withLock { if $0.has(connection) { $0.subscribers.add(connection, to: service) } }
    }

    func unsubscribe(_ connection: Connection, from service: ServiceName) {
        state.withLock { $0.subscribers.remove(connection, from: service) }
    }

    func subscribers(of service: ServiceName) -> [Connection] { state.withLock { $0.subscribers.of(service) } }

    func listen(_ connection: Connection, to item: ConfigName) {
        state.withLock { if $0.has(connection) { $0.listeners.add(connection, to: item) } }
    }

    func unlisten(_ connection: Connection, from item: ConfigName) {
        state.withLock { $0.listeners.remove(connection, from: item) }
    }

    func listeners(of item: ConfigName) -> [Connection] { state.withLock { $0.listeners.of(item) } }

    var listenedItems: [ConfigName] { state.withLock { $0.listeners.names } }

    func watch(_ connection: Connection, _ watch: FuzzyWatchName) {
        state.withLock { if $0.has(connection) { $0.watchers.add(connection, to: watch) } }
    }

    func unwatch(_ connection: Connection, _ watch: FuzzyWatchName) {
        state.withLock { $0.watchers.remove(connection, from: watch) }
    }

    /// The fuzzy watches that match, with their connections.
    func watchers(
        _ kind: FuzzyWatchName.Kind, namespace: String, group: String, name: String
    ) -> [(watch: FuzzyWatchName, connections: [Connection])] {
        state.withLock { state in
            state.watchers.names.compactMap { watch in
                guard watch.kind == kind, watch.pattern.matches(namespace: namespace, group: group, name: name) else {
                    return nil
                }
                return (watch, state.watchers.of(watch))
            }
        }
    }

    var hasWatchers: Bool { state.withLock { !$0.watchers.isEmpty } }
}

/// Which connections look at what goes by a name.
private struct Onlookers<Name: Hashable> {
    private var byName: [Name: [String: Connection]] = [:]

    var isEmpty: Bool { byName.isEmpty }
    var names: [Name] { Array(byName.keys) }

    func of(_ name: Name) -> [Connection] { byName[name].map { Array($0.values) } ?? [] }

    mutating func add(_ connection: Connection, to name: Name) {
        byName[name, default: [:]][connection.id] = connection
    }

    mutating func remove(_ connection: Connection, from name: Name) {
        byName[name]?[connection.id] = nil
        if byName[name]?.isEmpty == true { byName[name] = nil }
    }
}
