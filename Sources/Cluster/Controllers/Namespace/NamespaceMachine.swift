// Decides what to delete of a namespace that is going, and when it may go.

import Formats
import Objects

/// After `kubernetes/pkg/controller/namespace/deletion`: pods first, then everything else, then the finalizer.
struct NamespaceMachine: Sendable {
    static let finalizer = "kubernetes"

    /// What is left of one resource.
    struct Content: Sendable {
        var resource: Resource
        var objects: [Object]
    }

    struct Decision: Sendable, Equatable {
        /// Objects to delete now.
        var doomed: [ObjectOfResource] = []
        var status: JSON
        /// Whether nothing is left and the finalizer goes.
        var isEmpty: Bool
    }

    struct ObjectOfResource: Sendable, Equatable {
        var resource: Resource
        var object: Object
    }

    let namespace: Object
    let now: Timestamp

    var needsFinalizing: Bool {
        namespace.isTerminating && (namespace.spec["finalizers"]?.strings ?? []).contains(Self.finalizer)
    }

    /// The pods alone while there are any: what they need must outlive them.
    ///
    /// `failures` are what went wrong on the way here: nothing is empty while something could not be looked at.
    func decide(_ contents: [Content], failures: [String] = []) -> Decision {
        let left = contents.filter { !$0.objects.isEmpty }
        let pods = left.filter { $0.resource.group.isEmpty && $0.resource.plural == "pods" }
        let turn = pods.isEmpty ? left : pods
        let doomed = turn.flatMap { content in
            content.objects.filter { !$0.isTerminating }.map {
                ObjectOfResource(resource: content.resource, object: $0)
            }
        }
        return Decision(
            doomed: doomed, status: status(left, failures), isEmpty: left.isEmpty && failures.isEmpty)
    }

    private func status(_ left: [Content], _ failures: [String]) -> JSON {
        var conditions = Conditions(namespace.status, now: now)
        conditions.set(
            "NamespaceDeletionDiscoveryFailure", "False", reason: "ResourcesDiscovered",
            message: "All resources successfully discovered")
        conditions.set(
            "NamespaceDeletionGroupVersionParsingFailure", "False", reason: "ParsedGroupVersions",
            message: "All legacy kube types successfully parsed")
        if failures.isEmpty {
            conditions.set(
                "NamespaceDeletionContentFailure", "False", reason: "ContentDeleted",
                message: "All content successfully deleted, may be waiting on finalization")
        } else {
            conditions.set(
                "NamespaceDeletionContentFailure", "True", reason: "ContentDeletionFailed",
                message: "Failed to delete all resource types, \(failures.count) remaining: "
                    + failures.joined(separator: ", "), refreshed: true)
        }
        if left.isEmpty {
            conditions.set(
                "NamespaceContentRemaining", "False", reason: "ContentRemoved",
                message: "All content successfully removed")
        } else {
            let counts = left.map {
                "\($0.resource.plural).\($0.resource.group) has \($0.objects.count) resource instances"
            }
            conditions.set(
                "NamespaceContentRemaining", "True", reason: "SomeResourcesRemain",
                message: "Some resources are remaining: " + counts.sorted().joined(separator: ", "), refreshed: true)
        }
        var finalizers: [String: Int] = [:]
        for object in left.flatMap(\.objects) {
            for finalizer in object.finalizers { finalizers[finalizer, default: 0] += 1 }
        }
        if finalizers.isEmpty {
            conditions.set(
                "NamespaceFinalizersRemaining", "False", reason: "ContentHasNoFinalizers",
                message: "All content-preserving finalizers finished")
        } else {
            let counts = finalizers.keys.sorted().map { "\($0) in \(finalizers[$0] ?? 0) resource instances" }
            conditions.set(
                "NamespaceFinalizersRemaining", "True", reason: "SomeFinalizersRemain",
                message: "Some content in the namespace has finalizers remaining: " + counts.joined(separator: ", "),
                refreshed: true)
        }
        var status = namespace.status
        status["phase"] = "Terminating"
        status["conditions"] = conditions.json
        return status
    }
}
