// Decides who owns which fields after a write, and what an applied object becomes.

import Formats

/// One write's view of ownership; pure (upstream: `structured-merge-diff`, `merge/update.go`, and apimachinery's
/// `util/managedfields/internal`).
package struct OwnershipMachine: Sendable {
    /// The type of the object, in the version of the write.
    package var type: any MergeType
    package var apiVersion: String
    /// The subresource that is written, empty for the object itself.
    package var subresource: String
    /// Fields that a write through this endpoint does not reach, with all below them.
    package var ignored: FieldSet

    package init(
        type: any MergeType, apiVersion: String, subresource: String = "", ignored: FieldSet = FieldSet()
    ) {
        self.type = type
        self.apiVersion = apiVersion
        self.subresource = subresource
        self.ignored = ignored
    }

    /// The name of what existed before the first apply to an object that nobody's ownership was known of.
    package static let beforeFirstApply = "before-first-apply"

    /// Metadata that the system owns and that nobody is shown to own.
    static let systemFields = FieldSet([
        ElementPath("apiVersion"), ElementPath("kind"), ElementPath("metadata"), ElementPath("metadata", "name"),
        ElementPath("metadata", "namespace"), ElementPath("metadata", "creationTimestamp"),
        ElementPath("metadata", "selfLink"), ElementPath("metadata", "uid"), ElementPath("metadata", "clusterName"),
        ElementPath("metadata", "generation"), ElementPath("metadata", "managedFields"),
        ElementPath("metadata", "resourceVersion"),
    ])

    /// Ownership after an ordinary write that made `new` of `live`: the writer owns what it changed, whoever owned it.
    ///
    /// `live` nil is a create. Objects whose ownership is not known stay so.
    package func updated(
        _ managed: ManagedFields, from live: JSON?, to new: JSON, by name: String, at time: String
    ) -> ManagedFields {
        if live != nil, managed.isEmpty { return managed }
        let writer = FieldWriter(name: name, operation: .update, apiVersion: apiVersion, subresource: subresource)
        return updated(managed, from: live, to: new, by: writer, at: time)
    }

    private func updated(
        _ managed: ManagedFields, from live: JSON?, to new: JSON, by writer: FieldWriter, at time: String
    ) -> ManagedFields {
        // A create is compared with an object without content, so that nobody comes to own the whole of it.
        let comparison = Comparison(from: Self.plain(live) ?? [:], to: Self.plain(new), type: type).without(ignored)
        if comparison.isSame { return managed }
        var result = managed
        let taken = comparison.modified.union(comparison.added)
        let lost = taken.union(comparison.removed)
        result.editFields { owner, fields in
            owner == writer ? fields.subtracting(comparison.removed) : fields.subtracting(lost)
        }
        let own = taken.subtractingTrees(ignored).subtracting(Self.systemFields)
        if !own.isEmpty {
            result.set((result[writer]?.fields ?? FieldSet()).union(own), of: writer, time: time)
        }
        result.capUpdaters()
        return result
    }

    /// The outcome of an apply.
    package struct Applied: Sendable {
        package var tree: JSON
        package var managed: ManagedFields
    }

    /// Why an apply was refused.
    package enum Refusal: Error, Sendable {
        /// The configuration does not fit its type; what is wrong with it.
        case unfitting(String)
        case conflicts(Conflicts)
        case malformed(String)
    }

    /// Lays a configuration over the live object. `live` nil is a create.
    ///
    /// Fields that the applier had applied before and now leaves out go, unless somebody else owns them. Without
    /// `force` other owners' fields with other values are conflicts; with it they change hands.
    package func applied(
        _ configuration: JSON, to live: JSON?, _ managed: ManagedFields, by name: String, force: Bool, at time: String
    ) throws(Refusal) -> Applied {
        let configuration = Self.plain(configuration) ?? [:]
        let faults = TypeCheck.faults(in: configuration, type: type)
        if !faults.isEmpty { throw .unfitting(faults.text) }
        let before = Self.plain(live) ?? [:]
        var managed = managed
        if managed.isEmpty, let live {
            let existing = FieldWriter(
                name: Self.beforeFirstApply, operation: .update, apiVersion: apiVersion, subresource: subresource)
            managed = updated(managed, from: nil, to: live, by: existing, at: time)
        }
        let writer = FieldWriter(name: name, operation: .apply, apiVersion: apiVersion, subresource: subresource)
        let last = managed[writer]
        let merged: JSON
        do throws(TypeFault) {
            merged = try Merge.merge(before, configuration, type) ?? [:]
        } catch {
            throw .malformed("failed to merge config: \(error)")
        }
        let own = FieldSet(of: configuration, type: type).subtractingTrees(ignored)
        var owners = managed
        owners.set(own, of: writer, time: time)
        let pruned = prune(merged, owners, last: last?.fields)

        let comparison = Comparison(from: before, to: pruned, type: type).without(ignored)
        let changed = comparison.modified.union(comparison.added)
        let conflicts = Conflicts(
            owners.entries.filter { $0.writer != writer }.map { ($0.writer, $0.fields.intersection(changed)) })
        if !conflicts.isEmpty, !force { throw .conflicts(conflicts) }
        let lost = changed.union(comparison.removed)
        owners.editFields { owner, fields in
            (owner == writer ? fields : fields.subtracting(lost)).subtracting(Self.systemFields)
        }
        return Applied(tree: Self.restored(pruned, from: live), managed: owners)
    }

    /// Takes out what the applier owned and no longer wants, except what others own or what lies in something that
    /// stays (upstream: `prune`, `addBackOwnedItems`, `addBackDanglingItems`).
    private func prune(_ merged: JSON, _ owners: ManagedFields, last: FieldSet?) -> JSON {
        guard let last, !last.isEmpty else { return merged }
        func declared(_ set: FieldSet) -> FieldSet { set.withDeclaredFields(of: type) }
        func without(_ set: FieldSet) -> JSON { Removal.removing(set, from: merged, type) ?? [:] }
        let mergedSet = declared(FieldSet(of: merged, type: type))
        let bare = without(declared(last))
        let owned = owners.entries.reduce(FieldSet()) { $0.union($1.fields) }
        let kept = declared(FieldSet(of: bare, type: type)).union(declared(owned))
        let withOwned = without(mergedSet.subtracting(kept))
        let withOwnedSet = declared(FieldSet(of: withOwned, type: type))
        return without(mergedSet.subtracting(withOwnedSet).intersection(declared(last)))
    }

    /// An object without its `managedFields`, which own and are owned by nobody.
    private static func plain(_ object: JSON?) -> JSON? {
        guard var object, object["metadata", "managedFields"] != nil else { return object }
        object["metadata", "managedFields"] = nil
        return object
    }

    /// Gives a merged object back the list that it was compared without.
    private static func restored(_ object: JSON, from live: JSON?) -> JSON {
        var object = object
        if let list = live?["metadata", "managedFields"] { object["metadata", "managedFields"] = list }
        return object
    }
}
