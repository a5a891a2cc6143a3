// Server-side apply: PATCH with `application/apply-patch+yaml` (upstream: handlers/patch.go, applyPatcher).

import Formats
import HTTPTypes
import Objects

/// The body and the options of an apply.
struct ApplyRequest: Sendable {
    static let contentType = "application/apply-patch+yaml"

    var configuration: JSON
    /// What `fieldValidation` lets through of members that the body has twice.
    let warnings: [String]
    let isForced: Bool

    static func isApply(_ call: APICall) -> Bool { MediaRange.list(call.contentType).first?.type == contentType }

    /// Throws 422 without a field manager and 400 for a body that is no configuration of this kind.
    init(_ call: APICall, kind: (apiVersion: String, kind: String)? = nil) throws(Problem) {
        if try call.fieldManager().isEmpty {
            throw Problem.invalidOptions(.patch, [.required("fieldManager", "is required for apply patch")])
        }
        isForced = call.query.flag("force")
        let document: YAMLDocument
        do throws(FormatProblem) {
            document = try YAMLDocument(parsing: call.body)
        } catch {
            throw .badRequest("error decoding YAML: \(error)")
        }
        configuration = document.value
        warnings = try ApplyRequest.settled(document.duplicates, try FieldValidation(call))
        guard configuration.object != nil else { throw .badRequest("error decoding YAML: the patch is not an object") }
        if let list = configuration["metadata", "managedFields"], !list.isNull {
            throw .badRequest("metadata.managedFields must be nil")
        }
        let kind = kind ?? (call.resource.apiVersion, call.resource.kind)
        let version = configuration["apiVersion"]?.string ?? ""
        guard version == kind.apiVersion else {
            throw .badRequest(
                "Incorrect version specified in apply patch. Specified patch version: \(version), expected: "
                    + kind.apiVersion)
        }
        guard configuration["kind"]?.string == kind.kind else {
            throw .badRequest(
                "invalid object kind in apply patch: \(configuration["kind"]?.string ?? ""), expected: \(kind.kind)")
        }
    }

    private static func settled(_ findings: [String], _ directive: FieldValidation) throws(Problem) -> [String] {
        if findings.isEmpty || directive == .ignore { return [] }
        let text = "yaml: unmarshal errors:\n  " + findings.joined(separator: "\n  ")
        if directive == .strict { throw .badRequest("error strict decoding YAML: \(text)") }
        return findings
    }
}

extension KubernetesAPI {
    /// Applies to the object, which is made where it is missing.
    func apply(_ call: APICall) async throws -> APIAnswer {
        let request = try ApplyRequest(call)
        let isDryRun = try call.isDryRun()
        let tracking = try fieldTracking(call)
        let name = call.name ?? ""
        for _ in 0..<limits.writeAttempts {
            if try records.get(call.resource, namespace: call.namespace, name: name) == nil {
                do {
                    return try await createApplied(request, call, tracking)
                } catch let problem as Problem where problem.reason == .alreadyExists {
                    continue
                }
            }
            do {
                var warnings: [String] = []
                let changed = try await change(
                    call.resource, namespace: call.namespace, name: name, isDryRun: isDryRun
                ) { old in
                    let applied = try KubernetesAPI.applied(request, to: old, call, tracking)
                    let wanted = try call.checkedObject(applied.tree.withoutNulls)
                    warnings = request.warnings + wanted.warnings
                    try checkNames(wanted.object, call)
                    try checkPreconditions(
                        call.resource, old, uid: wanted.object.uid, resourceVersion: wanted.object.resourceVersion)
                    let account = tracking.deciding(applied.managed)
                    return try amend(old, to: wanted.object, of: call.served, tracking: account)
                }
                return try call.answer(with: changed.object, warnings: warnings, api: self)
            } catch let problem as Problem where problem.reason == .notFound {
                continue
            }
        }
        throw Problem.conflict(call.resource, name, KubernetesAPI.modified)
    }

    private func createApplied(
        _ request: ApplyRequest, _ call: APICall, _ tracking: FieldTracking
    ) async throws -> APIAnswer {
        if let uid = request.configuration["metadata", "uid"]?.string, !uid.isEmpty {
            throw Problem.conflict(
                call.resource, call.name ?? "",
                "uid mismatch: the provided object specified uid \(uid), and no existing object was found")
        }
        try authorizeCreation(call)
        let applied = try KubernetesAPI.applied(request, to: nil, call, tracking)
        let wanted = try call.checkedObject(applied.tree.withoutNulls)
        try checkNames(wanted.object, call)
        return try await create(
            call, (wanted.object, request.warnings + wanted.warnings), tracking: tracking.deciding(applied.managed))
    }

    static func applied(
        _ request: ApplyRequest, to old: Object?, _ call: APICall, _ tracking: FieldTracking
    ) throws(Problem) -> OwnershipMachine.Applied {
        let managed: ManagedFields
        do throws(FormatProblem) {
            managed = try ManagedFields(old?.tree["metadata", "managedFields"])
        } catch {
            throw Problem(.unknown, "failed to decode managed fields: \(error)")
        }
        do throws(OwnershipMachine.Refusal) {
            return try tracking.machine.appliedByClient(
                request.configuration, to: old?.tree, managed, by: tracking.name, force: request.isForced,
                at: tracking.time)
        } catch {
            switch error {
            case .unfitting(let faults):
                let group = call.resource.group
                throw Problem(
                    .unknown,
                    "failed to create typed patch object (\(call.namespace)/\(call.name ?? ""); "
                        + "\(group)/\(call.resource.version), Kind=\(call.resource.kind)): \(faults)")
            case .malformed(let message): throw Problem(.unknown, message)
            case .conflicts(let conflicts):
                var problem = Problem(.conflict, conflicts.message)
                problem.causes = conflicts.causes.map {
                    Problem.Cause(reason: "FieldManagerConflict", message: $0.message, field: $0.field)
                }
                throw problem
            }
        }
    }
}
