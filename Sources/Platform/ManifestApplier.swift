// Brings manifests into the cluster the way `kubectl apply` does: create, or a three-way merge with what was applied
// last.

import Client
import Formats
import Objects

/// Applies objects one after another, in the order given.
package struct ManifestApplier: Sendable {
    static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

    package enum Result: String, Sendable {
        case created, configured, unchanged
    }

    private let client: KubernetesClient

    package init(client: KubernetesClient) { self.client = client }

    /// Applies one object; `List` objects are to be opened by the caller (`ManifestApplier.objects`).
    package func apply(_ manifest: Object) async throws -> Result {
        guard
            let resource = ResourceTable.all.first(where: {
                $0.apiVersion == manifest.apiVersion && $0.kind == manifest.kind
            })
        else {
            throw Problem.badRequest("no resource is served for kind \(manifest.kind) in \(manifest.apiVersion)")
        }
        var object = manifest
        if resource.isNamespaced, object.namespace.isEmpty { object.namespace = "default" }
        var annotations = object.annotations
        annotations[Self.lastApplied] = object.tree.text
        let configuration = object.tree
        object.annotations = annotations
        do {
            let stored = try await client.get(resource, object.key)
            var patch = object.tree
            let last = stored.annotations[Self.lastApplied].flatMap { try? JSON(parsing: $0) }
            if let last { Self.remove(from: &patch, what: last, lacks: configuration) }
            let kind: PatchKind = .strategicMerge
            let patched = try await client.patch(resource, object.key, kind, patch)
            return patched.resourceVersion == stored.resourceVersion ? .unchanged : .configured
        } catch let problem as Problem where problem.reason == .notFound {
            _ = try await client.create(resource, object)
            return .created
        }
    }

    /// The objects of a manifest's text, Lists opened.
    package static func objects(in text: String) throws(FormatProblem) -> [Object] {
        try JSON.documents(parsingYAML: text).flatMap { document -> [Object] in
            if document["kind"]?.string?.hasSuffix("List") == true, let items = document["items"]?.array {
                return items.map { Object($0) }
            }
            return document.isNull ? [] : [Object(document)]
        }
    }

    /// Sets to null in `patch` the members that were applied last time and are not any more. Lists are the merge's
    /// matter.
    private static func remove(from patch: inout JSON, what last: JSON, lacks now: JSON) {
        guard let members = last.object else { return }
        for member in members {
            if let kept = now[member.key] {
                guard case .object = kept, var child = patch[member.key] else { continue }
                remove(from: &child, what: member.value, lacks: kept)
                patch[member.key] = child
            } else {
                patch[member.key] = .null
            }
        }
    }
}
