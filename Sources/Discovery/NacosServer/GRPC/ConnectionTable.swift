// The connections that are set up: by TCP peer, by subscriber, and by what they look at.

import Catalogue
import Configurations
import Synchronization

final class ConnectionTable: Sendable {
    private struct State {
        var byPeer: [String: Connection] = [:]
        var bySubscriber: [SubscriberID: Connection] = [:]
        var subscribers: [ServiceName: [String: Connection]] = [:]
        var listeners: [ConfigName: [String: Connection]] = [:]
        var watchers: [FuzzyWatchName: [String: Connection]] = [:]
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
            for service in services { Self.remove(connection, service, &state.subscribers) }
            for item in items { Self.remove(connection, item.name, &state.listeners) }
            for watch in watches { Self.remove(connection, watch, &state.watchers) }
        }
    }

    func connection(from peer: String) -> Connection? { state.withLock { $0.byPeer[peer] } }
    func connection(of subscriber: SubscriberID) -> Connection? { state.withLock { $0.bySubscriber[subscriber] } }
    var all: [Connection] { state.withLock { Array($0.byPeer.values) } }
    var count: Int { state.withLock { $0.byPeer.count } }

    // MARK: Who looks at what

    // Each of these does nothing for a connection that has ended meanwhile.

    func subscribe(_ connection: Connection, to service: ServiceName) {
        state.withLock { state in
            guard state.bySubscriber[connection.subscriber] === connection else { return }
            state.subscribers[service, default: [:]][connection.id] = connection
        }
    }

    func unsubscribe(_ connection: Connection, from service: ServiceName) {
        state.withLock { Self.remove(connection, service, &$0.subscribers) }
    }

    func subscribers(of service: ServiceName) -> [Connection] {
        state.withLock { $0.subscribers[service].map { Array($0.values) } ?? [] }
    }

    func listen(_ connection: Connection, to item: ConfigName) {
        state.withLock { state in
            guard state.bySubscriber[connection.subscriber] === connection else { return }
            state.listeners[item, default: [:]][connection.id] = connection
        }
    }

    func unlisten(_ connection: Connection, from item: ConfigName) {
        state.withLock { Self.remove(connection, item, &$0.listeners) }
    }

    func listeners(of item: ConfigName) -> [Connection] {
        state.withLock { $0.listeners[item].map { Array($0.values) } ?? [] }
    }

    var listenedItems: [ConfigName] { state.withLock { Array($0.listeners.keys) } }

    func watch(_ connection: Connection, _ watch: FuzzyWatchName) {
        state.withLock { state in
            guard state.bySubscriber[connection.subscriber] === connection else { return }
            state.watchers[watch, default: [:]][connection.id] = connection
        }
    }

    func unwatch(_ connection: Connection, _ watch: FuzzyWatchName) {
        state.withLock { Self.remove(connection, watch, &$0.watchers) }
    }

    /// The fuzzy watches that match, with their connections.
    func watchers(
        _ kind: FuzzyWatchName.Kind, namespace: String, group: String, name: String
    ) -> [(watch: FuzzyWatchName, connections: [Connection])] {
        state.withLock { state in
            state.watchers.compactMap { watch, connections in
                guard watch.kind == kind, watch.pattern.matches(namespace: namespace, group: group, name: name) else {
                    return nil
                }
                return (watch, Array(connections.values))
            }
        }
    }

    var hasWatchers: Bool { state.withLock { !$0.watchers.isEmpty } }

    private static func remove<Name>(
        _ connection: Connection, _ name: Name, _ index: inout [Name: [String: Connection]]
    ) {
        index[name]?[connection.id] = nil
        if index[name]?.isEmpty == true { index[name] = nil }
    }
}
