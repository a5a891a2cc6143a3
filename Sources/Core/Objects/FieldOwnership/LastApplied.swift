// The way from client-side to server-side apply: what `kubectl apply` left in an annotation.

import Formats

/// The annotation in which client-side `kubectl apply` keeps what it last sent (upstream: `lastappliedmanager.go` and
/// `lastappliedupdater.go` in `util/managedfields/internal`). Only the applier named `kubectl` takes part.
package enum LastApplied {
    package static let annotation = "kubectl.kubernetes.io/last-applied-configuration"
    /// The field manager of `kubectl apply --server-side`.
    package static let applier = "kubectl"
    /// Bytes that all annotations of an object may have.
    static let annotationsLimit = 256 * 1024

    /// The fields that client-side apply set and that still have the values it gave them; nil without a usable
    /// annotation. An applier that takes them over is in nobody's way.
    static func fields(of live: JSON, type: any MergeType, apiVersion: String) -> FieldSet? {
        guard let text = live["metadata", "annotations", annotation]?.string, !text.isEmpty,
            let configuration = try? JSON(parsing: Array(text.utf8)),
            configuration["apiVersion"]?.string == apiVersion, TypeCheck.faults(in: configuration, type: type).isEmpty
        else { return nil }
        let comparison = Comparison(from: configuration, to: live, type: type)
        return FieldSet(of: configuration, type: type).subtracting(comparison.modified)
            .subtracting(comparison.added).subtracting(comparison.removed)
    }

    /// Makes an annotation that is there say what was applied now, so that client-side apply can be gone back to.
    static func refresh(_ object: inout JSON, with configuration: JSON) {
        guard case .object(var annotations)? = object["metadata", "annotations"],
            annotations[annotation]?.string?.isEmpty == false
        else { return }
        var configuration = configuration
        configuration["metadata", "managedFields"] = nil
        configuration["metadata", "annotations", annotation] = nil
        if configuration["metadata", "annotations"]?.object?.isEmpty == true {
            configuration["metadata", "annotations"] = nil
        }
        annotations[annotation] = .string(configuration.text + "\n")
        let size = annotations.reduce(0) { $0 + $1.key.utf8.count + ($1.value.string?.utf8.count ?? 0) }
        if size > annotationsLimit { annotations[annotation] = "" }
        object["metadata", "annotations"] = .object(annotations)
    }
}

extension OwnershipMachine {
    /// An apply by anybody: for `kubectl` with the allowances that its way from client-side apply needs.
    package func appliedByClient(
        _ configuration: JSON, to live: JSON?, _ managed: ManagedFields, by name: String, force: Bool, at time: String
    ) throws(Refusal) -> Applied {
        guard name == LastApplied.applier else {
            return try applied(configuration, to: live, managed, by: name, force: force, at: time)
        }
        var result: Applied
        do throws(Refusal) {
            result = try applied(configuration, to: live, managed, by: name, force: force, at: time)
        } catch {
            guard case .conflicts(let conflicts) = error, let live,
                let allowed = LastApplied.fields(of: live, type: type, apiVersion: apiVersion)
            else { throw error }
            let others = conflicts.without(allowed)
            if !others.isEmpty { throw .conflicts(others) }
            result = try applied(configuration, to: live, managed, by: name, force: true, at: time)
        }
        LastApplied.refresh(&result.tree, with: configuration)
        return result
    }
}
