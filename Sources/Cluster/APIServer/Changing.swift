// How one object changes: read, decide, write, and again when another writer was faster.

import Formats
import Objects
import Storage

/// What a change makes of a stored object.
enum ChangeOutcome: Sendable {
    case unchanged
    case replaced(Object)
    /// The object goes; this is its last state.
    case removed(Object)
}

extension KubernetesAPI {
    /// The state after a change and whether the object is gone.
    struct Changed: Sendable {
        var object: Object
        var isRemoved = false
    }

    /// Applies `decide` to the stored object until the store takes the result.
    ///
    /// `decide` sees the newest state each time and must have no effects of its own, apart from throwing.
    func change(
        _ resource: Resource, namespace: String, name: String, isDryRun: Bool = false,
        _ decide: (Object) throws -> ChangeOutcome
    ) async throws -> Changed {
        for _ in 0..<limits.writeAttempts {
            guard let (old, record) = try records.get(resource, namespace: namespace, name: name) else {
                throw Problem.notFound(resource, name)
            }
            let outcome = try decide(old)
            do throws(StoreFailure) {
                switch outcome {
                case .unchanged: return Changed(object: old)
                case .replaced(let new):
                    if isDryRun { return Changed(object: new) }
                    let written = try await replace(record, old: old, with: new, of: resource)
                    return Changed(object: written)
                case .removed(let last):
                    if isDryRun { return Changed(object: last, isRemoved: true) }
                    let removed = try await records.remove(record, lastState: last, of: resource)
                    releaseAddresses(of: last, resource)
                    var object = last
                    object.resourceVersion = String(removed.revision)
                    return Changed(object: object, isRemoved: true)
                }
            } catch {
                switch error {
                case .conflict: continue
                case .missing: throw Problem.notFound(resource, name)
                case .exists: throw Problem.alreadyExists(resource, name)
                case .refused(let problem): throw problem
                }
            }
        }
        throw Problem.conflict(resource, name, KubernetesAPI.modified)
    }

    static let modified =
        "the object has been modified; please apply your changes to the latest version and try again"

    private func replace(
        _ record: Record, old: Object, with new: Object, of resource: Resource
    ) async throws(StoreFailure) -> Object {
        var new = new
        let claim: ServiceAllocation.Claim
        do throws(Problem) {
            claim = try allocateAddresses(for: &new, replacing: old, resource)
        } catch {
            throw .refused(error)
        }
        do throws(StoreFailure) {
            let written = try await records.replace(record, with: new, of: resource)
            release(claim.given)
            new.resourceVersion = String(written.revision)
            return new
        } catch {
            release(claim.taken)
            throw error
        }
    }

    /// What becomes of `old` when a writer wants `new`: keeps what the system owns, fills in defaults, checks, and
    /// counts.
    func amend(
        _ old: Object, to wanted: Object, of served: ServedResource, tracking: FieldTracking? = nil
    ) throws(Problem) -> ChangeOutcome {
        var new = wanted
        keepSystemMetadata(of: old, in: &new)
        if served.strategy.hasStatus { new["status"] = old["status"] }
        served.strategy.setDefaults(&new)
        served.strategy.prepareForUpdate(&new, from: old)
        let hasStatus = served.strategy.hasStatus || served.custom == nil
        if served.strategy.hasGeneration,
            KubernetesAPI.desired(new, hasStatus: hasStatus) != KubernetesAPI.desired(old, hasStatus: hasStatus)
        {
            new.tree["metadata", "generation"] = JSON(old.generation + 1)
        }
        var faults = served.metadataFaults(of: new)
        if !served.strategy.looksOnlyAtChanges { faults += served.strategy.faults(in: new) }
        faults += finalizerFaults(new, old) + served.strategy.faults(in: new, from: old)
        if !faults.isEmpty { throw .invalid(served.resource, old.name, faults) }
        try authorizeContent(new, replacing: old, of: served.resource)
        tracking?.account(for: &new, from: old, sent: wanted.tree["metadata", "managedFields"])
        return settle(old, new, of: served)
    }

    /// What becomes of `old` when a writer of the status subresource sends `wanted`: everything but status and a part
    /// of the
    /// metadata stays.
    func amendStatus(
        _ old: Object, to wanted: Object, of served: ServedResource, tracking: FieldTracking? = nil
    ) throws(Problem) -> ChangeOutcome {
        var new = old
        new["status"] = wanted["status"]
        new.annotations = wanted.annotations
        new.finalizers = wanted.finalizers
        if !served.strategy.statusKeepsLabels { new.labels = wanted.labels }
        try authorizeStatus(&new, from: old, of: served.resource)
        let faults =
            served.metadataFaults(of: new) + finalizerFaults(new, old)
            + served.strategy.statusFaults(in: new, from: old)
        if !faults.isEmpty { throw .invalid(served.resource, old.name, faults) }
        tracking?.account(for: &new, from: old, sent: nil)
        return settle(old, new, of: served)
    }

    /// Tells a change from none, and a change that lets a deleted object go (upstream: ShouldDeleteDuringUpdate).
    func settle(_ old: Object, _ new: Object, of served: ServedResource) -> ChangeOutcome {
        let isWaiting = (new.tree["metadata", "deletionGracePeriodSeconds"]?.integer ?? 0) > 0
        let holdsNamespace = served.resource == .namespaces && new["spec", "finalizers"]?.array?.isEmpty == false
        if old.isTerminating, new.finalizers.isEmpty, !isWaiting, !holdsNamespace { return .removed(new) }
        return new == old ? .unchanged : .replaced(new)
    }

    /// The part of an object that says what is wanted: all but metadata and status.
    static func desired(_ object: Object, hasStatus: Bool = true) -> JSON {
        var tree = object.tree
        tree["metadata"] = nil
        if hasStatus { tree["status"] = nil }
        return tree
    }

    private func keepSystemMetadata(of old: Object, in new: inout Object) {
        new.tree.fill("metadata", [:])
        let fields = [
            "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
            "generation",
            "resourceVersion", "generateName", "managedFields",
        ]
        for field in fields { new.tree["metadata", field] = old.tree["metadata", field] }
        new.tree["metadata", "selfLink"] = nil
    }

    private func finalizerFaults(_ new: Object, _ old: Object) -> [FieldFault] {
        guard old.isTerminating else { return [] }
        let added = new.finalizers.filter { !old.finalizers.contains($0) }
        if added.isEmpty { return [] }
        let names = added.map { "\"\($0)\"" }.joined(separator: ", ")
        return [
            .forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(names)}"
            )
        ]
    }

    /// A writer that names a uid or resourceVersion means that object in that state and no other.
    func checkPreconditions(
        _ resource: Resource, _ old: Object, uid: String?, resourceVersion: String?
    ) throws(Problem) {
        if let uid, !uid.isEmpty, uid != old.uid {
            throw .conflict(
                resource, old.name, "Precondition failed: UID in precondition: \(uid), UID in object meta: \(old.uid)")
        }
        if let resourceVersion, !resourceVersion.isEmpty, resourceVersion != "0", resourceVersion != old.resourceVersion
        {
            throw .conflict(resource, old.name, KubernetesAPI.modified)
        }
    }
}
