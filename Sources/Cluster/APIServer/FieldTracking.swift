// Keeps `metadata.managedFields`: which of the writers of an object owns which of its fields.

import Formats
import HTTPTypes
import Objects

/// One write's account of the fields that it changes.
struct FieldTracking: Sendable {
    /// The field manager of this program's own first objects.
    static let ownName = "mangrove"
    /// Bytes of a field manager's name.
    static let nameLimit = 128

    let name: String
    let time: String
    private(set) var machine: OwnershipMachine
    /// What an apply has already decided; nil lets the comparison of the two states decide.
    private var decided: ManagedFields?

    init(
        name: String, time: Timestamp, served: ServedResource, subresource: String = "", ignored: FieldSet = FieldSet()
    ) {
        self.name = name
        self.time = time.rfc3339
        machine = OwnershipMachine(
            type: served.mergeType, apiVersion: served.resource.apiVersion, subresource: subresource, ignored: ignored)
    }

    /// The account of a write through an endpoint that does not reach these fields.
    func ignoring(_ fields: FieldSet) -> FieldTracking {
        var tracking = self
        tracking.machine.ignored = fields
        return tracking
    }

    /// The account of an apply, whose ownership is known with its outcome.
    func deciding(_ managed: ManagedFields) -> FieldTracking {
        var tracking = self
        tracking.decided = managed
        return tracking
    }

    /// Sets the list of a fresh object. `sent` is the list that came with it, as restored backups have.
    func account(for fresh: inout Object, sent: JSON?) {
        var managed = decided
        if managed == nil {
            managed = machine.updated(
                FieldTracking.readable(sent) ?? ManagedFields(), from: nil, to: fresh.tree, by: name, at: time)
        }
        fresh.tree["metadata", "managedFields"] = managed?.tree
    }

    /// Sets the list of `new`, which is made of `old`. A list that the writer sent replaces the stored one, the single
    /// empty entry erases it; subresources take no list.
    func account(for new: inout Object, from old: Object, sent: JSON?) {
        let stored = old.tree["metadata", "managedFields"]
        new.tree["metadata", "managedFields"] = stored
        if let decided {
            let isSame = new == old && decided.isSameApartFromTimes(FieldTracking.readable(stored) ?? ManagedFields())
            if !isSame { new.tree["metadata", "managedFields"] = decided.tree }
            return
        }
        let sent = machine.subresource.isEmpty ? sent : nil
        if new == old, sent == nil || sent == stored { return }
        var managed = ManagedFields()
        if !ManagedFields.isReset(sent) {
            let given = FieldTracking.readable(sent)
            managed = given?.isEmpty == false ? given ?? managed : FieldTracking.readable(stored) ?? managed
        }
        managed = machine.updated(managed, from: old.tree, to: new.tree, by: name, at: time)
        new.tree["metadata", "managedFields"] = managed.tree
    }

    /// A list that cannot be read counts as none, as upstream has it: ownership must not stand in a write's way.
    private static func readable(_ list: JSON?) -> ManagedFields? { try? ManagedFields(list) }
}

extension ServedResource {
    /// How objects of the resource merge; what has no schema merges as its values suggest.
    var mergeType: any MergeType {
        strategy.mergeType ?? type.map { SchemaMergeType($0) } ?? DeducedType()
    }

    /// Fields that writers of the object itself do not reach: they have subresources of their own.
    var unreachedFields: FieldSet {
        var paths: [ElementPath] = []
        if strategy.hasStatus { paths.append(ElementPath("status")) }
        if resource == .namespaces { paths.append(ElementPath("spec")) }
        return FieldSet(paths)
    }

    /// Fields that writers of the status do not reach: everything of these trees but status and metadata.
    func unreachedByStatus(_ trees: [JSON]) -> FieldSet {
        var paths = trees.flatMap { $0.object?.keys ?? [] }
            .filter { !["apiVersion", "kind", "metadata", "status"].contains($0) }.map { ElementPath($0) }
        if strategy.statusKeepsLabels { paths.append(ElementPath("metadata", "labels")) }
        return FieldSet(paths)
    }
}

extension KubernetesAPI {
    /// The account of a call's write: its field manager, or who its User-Agent says it is.
    func fieldTracking(_ call: APICall, subresource: String = "") throws(Problem) -> FieldTracking {
        let given = try call.fieldManager()
        return FieldTracking(
            name: given.isEmpty ? FieldTracking.name(userAgent: call.request.headerFields.text(.userAgent)) : given,
            time: environment.now(), served: call.served, subresource: subresource,
            ignored: subresource.isEmpty ? call.served.unreachedFields : FieldSet())
    }
}

extension FieldTracking {
    /// The part of a User-Agent before its first slash, without what cannot be printed.
    static func name(userAgent: String?) -> String {
        var name = ""
        for scalar in (userAgent ?? "").unicodeScalars {
            if scalar == "/" { break }
            guard isPrintable(scalar) else { continue }
            if name.utf8.count + String(scalar).utf8.count > nameLimit { break }
            name.unicodeScalars.append(scalar)
        }
        return name
    }

    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: scalar == " "
        default: true
        }
    }
}

extension APICall {
    /// The checked `fieldManager` parameter; empty when there is none.
    func fieldManager() throws(Problem) -> String {
        let name = query["fieldManager"] ?? ""
        if name.utf8.count > FieldTracking.nameLimit {
            throw .invalidOptions(
                request.method,
                [
                    FieldFault(
                        kind: .tooLong, path: "fieldManager",
                        message: "Too long: may not be more than \(FieldTracking.nameLimit) bytes")
                ])
        }
        if !name.unicodeScalars.allSatisfy(FieldTracking.isPrintable) {
            throw .invalidOptions(
                request.method, [.invalid("fieldManager", .string(name), "should only contain printable characters")])
        }
        return name
    }
}
