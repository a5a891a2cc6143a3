// Delete and deletecollection: preconditions, grace, finalizers, then removal (upstream:
// registry/generic/registry/store.go).

import CustomResources
import Formats
import HTTPTypes
import Objects

/// The options of a delete, from the body or, where that is empty, from the query.
struct DeleteOptions: Sendable {
    enum Propagation: String, Sendable { case orphan = "Orphan", background = "Background", foreground = "Foreground" }

    var gracePeriodSeconds: Int?
    var propagation: Propagation?
    var uid: String?
    var resourceVersion: String?
    var isDryRun: Bool

    static let foregroundFinalizer = "foregroundDeletion"
    static let orphanFinalizer = "orphan"

    /// What there is when nothing is asked for.
    init() { isDryRun = false }

    init(_ call: APICall) throws(Problem) {
        let tree: JSON =
            call.body.isEmpty
            ? [:]
            : try Negotiation.document(
                call.body, contentType: call.contentType, kind: ("meta.k8s.io/v1", "DeleteOptions")
            ).tree
        try self.init(tree: tree, call)
    }

    /// Options that came in the body of another object, as an Eviction's do; what they leave out the query says.
    init(tree: JSON, _ call: APICall) throws(Problem) {
        let asked = try call.query.integer("gracePeriodSeconds")
        gracePeriodSeconds = tree["gracePeriodSeconds"]?.integer ?? asked
        uid = tree["preconditions", "uid"]?.string
        resourceVersion = tree["preconditions", "resourceVersion"]?.string
        isDryRun = try call.isDryRun()
        if let values = tree["dryRun"]?.strings, !values.isEmpty {
            guard values.allSatisfy({ $0 == "All" }) else {
                throw DeleteOptions.invalid([.notSupported("dryRun", .array(values.map { .string($0) }), ["All"])])
            }
            isDryRun = true
        }
        let orphans =
            tree["orphanDependents"]?.bool
            ?? call.query["orphanDependents"].map { _ in
                call.query.flag("orphanDependents")
            }
        if let text = tree["propagationPolicy"]?.string ?? call.query["propagationPolicy"], !text.isEmpty {
            if orphans != nil {
                throw DeleteOptions.invalid([
                    .invalid(
                        "propagationPolicy", .string(text),
                        "orphanDependents and deletionPropagation cannot be both set")
                ])
            }
            guard let policy = Propagation(rawValue: text) else {
                throw DeleteOptions.invalid([
                    .notSupported("propagationPolicy", .string(text), ["Background", "Foreground", "Orphan"])
                ])
            }
            propagation = policy
        } else if let orphans {
            propagation = orphans ? .orphan : .background
        }
    }

    private static func invalid(_ faults: [FieldFault]) -> Problem {
        .invalid(
            Resource(group: "meta.k8s.io", version: "v1", kind: "DeleteOptions", plural: "deleteoptions"), "", faults)
    }

    /// A delete of one state of one object, as preconditions ask for (upstream: storage.Preconditions).
    func check(_ resource: Resource, _ old: Object) throws(Problem) {
        if let uid, !uid.isEmpty, uid != old.uid {
            throw .conflict(
                resource, old.name, "Precondition failed: UID in precondition: \(uid), UID in object meta: \(old.uid)")
        }
        if let resourceVersion, !resourceVersion.isEmpty, resourceVersion != old.resourceVersion {
            throw .conflict(
                resource, old.name,
                "Precondition failed: ResourceVersion in precondition: \(resourceVersion), ResourceVersion in object "
                    + "meta: \(old.resourceVersion)")
        }
    }
}

extension KubernetesAPI {
    func delete(_ call: APICall) async throws -> APIAnswer {
        let options = try DeleteOptions(call)
        let changed = try await remove(call, name: call.name ?? "", options)
        if changed.isRemoved, !call.strategy.returnsDeleted {
            let presentation = try Negotiation.presentation(accept: call.accept, query: call.query, hasProtobuf: true)
            return .rendered(deletedStatus(call.resource, changed.object), presentation)
        }
        return try call.answer(with: changed.object, api: self)
    }

    func deleteCollection(_ call: APICall) async throws -> APIAnswer {
        // Deletes reach through one namespace at most.
        if call.resource.isNamespaced, call.namespace.isEmpty { throw call.methodNotAllowed }
        let options = try DeleteOptions(call)
        let list = try ListOptions(call.query, selectable: call.strategy.selectableFields)
        var items: [JSON] = []
        for record in try selectedPage(call, list).records {
            let object = try ObjectRecords.object(of: record, as: call.resource)
            var each = call
            each.namespace = object.namespace
            do {
                items.append(try await remove(each, name: object.name, options).object.tree)
            } catch let problem as Problem where problem.reason == .notFound {
                continue
            }
        }
        let tree: JSON = [
            "kind": .string(call.resource.kind + "List"), "apiVersion": .string(call.resource.apiVersion),
            "metadata": ["resourceVersion": .string(String(records.store.revision))], "items": .array(items),
        ]
        return .rendered(tree, try call.presentation())
    }

