// Which replica's exports are whose, and what becomes of those of a replica that is gone.

import Catalogue
import Client
import Logging
import Objects
import Reconciling

/// Tells this replica's exported slices from others', by their label. Slices without one are those of a platform that has its
/// API server within itself, of which there is only one; nobody else ever takes them away.
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

    /// Takes away what replicas that are gone have exported, as long as this one leads; persistent instances, whose writers
    /// do not come again, become this one's first. Works until cancelled.
    func clear(_ slices: Informer, _ client: KubernetesClient, _ catalogue: ServiceCatalogue, _ logger: Logger) async {
        guard let membership else { return }
        var takenOver: Set<String> = []
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.lookInterval)
            guard membership.isLeading, catalogue.isComplete else { continue }
            for slice in slices.list() {
                guard let other = other(slice), other != Self.embedded, membership.isForgotten(other), !slice.isTerminating else { continue }
                // Those of Nacos are kept in the cluster, from where every replica shows and exports them (`ServiceStore`).
                let persistent = RawInstance.adopted(from: slice).filter { $0.lifetime == .persistent && $0.origin != .nacos }
                do {
                    // Their own slices are made by the time of the next look.
                    if !persistent.isEmpty, takenOver.insert(slice.uid).inserted {
                        for instance in persistent { try catalogue.register(instance, as: ServiceName(slice: slice)) }
                        continue
                    }
                    try await client.delete(.endpointSlices, slice.key, uid: slice.uid)
                    takenOver.remove(slice.uid)
                    logger.info(
                        "took away what a replica that is gone had exported",
                        metadata: ["replica": "\(other)", "slice": "\(slice.key)"])
                } catch let problem as Problem where problem.code == 404 || problem.code == 409 {
                    takenOver.remove(slice.uid)
                } catch {
                    logger.warning(
                        "what a replica that is gone had exported cannot be taken away",
                        metadata: ["slice": "\(slice.key)", "error": "\(error)"])
                }
            }
        }
    }
}
