// Create, update and patch.

import Formats
import HTTPTypes
import Objects
import Storage

extension KubernetesAPI {
    /// Creates what a client sent; `given` is what an apply to nothing, or an update of it, made.
    func create(
        _ call: APICall, _ given: (object: Object, warnings: [String])? = nil, tracking: FieldTracking? = nil
    ) async throws -> APIAnswer {
        let decoded = try given ?? call.decodedObject()
        var object = decoded.object
        try checkRevisionAbsent(object)
        try placeInNamespace(&object, call)
        let isDryRun = try call.isDryRun()
        let warnings =
            decoded.warnings + call.strategy.warnings(for: object, from: nil)
            + NotActedUpon.warnings(for: object, of: call.resource)
        prepareFresh(&object, call.served)
        let created = try await store(
            object, call, isDryRun: isDryRun, tracking: try tracking ?? fieldTracking(call))
        return try call.answer(with: created.object, storedAs: created.bytes, code: 201, warnings: warnings, api: self)
    }

    /// Creates an object of this program's own making, unless it is there; the way in for start-up.
    func ensure(_ object: Object, of resource: Resource) async throws {
        guard let served = served.find(resource) else { return }
        guard try records.get(resource, namespace: object.namespace, name: object.name) == nil else { return }
        var object = object
        prepareFresh(&object, served)
        let call = APICall(
            request: HTTPRequest(method: .post, scheme: nil, authority: nil, path: nil), query: Query(), served: served,
            namespace: object.namespace, name: nil, body: [])
        do {
            _ = try await store(
                object, call, isDryRun: false,
                tracking: FieldTracking(
                    name: FieldTracking.ownName, time: environment.now(), served: served,
                    ignored: served.unreachedFields))
        } catch let problem as Problem where problem.reason == .alreadyExists {
            return
        }
    }

    /// Validates and stores, trying other names where the name is generated.
    private func store(
        _ object: Object, _ call: APICall, isDryRun: Bool, tracking: FieldTracking
    ) async throws -> (object: Object, bytes: [UInt8]?) {
        var object = object
        let base = object.tree["metadata", "generateName"]?.string ?? ""
        let generates = object.name.isEmpty && !base.isEmpty
        for _ in 0..<limits.nameAttempts {
            if generates { object.name = String(base.prefix(58)) + environment.makeNameSuffix() }
            var fresh = object
            call.strategy.setDefaults(&fresh)
            // What admission adds is nobody's, as upstream has it.
            tracking.account(for: &fresh, sent: object.tree["metadata", "managedFields"])
            try await admitAccount(&fresh, of: call.resource)
            try await admit(&fresh, of: call.resource)
            call.strategy.prepareForCreate(&fresh)
            try checkFresh(fresh, call)
            try authorizeContent(fresh, replacing: nil, of: call.resource)
            try restrictSubject(of: fresh, call.resource)
            if isDryRun {
                if try records.get(call.resource, namespace: fresh.namespace, name: fresh.name) != nil {
                    throw Problem.alreadyExists(call.resource, fresh.name)
                }
                return (fresh, nil)
            }
            let claim = try allocateAddresses(for: &fresh, replacing: nil, call.resource)
            do throws(StoreFailure) {
                let record = try await records.create(fresh, of: call.resource)
                fresh.resourceVersion = String(record.revision)
                return (fresh, record.bytes)
            } catch {
                release(claim.taken)
                switch error {
                case .exists where generates: continue
                case .refused(let problem): throw problem
                default: throw Problem.alreadyExists(call.resource, fresh.name)
                }
            }
        }
        var problem = Problem.alreadyExists(call.resource, object.name)
        problem.retryAfterSeconds = 1
        throw problem
    }

    /// The namespace of the path and that of the object must agree, exist and not be on its way out.
    private func placeInNamespace(_ object: inout Object, _ call: APICall) throws {
        object.tree.fill("metadata", [:])
        guard call.resource.isNamespaced else {
            object.namespace = ""
            return
        }
        if call.namespace.isEmpty { throw Problem.badRequest("an empty namespace may not be set during creation") }
        guard object.namespace.isEmpty || object.namespace == call.namespace else {
            throw Problem.badRequest(
                "the namespace of the provided object does not match the namespace sent on the request")
        }
        object.namespace = call.namespace
        guard try !records.isEnding(namespace: call.namespace) else {
            throw terminating(call, object)
        }
    }

