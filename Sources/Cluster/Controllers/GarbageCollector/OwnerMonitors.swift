// Follows the metadata of everything that can own or be owned, whatever kinds the server has at the time.

import Client
import Logging
import Objects
import Reconciling
import Synchronization
import Timing

/// One watch per deletable resource: those that the controllers share, and one of its own for each other resource that
/// discovery names, custom resources that come and go included.
final class OwnerMonitors: Sendable {
    /// Between looks at discovery, when no definition changes.
    static let discoveryInterval = Duration.seconds(30)
    /// From a definition's change to the look: it is served a moment later, and seldom changes alone.
    static let definitionPause = Duration.milliseconds(200)
    static let definitions = "customresourcedefinitions.apiextensions.k8s.io"
    /// Resources whose objects live too shortly and too many to be followed, as upstream leaves them out.
    static let ignored: Set<String> = ["events", "events.events.k8s.io"]

    /// A resource that is followed here alone, until discovery no longer has it.
    private struct Monitor: Sendable {
        let informer: Informer
        let retired = Gate()
    }

    private struct State: Sendable {
        var monitors: [Resource: Monitor] = [:]
        /// Everything that the server has, followed or not; empty before the first look.
        var known: [Resource] = []
        /// Opened by a definition's change.
        var isOutdated = Gate()
    }

    private let client: KubernetesClient
    private let shared: [Informer]
    private let onChange: @Sendable (Resource, Change) -> Void
    private let logger: Logger
    private let state = Mutex(State())

    /// `shared` informers are run by their owner. `onChange` is called for changes of any resource.
    init(
        client: KubernetesClient, shared: [Informer], logger: Logger,
        onChange: @escaping @Sendable (Resource, Change) -> Void
    ) {
        self.client = client
        self.shared = shared
        self.onChange = onChange
        self.logger = logger
    }

    /// Follows the shared informers; call it before they run.
    func connect() {
        for informer in shared {
            let resource = informer.resource
            informer.onChange { [onChange] in onChange(resource, $0) }
        }
    }

    /// Whether every followed resource has had its first list, so that dependants can be counted.
    var areSynced: Bool {
        let own = state.withLock { state in state.known.isEmpty ? nil : state.monitors.values.map(\.informer) }
        guard let own else { return false }
        return (shared + own).allSatisfy(\.isSynced)
    }

    /// The resource that an owner reference means; nil for kinds that the server does not have.
    func resource(apiVersion: String, kind: String) -> Resource? {
        let group = apiVersion.contains("/") ? apiVersion.split(separator: "/").first.map(String.init) ?? "" : ""
        let known = state.withLock { $0.known } + shared.map(\.resource) + [.nodes, .namespaces]
        return known.first { $0.group == group && $0.kind == kind && !$0.plural.contains("/") }
    }

    /// Follows what there is until cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let isOutdated = Gate()
                state.withLock { $0.isOutdated = isOutdated }
                do {
                    for monitor in adopt(try await client.discover()) { group.addTask { await self.follow(monitor) } }
                } catch {
                    if Task.isCancelled { break }
                    logger.warning("discovery failed; known resources are followed", metadata: ["error": "\(error)"])
                }
                await Self.pause(unless: isOutdated)
            }
            group.cancelAll()
        }
    }

    private static func pause(unless isOutdated: Gate) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await Task.sleep(for: discoveryInterval) }
            group.addTask {
                try? await isOutdated.wait()
                try? await Task.sleep(for: definitionPause)
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// Takes in what the server has; answers the monitors to be run.
    private func adopt(_ known: [Resource]) -> [Monitor] {
        let wanted = known.filter { resource in
            ["list", "watch", "delete"].allSatisfy(resource.verbs.contains)
                && !Self.ignored.contains(resource.qualifiedName) && !shared.contains { $0.resource == resource }
        }
        let (fresh, retired) = state.withLock { state in
            state.known = known
            let retired = state.monitors.filter { !wanted.contains($0.key) }
            for resource in retired.keys { state.monitors[resource] = nil }
            var fresh: [Monitor] = []
            for resource in wanted where state.monitors[resource] == nil {
                let informer = Informer(client: client.showingMetadataOnly, resource: resource, logger: logger)
                let monitor = Monitor(informer: informer)
                state.monitors[resource] = monitor
                fresh.append(monitor)
            }
            return (fresh, Array(retired.values))
        }
        for monitor in retired { monitor.retired.open() }
        return fresh
    }

    private func follow(_ monitor: Monitor) async {
        let resource = monitor.informer.resource
        let isDefinitions = resource.qualifiedName == Self.definitions
        monitor.informer.onChange { [self] change in
            onChange(resource, change)
            if isDefinitions { state.withLock { $0.isOutdated }.open() }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await monitor.informer.run() }
            group.addTask { try? await monitor.retired.wait() }
            await group.next()
            group.cancelAll()
        }
        // The kind is gone and its objects with it.
        if monitor.retired.isOpen {
            for object in monitor.informer.list() {
                onChange(resource, Change(key: object.key, old: object, new: nil))
            }
        }
    }
}
