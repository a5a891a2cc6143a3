// The registrations and the catalogue, changed together.

import Catalogue
import Synchronization

/// Holds the machine; each of its actions reaches the catalogue before the next event does.
final class Registrations: Sendable {
    /// Silent leases are looked through this often.
    static let sweepInterval: Duration = .seconds(1)

    private let catalogue: ServiceCatalogue
    private let view: RegistryView
    private let clock: EurekaClock
    private let machine: Mutex<RegistrationMachine>

    init(catalogue: ServiceCatalogue, view: RegistryView, preservation: SelfPreservation?, clock: EurekaClock) {
        self.catalogue = catalogue
        self.view = view
        self.clock = clock
        machine = Mutex(RegistrationMachine(preservation: preservation))
    }

    func now() -> Moment { clock.now() }

    var count: Int { machine.withLock { $0.count } }
    var isPreserving: Bool { machine.withLock { $0.isPreserving } }

    /// When an instance beat last, in milliseconds since 1970.
    func lastBeat(_ key: RegistrationKey) -> Int64? {
        machine.withLock { $0.lastBeat(key)?.milliseconds }
    }

    func register(_ info: InstanceInfo, _ key: RegistrationKey, as service: ServiceName) throws(EurekaProblem) {
        adopt(key)
        _ = try change(key) { $0.registered(info, key, as: service, now: clock.now()) }
    }

    /// Nil when the client has to register.
    func beat(
        _ key: RegistrationKey, lastDirty: Int64?
    ) throws(EurekaProblem) -> (info: InstanceInfo, isCurrent: Bool)? {
        adopt(key)
        return machine.withLock { machine -> (info: InstanceInfo, isCurrent: Bool)? in
            guard case .renew(let action, let isCurrent) = machine.beaten(key, lastDirty: lastDirty, now: clock.now()),
                let info = machine.registration(key)?.info
            else { return nil }
            guard renew(action) else {
                machine.lost(key)
                return nil
            }
            return (info, isCurrent)
        }
    }

    /// False when there is no such registration, as below.
    func cancel(_ key: RegistrationKey) throws(EurekaProblem) -> Bool {
        adopt(key)
        return try change(key) { $0.cancelled(key) }
    }

    @discardableResult
    func override(
        _ key: RegistrationKey, by status: InstanceStatus, lastDirty: Int64?
    ) throws(EurekaProblem) -> Bool {
        adopt(key)
        return try change(key) { $0.overridden(key, by: status, lastDirty: lastDirty, now: clock.now()) }
    }

    func removeOverride(
        _ key: RegistrationKey, status: InstanceStatus, lastDirty: Int64?
    ) throws(EurekaProblem) -> Bool {
        adopt(key)
        return try change(key) { $0.overrideRemoved(key, status: status, lastDirty: lastDirty, now: clock.now()) }
    }

    func changeMetadata(
        _ key: RegistrationKey, _ edit: (inout [String: String]) -> Void
    ) throws(EurekaProblem) -> Bool {
        adopt(key)
        return try change(key) { $0.metadataChanged(key, edit, now: clock.now()) }
    }

    /// Until cancelled: keeps leases where self-preservation asks for it, and forgets what has ended.
    func run() async throws {
        while !Task.isCancelled {
            try await Task.sleep(for: Self.sweepInterval)
            sweep()
        }
    }

    func sweep() {
        machine.withLock { machine in
            let wasPreserving = machine.isPreserving
            machine.timePassed(now: clock.now().instant)
            if machine.isPreserving != wasPreserving {
                catalogue.protectLeases(of: .eureka, machine.isPreserving)
            }
        }
        view.timePassed()
    }

    // MARK: Inside

    private func change(
        _ key: RegistrationKey, _ event: (inout RegistrationMachine) -> [RegistrationAction]?
    ) throws(EurekaProblem) -> Bool {
        let outcome = machine.withLock { machine -> Result<Bool, EurekaProblem> in
            guard let actions = event(&machine) else { return .success(false) }
            for action in actions {
                do throws(CatalogueProblem) {
                    try perform(action)
                } catch {
                    machine.lost(key)
                    return .failure(.full(error))
                }
            }
            return .success(true)
        }
        return try outcome.get()
    }

    private func perform(_ action: RegistrationAction) throws(CatalogueProblem) {
        switch action {
        case .register(let instance, let service): try catalogue.register(instance, as: service)
        case .deregister(let address, let port, let service):
            catalogue.deregister(address: address, port: port, of: .eureka, from: service)
        case .renew: _ = renew(action)
        }
    }

    private func renew(_ action: RegistrationAction) -> Bool {
        guard case .renew(let address, let port, let service) = action else { return false }
        return catalogue.renew(address: address, port: port, of: .eureka, for: service)
    }

    /// Takes up what the catalogue kept from before the last start, if this is such a one.
    private func adopt(_ key: RegistrationKey) {
        if machine.withLock({ $0.registration(key) != nil }) { return }
        for (service, record) in catalogue.adopted(key.id, of: .eureka) where service.namespace == key.namespace {
            guard let info = InstanceInfo(record: record), info.app == key.app else { continue }
            // There was room for it already.
            _ = try? change(key) { machine in
                machine.registration(key) == nil ? machine.adopted(info, key, as: service, now: clock.now()) : []
            }
            return
        }
    }
}
