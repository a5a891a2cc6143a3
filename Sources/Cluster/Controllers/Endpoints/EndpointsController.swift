// Writes each Service's Endpoints, and mirrors the Endpoints that people wrote into EndpointSlices.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `EndpointsMachine` and `MirrorMachine`; one key is a Service and what has its name.
package struct EndpointsController: Sendable {
    let client: KubernetesClient
    let services: Informer
    let pods: Informer
    let endpoints: Informer
    let slices: Informer
    let clock: WallClock
    let logger: Logger
    private let expectations = Expectations()

    init(
        client: KubernetesClient, services: Informer, pods: Informer, endpoints: Informer, slices: Informer,
        clock: WallClock, logger: Logger
    ) {
        self.client = client
        self.services = services
        self.pods = pods
        self.endpoints = endpoints
        self.slices = slices
        self.clock = clock
        self.logger = logger
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "endpoints", logger: logger, reconcile: reconcile)
        services.onChange { reconciler.enqueue($0.key) }
        endpoints.onChange { reconciler.enqueue($0.key) }
        pods.onChange { change in
            for service in EndpointSliceController.services(concernedBy: change, among: services) {
                reconciler.enqueue(service)
            }
        }
        slices.onChange { change in
            guard let slice = change.latest, isMirror(slice),
                let service = slice.labels[EndpointSliceMachine.serviceLabel]
            else { return }
            let key = ObjectKey(namespace: slice.namespace, name: service)
            if change.old == nil { expectations.with { $0.creationObserved(for: key) } }
            reconciler.enqueue(key)
        }
        return reconciler
    }

    private func isMirror(_ slice: Object) -> Bool {
        slice.labels[EndpointSliceMachine.managedByLabel] == MirrorMachine.manager
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        let existing = endpoints.get(key)
        guard let service = services.get(key) else {
            expectations.with { $0.forgotten(key) }
            // Without a Service of its name only what this controller wrote goes; leader election uses bare Endpoints.
            if let existing, existing.labels[EndpointsMachine.managedBy] == EndpointsMachine.manager {
                try await ignoringAbsence { try await client.delete(.endpoints, key, uid: existing.uid) }
            }
            return .done
        }
        if service.isTerminating { return .done }
        let selector = service.spec["selector"]?.stringMap ?? [:]
        if selector.isEmpty || service.spec["type"]?.string == "ExternalName" {
            return try await mirror(existing, of: service)
        }
        let matcher = LabelSelector(matchLabels: selector)
        let pods = pods.list(namespace: key.namespace).filter { matcher.matches($0.labels) }
        guard let wanted = EndpointsMachine(service: service, pods: pods).wanted(over: existing) else { return .done }
        if existing == nil {
            try await client.create(.endpoints, wanted)
        } else {
            try await client.update(.endpoints, wanted)
        }
        return .done
    }

    private func mirror(_ endpoints: Object?, of service: Object) async throws -> Outcome {
        let mirrors = slices.indexed(EndpointSliceController.serviceIndex, service.key.description).filter(isMirror)
        let isCacheCurrent = expectations.with { [now = clock.now()] in $0.areMet(for: service.key, now: now) }
        if !isCacheCurrent { return .again(after: EndpointSliceController.staleCacheDelay) }
        var actions = mirrors.map { EndpointSliceMachine.Action.delete($0) }
        if let endpoints, MirrorMachine.applies(to: endpoints, service: service) {
            actions = MirrorMachine(endpoints: endpoints, slices: mirrors).actions()
        }
        for action in actions {
            switch action {
            case .create(let slice):
                expectations.with { [now = clock.now()] in $0.willCreate(1, for: service.key, now: now) }
                do {
                    try await client.create(.endpointSlices, slice)
                } catch {
                    expectations.with { $0.creationObserved(for: service.key) }
                    throw error
                }
            case .update(let slice): try await client.update(.endpointSlices, slice)
            case .delete(let slice):
                try await ignoringAbsence { try await client.delete(.endpointSlices, slice.key, uid: slice.uid) }
            }
        }
        return .done
    }

    private func ignoringAbsence(_ body: () async throws -> some Any) async throws {
        do {
            _ = try await body()
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
