// The catalogue as Eureka clients see it, kept by namespace and brought up to date by whoever reads it.

import Catalogue
import Synchronization
import Timing

/// Views of the catalogue that are never older than it: each reading first takes in what changed.
final class RegistryView: Sendable {
    private struct State {
        var machines: [String: RegistryViewMachine] = [:]
        var feed: ChangeFeed<ServiceName>?
        /// The highest version of a namespace that was let go of; versions are never given twice.
        var highestVersion: UInt64 = 0
    }

    private let catalogue: ServiceCatalogue
    private let clock: EurekaClock
    private let state = Mutex(State())

    init(catalogue: ServiceCatalogue, clock: EurekaClock) {
        self.catalogue = catalogue
        self.clock = clock
    }

    /// Reads one namespace; one that has no services is empty. The body is quick: others wait for it.
    func read<Result: Sendable>(_ namespace: String, _ body: (RegistryViewMachine) -> Result) -> Result {
        state.withLock { state in
            update(&state)
            return body(state.machines[namespace] ?? RegistryViewMachine())
        }
    }

    /// Applications and instances of all namespaces; none before the first reading.
    var size: (applications: Int, instances: Int) {
        state.withLock { state in
            guard state.feed != nil else { return (0, 0) }
            update(&state)
            return state.machines.values.reduce((0, 0)) { ($0.0 + $1.names.count, $0.1 + $1.instanceCount) }
        }
    }

    /// Lets go of changes that are too old for a delta, and of namespaces that have nothing left.
    func timePassed() {
        let now = clock.now().instant
        state.withLock { state in
            for (namespace, var machine) in state.machines {
                machine.timePassed(now: now)
                state.machines[namespace] = machine.isIdle ? nil : machine
                if machine.isIdle { state.highestVersion = max(state.highestVersion, machine.version) }
            }
        }
    }

    /// Nothing is kept before the first reading: a platform without Eureka clients does not pay for them.
    private func update(_ state: inout State) {
        let now = clock.now()
        guard let feed = state.feed else {
            state.feed = catalogue.changes()
            return takeAll(&state, now)
        }
        switch feed.take() {
        case nil: break
        case .names(let names): for name in names { take(name, &state, now) }
        case .everything: takeAll(&state, now)
        }
    }

    private func takeAll(_ state: inout State, _ now: Moment) {
        var names = Set(catalogue.services())
        for machine in state.machines.values { names.formUnion(machine.serviceNames) }
        for name in names { take(name, &state, now) }
    }

    private func take(_ name: ServiceName, _ state: inout State, _ now: Moment) {
        let known = state.machines[name.namespace]?.known(of: name) ?? [:]
        let given = Self.shown(catalogue.snapshot(of: name)).map { instance in
            // Most are as they were; to read an instance's words again would cost more than all else.
            if let one = known[.init(instance)], one.instance == instance { return one }
            // Own instances keep their application; it need not be called like the service.
            let info = InstanceInfo(instance, of: name, updated: 0)
            return RegistryViewMachine.Contribution(app: info.app, id: info.id, status: info.status, instance: instance)
        }
        let fresh = RegistryViewMachine(firstVersion: state.highestVersion)
        state.machines[name.namespace, default: fresh].changed(name, given, now: now)
    }
}

extension RegistryView {
    /// What a snapshot shows; where a program registered here and in another registry too, in its words for this one.
    static func shown(_ snapshot: ServiceSnapshot) -> [Instance] {
        let own = snapshot.records.filter { $0.origin == .eureka && !$0.isImplied }
        guard !own.isEmpty else { return snapshot.instances }
        return snapshot.instances.map { instance in
            guard instance.origin != .eureka,
                var spoken = own.first(where: { $0.address == instance.address && $0.port == instance.port })
            else { return instance }
            spoken.isHealthy = instance.isHealthy
            spoken.isEnabled = instance.isEnabled
            return spoken
        }
    }
}

/// Both clocks, so that tests can set them.
struct EurekaClock: Sendable {
    var now: @Sendable () -> Moment

    static let system = EurekaClock {
        Moment(instant: ContinuousClock.now, milliseconds: Int64(clamping: WallClock.milliseconds()))
    }
}