    private func terminating(_ call: APICall, _ object: Object) -> Problem {
        var problem = Problem.forbidden(
            call.resource, object.name,
            "unable to create new content in namespace \(call.namespace) because it is being terminated")
        problem.causes = [
            .init(
                reason: Problem.namespaceTerminating, message: "namespace \(call.namespace) is being terminated",
                field: "metadata.namespace")
        ]
        return problem
    }

    /// Sets what the system owns of a fresh object.
    private func prepareFresh(_ object: inout Object, _ served: ServedResource) {
        let owned = [
            "resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
            "generation",
        ]
        object.tree.change("metadata") { metadata in
            for field in owned { metadata[field] = nil }
            metadata["uid"] = .string(environment.makeUID())
            metadata["creationTimestamp"] = .string(environment.now().rfc3339)
            if served.strategy.hasGeneration { metadata["generation"] = 1 }
        }
        if served.strategy.hasStatus, served.resource != .nodes { object.status = [:] }
    }

    private func checkFresh(_ object: Object, _ call: APICall) throws(Problem) {
        var faults: [FieldFault] = []
        if object.name.isEmpty {
            faults.append(.required("metadata.name", "name or generateName is required"))
        } else if let fault = NameRules.fault(object.name, call.strategy.nameRule) {
            faults.append(.invalid("metadata.name", .string(object.name), fault))
        }
        faults += call.served.metadataFaults(of: object)
        faults += call.strategy.faults(in: object) + call.strategy.creationFaults(in: object)
        if !faults.isEmpty { throw .invalid(call.resource, object.name, faults) }
    }

    func update(_ call: APICall) async throws -> APIAnswer {
        let decoded = try call.decodedObject()
        let tracking = try fieldTracking(call)
        try checkNames(decoded.object, call)
        if WriteRules.isCreatedByUpdate(call.resource), decoded.object.resourceVersion.isEmpty,
            try records.get(call.resource, namespace: call.namespace, name: call.name ?? "") == nil
        {
            try authorizeCreation(call)
            return try await create(call, decoded, tracking: tracking)
        }
        try checkRevisionGiven(decoded.object, call)
        let changed = try await change(
            call.resource, namespace: call.namespace, name: call.name ?? "", isDryRun: try call.isDryRun()
        ) { old in
            try checkPreconditions(
                call.resource, old, uid: decoded.object.uid, resourceVersion: decoded.object.resourceVersion)
            return try amend(old, to: decoded.object, of: call.served, tracking: tracking)
        }
        let warnings = decoded.warnings + call.strategy.warnings(for: changed.object, from: nil)
        return try call.answer(with: changed.object, warnings: warnings, api: self)
    }

    /// Name and namespace in the body, where given, are those of the path.
    func checkNames(_ object: Object, _ call: APICall) throws(Problem) {
        let name = call.name ?? ""
        if object.name != name {
            throw .badRequest("the name of the object (\(object.name)) does not match the name on the URL (\(name))")
        }
        if !object.namespace.isEmpty, object.namespace != call.namespace {
            throw .badRequest(
                "the namespace of the object (\(object.namespace)) does not match the namespace on the request "
                    + "(\(call.namespace))")
        }
    }

    func patch(_ call: APICall) async throws -> APIAnswer {
        if ApplyRequest.isApply(call) { return try await apply(call) }
        let patch = try Patch(call)
        let tracking = try fieldTracking(call)
        var warnings: [String] = []
        let changed = try await change(
            call.resource, namespace: call.namespace, name: call.name ?? "", isDryRun: try call.isDryRun()
        ) { old in
            let wanted = try call.checkedObject(try patch.apply(to: old, call), findings: patch.findings)
            warnings = wanted.warnings
            try checkNames(wanted.object, call)
            try checkPreconditions(
                call.resource, old, uid: wanted.object.uid, resourceVersion: wanted.object.resourceVersion)
            return try amend(old, to: wanted.object, of: call.served, tracking: tracking)
        }
        return try call.answer(with: changed.object, warnings: warnings, api: self)
    }
}
