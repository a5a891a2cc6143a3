// Writes the addresses of each Service's pods into EndpointSlices.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `EndpointSliceMachine`.
package struct EndpointSliceController: Sendable {
    let client: KubernetesClient
    let services: Informer
    let pods: Informer
    let slices: Informer
    let clock: WallClock
    let logger: Logger
    private let expectations = Expectations()

    init(
        client: KubernetesClient, services: Informer, pods: Informer, slices: Informer, clock: WallClock, logger: Logger
    ) {
        self.client = client
        self.services = services
        self.pods = pods
        self.slices = slices
        self.clock = clock
        self.logger = logger
    }

    static let staleCacheDelay = Duration.seconds(1)

    /// Files slices under the key of their Service.
    static let serviceIndex = "service"
    static let serviceIndexer: Indexer = { slice in
        guard let service = slice.labels[EndpointSliceMachine.serviceLabel] else { return [] }
        return ["\(slice.namespace)/\(service)"]
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "endpointslice", logger: logger, reconcile: reconcile)
        services.onChange { reconciler.enqueue($0.key) }
        pods.onChange { change in
            for service in Self.services(concernedBy: change, among: services) { reconciler.enqueue(service) }
        }
        slices.onChange { change in
            guard let slice = change.latest, isOurs(slice),
                let service = slice.labels[EndpointSliceMachine.serviceLabel]
            else { return }
            let key = ObjectKey(namespace: slice.namespace, name: service)
            if change.old == nil { expectations.with { $0.creationObserved(for: key) } }
            reconciler.enqueue(key)
        }
        return reconciler
    }

    /// The Services that select a pod now or selected it before.
    static func services(concernedBy change: Change, among services: Informer) -> [ObjectKey] {
        services.list(namespace: change.key.namespace).compactMap { service in
            let selector = service.spec["selector"]?.stringMap ?? [:]
            if selector.isEmpty { return nil }
            let matcher = LabelSelector(matchLabels: selector)
            let concerns = [change.old, change.new].contains { $0.map { matcher.matches($0.labels) } ?? false }
            return concerns ? service.key : nil
        }
    }

    private func isOurs(_ slice: Object) -> Bool {
        slice.labels[EndpointSliceMachine.managedByLabel] == EndpointSliceMachine.manager
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        let mine = slices.indexed(Self.serviceIndex, key.description).filter(isOurs)
        guard let service = services.get(key) else {
            // Collected by their owner reference; slices without one would stay.
            for slice in mine where slice.ownerReferences.isEmpty { try await delete(slice) }
            expectations.with { $0.forgotten(key) }
            return .done
        }
        // A slice that was created and is not in the cache yet would be created twice; its arrival comes back here.
        let isCacheCurrent = expectations.with { [now = clock.now()] in $0.areMet(for: key, now: now) }
        if !isCacheCurrent { return .again(after: Self.staleCacheDelay) }
        let selector = service.spec["selector"]?.stringMap ?? [:]
        // Without a selector somebody else writes the slices; an ExternalName has none.
        if selector.isEmpty || service.isTerminating || service.spec["type"]?.string == "ExternalName" {
            return .done
        }
        let matcher = LabelSelector(matchLabels: selector)
        let pods = pods.list(namespace: key.namespace).filter { matcher.matches($0.labels) }
        let machine = EndpointSliceMachine(service: service, pods: pods, slices: mine)
        for action in machine.actions() {
            switch action {
            case .create(let slice): try await create(slice, for: key)
            case .update(let slice): try await client.update(.endpointSlices, slice)
            case .delete(let slice): try await delete(slice)
            }
        }
        return .done
    }

    private func create(_ slice: Object, for service: ObjectKey) async throws {
        expectations.with { [now = clock.now()] in $0.willCreate(1, for: service, now: now) }
        do {
            try await client.create(.endpointSlices, slice)
        } catch {
            expectations.with { $0.creationObserved(for: service) }
            throw error
        }
    }

    private func delete(_ slice: Object) async throws {
        do {
            try await client.delete(.endpointSlices, slice.key, uid: slice.uid)
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
