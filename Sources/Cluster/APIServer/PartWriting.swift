// How a part of an object that has an endpoint of its own is written: as a whole object, by a patch, or by an apply.

import Formats
import HTTPTypes
import Objects

/// The body of a PUT or a PATCH, read and not yet laid over anything.
enum WriteRequest: Sendable {
    case whole(Object, warnings: [String])
    case patch(Patch)
    case apply(ApplyRequest)

    /// Throws 405 for other methods. `kind` is what the endpoint shows, where that is not the resource's own kind.
    init(_ call: APICall, kind: (apiVersion: String, kind: String)? = nil) throws(Problem) {
        switch call.request.method {
        case .put:
            let decoded = try call.decodedObject(kind: kind)
            self = .whole(decoded.object, warnings: decoded.warnings)
        case .patch where ApplyRequest.isApply(call): self = .apply(try ApplyRequest(call, kind: kind))
        case .patch: self = .patch(try Patch(call))
        default: throw call.methodNotAllowed
        }
    }

    /// What the client wants `old` to be, and the account of it. An apply says nothing of the `unreached` fields.
    fileprivate func wanted(
        _ old: Object, _ call: APICall, _ tracking: FieldTracking, unreached: ([JSON]) -> FieldSet
    ) throws(Problem) -> (object: Object, warnings: [String], tracking: FieldTracking) {
        switch self {
        case .whole(let object, let warnings): return (object, warnings, tracking)
        case .patch(let patch):
            let checked = try call.checkedObject(try patch.apply(to: old, call), findings: patch.findings)
            return (checked.object, checked.warnings, tracking)
        case .apply(let request):
            let tracking = tracking.ignoring(unreached([old.tree, request.configuration]))
            let applied = try KubernetesAPI.applied(request, to: old, call, tracking)
            let checked = try call.checkedObject(applied.tree.withoutNulls)
            return (checked.object, request.warnings + checked.warnings, tracking.deciding(applied.managed))
        }
    }
}

extension KubernetesAPI {
    /// Answers for a part of an object: GET shows the object, PUT and PATCH want something of it.
    ///
    /// `unreached` names the fields of the given trees that writers of the part do not reach. `outcome` decides what
    /// becomes of `old`; it keeps the given account and has no effects of its own, apart from throwing.
    func part(
        _ subresource: ServedSubresource, _ call: APICall, unreached: ([JSON]) -> FieldSet,
        outcome: (_ old: Object, _ wanted: Object, _ tracking: FieldTracking) throws -> ChangeOutcome
    ) async throws -> APIAnswer {
        if [.get, .head].contains(call.request.method) {
            return try call.answer(with: try existing(call).object, api: self)
        }
        let request = try WriteRequest(call)
        if case .whole(let object, _) = request { try checkNames(object, call) }
        let tracking = try fieldTracking(call, subresource: subresource.rawValue)
        var warnings: [String] = []
        let changed = try await change(
            call.resource, namespace: call.namespace, name: call.name ?? "", isDryRun: try call.isDryRun()
        ) { old in
            let wanted = try request.wanted(old, call, tracking, unreached: unreached)
            warnings = wanted.warnings
            try checkNames(wanted.object, call)
            try checkPreconditions(
                call.resource, old, uid: wanted.object.uid, resourceVersion: wanted.object.resourceVersion)
            return try outcome(old, wanted.object, wanted.tracking)
        }
        return try call.answer(with: changed.object, warnings: warnings, api: self)
    }

    func status(_ call: APICall) async throws -> APIAnswer {
        try await part(.status, call, unreached: call.served.unreachedByStatus) { old, wanted, tracking in
            try amendStatus(old, to: wanted, of: call.served, tracking: tracking)
        }
    }
}
