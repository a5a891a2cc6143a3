// Which replica's exports are whose, and what becomes of those of a replica that is gone.

import Catalogue
import Logging
import Objects
import Reconciling

/// Tells this replica's exported slices from others', by their label. Slices without one are those of a platform that
/// has its API server within itself, of which there is only one; nobody else ever takes them away.
struct ReplicaExports: Sendable {
    /// How often the leader looks for replicas that are gone.
    static let lookInterval: Duration = .seconds(1)

    /// What stands for the platform with an API server within itself.
    static let embedded = "embedded"

    let membership: Membership?

    var identity: String? { membership?.identity }

    func isOwn(_ slice: Object) -> Bool {
        ExportMark.isOwn(slice: slice) && slice.labels[Membership.memberLabel] == identity
    }

    /// The replica that exported a slice, when it was another.
    func other(_ slice: Object) -> String? {
        guard ExportMark.isOwn(slice: slice), !isOwn(slice) else { return nil }
        return slice.labels[Membership.memberLabel] ?? Self.embedded
    }

    /// What another replica exported, as this one shows it: for as long as the slice is there.
    func instances(in slice: Object, of other: String) -> [Instance] {
        RawInstance.adopted(from: slice).map { instance in
            var instance = instance
            instance.lifetime = .replica(other)
            return instance
        }
    }

    /// Takes away what replicas that are gone have exported, as long as this one leads. Persistent instances, whose
    /// writers do not come again, stay in their slices, which are theirs again when the replica comes back; those of
    /// Nacos are kept in the cluster, from where every replica shows and exports them (`ServiceStore`). Works until
    /// cancelled.
    func clear(
        _ catalogue: ServiceCatalogue, _ logger: Logger, slices: @Sendable () -> [Object],
        services: @Sendable (ServiceName) -> [Object], perform: @Sendable (ExportAction) async throws -> Void
    ) async {
        guard let membership else { return }
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.lookInterval)
            guard membership.isLeading, catalogue.isComplete else { continue }
            var left: [Export: [Object]] = [:]
            for slice in slices() where !slice.isTerminating {
                guard let other = other(slice), other != Self.embedded, membership.isForgotten(other) else { continue }
                left[Export(replica: other, service: ServiceName(slice: slice)), default: []].append(slice)
            }
            for (export, slices) in left {
                for action in export.clearing(slices, services: services(export.service)) {
                    do {
                        try await perform(action)
                        logger.info(
                            "took away what a replica that is gone had exported",
                            metadata: ["replica": "\(export.replica)", "service": "\(export.service)"])
                    } catch let problem as Problem where problem.code == 404 || problem.code == 409 {
                        // It is looked at again.
                    } catch {
                        logger.warning(
                            "what a replica that is gone had exported cannot be taken away",
                            metadata: ["service": "\(export.service)", "error": "\(error)"])
                    }
                }
            }
        }
    }
}

/// What one replica exports of a service.
struct Export: Hashable {
    var replica: String
    var service: ServiceName

    /// The writes after which a replica's slices hold only what outlives it.
    func clearing(_ slices: [Object], services: [Object]) -> [ExportAction] {
        let kept = slices.flatMap(RawInstance.all(in:)).filter { $0.lifetime == .persistent && $0.origin != .nacos }
        let plan = ExportMachine.plan(
            service, instances: kept, services: services, slices: slices, keepsService: true, replica: replica)
        return plan.actions.filter { action in
            switch action {
            case .createService, .deleteService: false
            case .createSlice, .updateSlice, .deleteSlice: true
            }
        }
    }
}