    func remove(_ call: APICall, name: String, _ options: DeleteOptions) async throws -> Changed {
        if call.resource == .namespaces, NamespaceStrategy.immortal.contains(name) {
            throw Problem.forbidden(.namespaces, name, "this namespace may not be deleted")
        }
        let now = environment.now()
        return try await change(
            call.resource, namespace: call.namespace, name: name, isDryRun: options.isDryRun
        ) { old in
            try options.check(call.resource, old)
            return KubernetesAPI.deletion(of: old, call.served, options, now: now)
        }
    }

    /// What a delete makes of an object.
    static func deletion(
        of old: Object, _ served: ServedResource, _ options: DeleteOptions, now: Timestamp
    ) -> ChangeOutcome {
        var new = old
        new.finalizers = finalizers(
            old.finalizers, options.propagation, orphansByDefault: WriteRules.orphansByDefault(served.resource))
        if served.resource == .namespaces { return namespaceDeletion(new, old, now) }
        if served.resource == Definition.resource { return definitionDeletion(of: old, new, now) }
        let graceful = served.strategy.gracePeriodSeconds(of: old, asked: options.gracePeriodSeconds)
        if old.isTerminating {
            guard let pending = old.tree["metadata", "deletionGracePeriodSeconds"]?.integer, graceful != nil else {
                return new.finalizers.isEmpty ? .removed(new) : new == old ? .unchanged : .replaced(new)
            }
            // A second delete can only shorten the grace period.
            guard let asked = options.gracePeriodSeconds.map({ $0 < 0 ? 1 : $0 }), asked < pending else {
                return pending == 0 && old.finalizers.isEmpty ? .removed(old) : .unchanged
            }
            let began = old.deletionTimestamp.flatMap(Timestamp.init(rfc3339:)) ?? now
            mark(&new, at: began - .seconds(pending) + .seconds(asked), graceSeconds: asked)
            return asked == 0 && new.finalizers.isEmpty ? .removed(new) : .replaced(new)
        }
        let seconds = graceful ?? 0
        mark(&new, at: now + .seconds(seconds), graceSeconds: seconds)
        if graceful != nil, old.generation > 0 { new.tree["metadata", "generation"] = JSON(old.generation + 1) }
        return seconds == 0 && new.finalizers.isEmpty ? .removed(new) : .replaced(new)
    }

    /// A namespace first becomes Terminating; it goes when the namespace controller has emptied it.
    private static func namespaceDeletion(_ new: Object, _ old: Object, _ now: Timestamp) -> ChangeOutcome {
        var new = new
        if !old.isTerminating { mark(&new, at: now, graceSeconds: nil) }
        new.tree["status", "phase"] = "Terminating"
        if new.finalizers.isEmpty, new["spec", "finalizers"]?.array?.isEmpty ?? true { return .removed(new) }
        return new == old ? .unchanged : .replaced(new)
    }

    private static func mark(_ object: inout Object, at moment: Timestamp, graceSeconds: Int?) {
        object.tree["metadata", "deletionTimestamp"] = .string(moment.rfc3339)
        object.tree["metadata", "deletionGracePeriodSeconds"] = graceSeconds.map { JSON($0) }
    }

    /// The garbage collector's finalizers follow the policy; without one they stay as they are, or where there are none
    /// follow the kind's own way.
    private static func finalizers(
        _ old: [String], _ propagation: DeleteOptions.Propagation?, orphansByDefault: Bool
    ) -> [String] {
        guard let propagation else {
            let isDecided = old.contains {
                [DeleteOptions.foregroundFinalizer, DeleteOptions.orphanFinalizer].contains($0)
            }
            return orphansByDefault && !isDecided ? old + [DeleteOptions.orphanFinalizer] : old
        }
        var list = old.filter { $0 != DeleteOptions.foregroundFinalizer && $0 != DeleteOptions.orphanFinalizer }
        switch propagation {
        case .background: break
        case .foreground: list.append(DeleteOptions.foregroundFinalizer)
        case .orphan: list.append(DeleteOptions.orphanFinalizer)
        }
        return list
    }

    private func deletedStatus(_ resource: Resource, _ object: Object) -> JSON {
        var details: JSON = ["name": .string(object.name)]
        if !resource.group.isEmpty { details["group"] = .string(resource.group) }
        details["kind"] = .string(resource.plural)
        details["uid"] = .string(object.uid)
        return ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details]
    }
}
