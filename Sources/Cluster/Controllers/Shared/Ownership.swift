// Which objects belong to an owner: by reference, by selector, and what to do where the two disagree.

import Client
import Formats
import Objects
import Reconciling

/// Objects split by what a controller has to do with them.
struct Claim: Sendable {
    /// Belong to the owner now.
    var owned: [Object] = []
    /// Match the selector and belong to nobody: take them.
    var adopt: [Object] = []
    /// Belong to the owner but no longer match its selector: let them go.
    var release: [Object] = []

    /// After `k8s.io/kubernetes/pkg/controller/controller_ref_manager.go`. An owner that is going claims nothing new
    /// and lets nothing go; an object that is going is neither taken nor let go.
    init(owner: Object, selector: LabelSelector, candidates: [Object]) {
        for object in candidates {
            let matches = selector.matches(object.labels)
            if let controller = object.controllerReference {
                guard controller.uid == owner.uid else { continue }
                if matches {
                    owned.append(object)
                } else if !owner.isTerminating, !object.isTerminating {
                    release.append(object)
                } else {
                    owned.append(object)
                }
            } else if matches, !owner.isTerminating, !object.isTerminating {
                adopt.append(object)
            }
        }
    }
}

/// Finds objects by their managing owner in an informer's cache.
enum OwnerIndex {
    static let name = "controller"

    /// Files an object under its controller's uid, or under its namespace when it has none.
    static let indexer: Indexer = { object in
        [object.controllerReference?.uid ?? orphans(in: object.namespace)]
    }

    /// The value that objects without controller are filed under.
    static func orphans(in namespace: String) -> String { "orphans/" + namespace }
}

extension Informer {
    /// The objects that this owner controls and those of its namespace that nobody does.
    func candidates(for owner: Object) -> [Object] {
        indexed(OwnerIndex.name, owner.uid) + indexed(OwnerIndex.name, OwnerIndex.orphans(in: owner.namespace))
    }
}

/// Carries out a claim through the API.
struct Adoption: Sendable {
    let client: KubernetesClient
    /// The resource of the owners and that of the objects they own.
    let owners: Resource
    let resource: Resource

    /// Takes and releases what the claim says; answers everything that is owned then.
    func perform(_ claim: Claim, by owner: Object) async throws -> [Object] {
        var owned = claim.owned
        if !claim.adopt.isEmpty {
            // The cache may be behind: an owner that is going or was replaced must not adopt.
            let live = try await client.get(owners, owner.key)
            guard live.uid == owner.uid, !live.isTerminating else {
                throw Problem.conflict(owners, owner.name, "the object was replaced or is being deleted")
            }
        }
        for object in claim.adopt {
            let references = object.ownerReferences + [OwnerReference(controller: owner)]
            if let adopted = try await set(references, on: object) { owned.append(adopted) }
        }
        for object in claim.release {
            _ = try await set(object.ownerReferences.filter { $0.uid != owner.uid }, on: object)
        }
        return owned
    }

    /// Nil when the object is gone.
    private func set(_ references: [OwnerReference], on object: Object) async throws -> Object? {
        let patch: JSON = [
            "metadata": [
                "resourceVersion": .string(object.resourceVersion), "ownerReferences": .array(references.map(\.tree)),
            ]
        ]
        do {
            return try await client.patch(resource, object.key, .merge, patch)
        } catch let problem as Problem where problem.code == 404 {
            return nil
        }
    }
}
