// Hands out changes of services and configuration to those who look at them.

import Catalogue
import Configurations
import Timing

/// Follows the catalogue and the configuration. One runs for all listeners of a backend.
struct PushLoop: Sendable {
    let backend: Backend

    /// Changes of a service are gathered for this long before they are pushed; Nacos takes 500 ms.
    static let pushDelay: Duration = .milliseconds(50)
    /// How often unanswered pushes are looked through.
    static let sweepInterval: Duration = .seconds(1)

    private var connections: ConnectionTable { backend.connections }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await followServices() }
            group.addTask { await followItems() }
            group.addTask { await sweep() }
            await group.waitForAll()
        }
    }

    // MARK: Services

    private func followServices() async {
        let feed = backend.catalogue.changes()
        while let first = await feed.next() {
            do { try await Task.sleep(for: Self.pushDelay) } catch { return }
            for changes in [first, feed.take()].compactMap({ $0 }) { hand(out: changes) }
        }
    }

    private func hand(out changes: Changes<ServiceName>) {
        switch changes {
        case .names(let services):
            let hasWatchers = connections.hasWatchers
            for service in services {
                let subscribers = connections.subscribers(of: service)
                if !subscribers.isEmpty { NamingOperations(backend: backend).prepareList(service) }
                for connection in subscribers { connection.changed(.service(service)) }
                backend.datagrams.changed(service)
                if hasWatchers { tellWatchers(of: service) }
            }
        case .everything:
            for connection in connections.all {
                for service in connection.selectedServices { connection.changed(.service(service)) }
            }
            backend.datagrams.everythingChanged()
            if connections.hasWatchers { for service in backend.catalogue.services() { tellWatchers(of: service) } }
        }
    }

    private func tellWatchers(of service: ServiceName) {
        let watchers = connections.watchers(
            .services, namespace: service.namespace, group: service.group, name: service.name)
        guard !watchers.isEmpty else { return }
        let exists = NamingOperations(backend: backend).exists(service)
        let key = NacosNames.key(of: service)
        for (watch, followers) in watchers {
            for connection in followers { connection.watched(watch, key, exists: exists) }
        }
    }

    // MARK: Configuration

    private func followItems() async {
        let feed = backend.configurations.changes()
        while let changes = await feed.next() {
            backend.polling.changed(changes)
            switch changes {
            case .names(let names): for name in names { tell(of: name) }
            case .everything:
                for name in connections.listenedItems { tell(of: name) }
                if connections.hasWatchers {
                    for item in backend.configurations.items(namespace: nil) { tellWatchers(of: item.name) }
                }
            }
        }
    }

    private func tell(of name: ConfigName) {
        let item = backend.configurations.item(name)
        for connection in connections.listeners(of: name) {
            guard let listened = connection.listened(name) else { continue }
            let md5 = item?.shown(to: connection.reader)?.text.md5 ?? ""
            if md5 != listened.md5 { connection.changed(.item(name)) }
        }
        if connections.hasWatchers { tellWatchers(of: name) }
    }

    private func tellWatchers(of name: ConfigName) {
        let exists = backend.configurations.item(name) != nil
        let key = NacosNames.key(of: name)
        let watchers = connections.watchers(.items, namespace: name.namespace, group: name.group, name: name.dataID)
        for (watch, followers) in watchers {
            for connection in followers { connection.watched(watch, key, exists: exists) }
        }
    }

    private func sweep() async {
        while !Task.isCancelled {
            // Only cancellation ends the sleep early.
            try? await Task.sleep(for: Self.sweepInterval)
            for connection in connections.all { connection.timePassed(now: .now) }
            backend.datagrams.timePassed(now: .now)
        }
    }
}
