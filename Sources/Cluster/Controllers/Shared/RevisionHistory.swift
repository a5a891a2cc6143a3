// The templates that a workload had, kept in ControllerRevisions so that it can be rolled back.

import Client
import Formats
import Objects

/// Decides which ControllerRevision stands for a workload's template, after `kubernetes/pkg/controller/history`.
struct RevisionHistory: Sendable {
    enum Action: Sendable, Equatable {
        case create(Object)
        /// An old template came back: its revision gets the newest number.
        case renumber(Object)
    }

    let owner: Object
    /// The label that carries the hash of the template.
    let hashLabel: String
    /// Every revision that belongs to the owner, the oldest first.
    let revisions: [Object]

    init(owner: Object, hashLabel: String, revisions: [Object]) {
        self.owner = owner
        self.hashLabel = hashLabel
        self.revisions = revisions.indices.sorted {
            let (left, right) = (revisions[$0], revisions[$1])
            return (left.revisionNumber, left.created, left.name) < (right.revisionNumber, right.created, right.name)
        }.map { revisions[$0] }
    }

    /// What a revision stores: a strategic merge patch that puts the template back.
    static func data(of owner: Object) -> JSON {
        var template = owner.spec["template"] ?? [:]
        template["$patch"] = "replace"
        return ["spec": ["template": template]]
    }

    /// The template that a revision stores.
    static func template(of revision: Object) -> JSON {
        var template = revision["data", "spec", "template"] ?? [:]
        template["$patch"] = nil
        return template
    }

    /// The revision of the current template, and what must be written to have it.
    func current() -> (revision: Object, action: Action?) {
        let data = Self.data(of: owner)
        let next = (revisions.last?.revisionNumber ?? 0) + 1
        guard let equal = revisions.last(where: { $0["data"] == data }) else {
            let fresh = fresh(data, number: next)
            return (fresh, .create(fresh))
        }
        if equal.uid == revisions.last?.uid { return (equal, nil) }
        var renumbered = equal
        renumbered["revision"] = JSON(next)
        return (renumbered, .renumber(renumbered))
    }

    private func fresh(_ data: JSON, number: Int) -> Object {
        let hash = TemplateHash.text(
            owner.spec["template"] ?? .null, collisionCount: owner.statusCount("collisionCount"))
        var revision = Object(.controllerRevisions, namespace: owner.namespace, name: "\(owner.name)-\(hash)")
        revision.labels = owner.spec["template"]?["metadata", "labels"]?.stringMap ?? [:]
        revision.labels[hashLabel] = hash
        revision.annotations = owner.annotations.filter {
            $0.key != "kubectl.kubernetes.io/last-applied-configuration"
        }
        revision.ownerReferences = [OwnerReference(controller: owner)]
        revision["data"] = data
        revision["revision"] = JSON(number)
        return revision
    }

    /// The oldest revisions beyond the limit; one that a pod or the status still names stays.
    func surplus(limit: Int, live: Set<String>) -> [Object] {
        let dead = revisions.filter { !live.contains($0.name) }
        return Array(dead.prefix(max(0, dead.count - limit)))
    }
}

/// Writes revisions through the API.
struct RevisionKeeper: Sendable {
    let client: KubernetesClient
    let owners: Resource

    /// Makes the revision of the current template be there and answers it as stored.
    func settle(_ history: RevisionHistory) async throws -> Object {
        let (revision, action) = history.current()
        switch action {
        case nil: return revision
        case .renumber(let revision): return try await client.update(.controllerRevisions, revision)
        case .create(let revision):
            do {
                return try await client.create(.controllerRevisions, revision)
            } catch let problem as Problem where problem.reason == .alreadyExists {
                let other = try await client.get(.controllerRevisions, revision.key)
                // It is the wanted one, which the cache has not shown yet.
                if other["data"] == revision["data"], other.controllerReference?.uid == history.owner.uid {
                    return other
                }
                // The name is taken by another template: the next hash takes this count in.
                var owner = history.owner
                owner.status["collisionCount"] = JSON(owner.statusCount("collisionCount") + 1)
                try await client.update(owners, owner, subresource: "status")
                throw problem
            }
        }
    }

    func remove(_ revisions: [Object]) async throws {
        for revision in revisions {
            do {
                try await client.delete(.controllerRevisions, revision.key, uid: revision.uid)
            } catch let problem as Problem where problem.code == 404 {
                continue
            }
        }
    }
}

extension Object {
    /// The number of a ControllerRevision.
    var revisionNumber: Int { self["revision"]?.integer ?? 0 }
}
