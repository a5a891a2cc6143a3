// Owners and what they own, through the API: background, foreground and orphan deletion, and namespaces that empty.

import Client
import Formats
import Objects
import Testing

@testable import Controllers

@Suite(.timeLimit(.minutes(2))) struct GarbageCollectorTests {
    private static let roles = Resource(
        group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles")

    /// An owned object of any resource.
    private func make(
        _ cluster: TestCluster, _ name: String, of resource: Resource = .configMaps, ownedBy owners: Object...,
        blocking: Bool = true, namespace: String = "default", finalizers: [String] = []
    ) async throws -> Object {
        var object = Object(resource, namespace: namespace, name: name)
        object.ownerReferences = owners.map { owner in
            var reference = OwnerReference(controller: owner)
            reference.isController = false
            reference.blocksOwnerDeletion = blocking
            return reference
        }
        object.finalizers = finalizers
        return try await cluster.client.create(resource, object)
    }

    private func isGone(_ object: Object?) -> Bool { object == nil }

    @Test func whatIsOwnedGoesWithItsOwnerWhateverItsKind() async throws {
        try await TestCluster.run { cluster in
            let owner = try await make(cluster, "owner")
            let child = try await make(cluster, "child", of: Self.roles, ownedBy: owner)
            _ = try await make(cluster, "grandchild", of: .secrets, ownedBy: child)
            let other = try await make(cluster, "other")
            _ = try await make(cluster, "shared", ownedBy: owner, other)
            try await cluster.client.delete(.configMaps, owner.key, propagation: .background)
            try await cluster.until(Self.roles, "child", is: isGone)
            try await cluster.until(.secrets, "grandchild", is: isGone)
            let shared = try await cluster.until(.configMaps, "shared") { $0?.ownerReferences.count == 1 }
            #expect(shared?.ownerReferences.first?.uid == other.uid)
        }
    }

    @Test func anOwnerInForegroundDeletionGoesLast() async throws {
        try await TestCluster.run { cluster in
            let owner = try await make(cluster, "owner")
            _ = try await make(cluster, "held", ownedBy: owner, finalizers: ["test.dev/hold"])
            _ = try await make(cluster, "loose", ownedBy: owner, blocking: false, finalizers: ["test.dev/hold"])
            try await cluster.client.delete(.configMaps, owner.key, propagation: .foreground)
            try await cluster.until(.configMaps, "held") { $0?.isTerminating == true }
            let waiting = try await cluster.client.get(.configMaps, owner.key)
            #expect(waiting.finalizers == ["foregroundDeletion"])
            try await cluster.client.patch(
                .configMaps, ObjectKey(namespace: "default", name: "held"), .merge, ["metadata": ["finalizers": .null]])
            // The dependant that does not block is still there when the owner goes.
            try await cluster.until(.configMaps, "owner", is: isGone)
            let loose = try await cluster.client.get(.configMaps, ObjectKey(namespace: "default", name: "loose"))
            #expect(loose.finalizers == ["test.dev/hold"])
        }
    }

    @Test func orphansStayAndForgetTheirOwner() async throws {
        try await TestCluster.run { cluster in
            let owner = try await make(cluster, "owner")
            _ = try await make(cluster, "child", ownedBy: owner)
            try await cluster.client.delete(.configMaps, owner.key, propagation: .orphan)
            try await cluster.until(.configMaps, "owner", is: isGone)
            let child = try await cluster.until(.configMaps, "child") { $0?.ownerReferences.isEmpty == true }
            #expect(child?.isTerminating == false)
        }
    }

    @Test func circlesDoNotWaitForEver() async throws {
        try await TestCluster.run { cluster in
            let first = try await make(cluster, "first")
            let second = try await make(cluster, "second", ownedBy: first)
            var changed = try await cluster.client.get(.configMaps, first.key)
            changed.ownerReferences = [OwnerReference(controller: second)]
            try await cluster.client.update(.configMaps, changed)
            try await cluster.client.delete(.configMaps, first.key, propagation: .foreground)
            try await cluster.until(.configMaps, "first", is: isGone)
            try await cluster.until(.configMaps, "second", is: isGone)
        }
    }

    @Test func ownersAreLookedForInTheSameNamespaceOnly() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(.namespaces, Object(.namespaces, name: "far"))
            let owner = try await make(cluster, "owner", namespace: "far")
            _ = try await make(cluster, "stray", ownedBy: owner)
            try await cluster.until(.configMaps, "stray", is: isGone)
            // An object outside all namespaces is never collected for an owner inside one.
            var node = try await cluster.client.get(.nodes, ObjectKey(name: "here"))
            node.ownerReferences = [OwnerReference(controller: owner)]
            try await cluster.client.update(.nodes, node)
            try await cluster.client.delete(.configMaps, owner.key)
            let witness = try await make(cluster, "witness", ownedBy: owner)
            try await cluster.until(.configMaps, witness.name, is: isGone)
            #expect(try await cluster.client.get(.nodes, ObjectKey(name: "here")).isTerminating == false)
        }
    }

    @Test func namespacesSayWhatHoldsThemAndGo() async throws {
        try await TestCluster.run { cluster in
            try await cluster.client.create(.namespaces, Object(.namespaces, name: "shop"))
            try await cluster.until(.serviceAccounts, "default", in: "shop") { $0 != nil }
            _ = try await make(cluster, "held", namespace: "shop", finalizers: ["test.dev/hold"])
            _ = try await make(cluster, "loose", of: Self.roles, namespace: "shop")
            try await cluster.client.delete(.namespaces, ObjectKey(name: "shop"))
            let namespace = try await cluster.until(.namespaces, "shop") {
                $0?.condition("NamespaceFinalizersRemaining")?["status"] == "True"
                    && $0?.condition("NamespaceContentRemaining")?["message"]?.string
                        == "Some resources are remaining: configmaps. has 1 resource instances"
            }
            #expect(namespace?.condition("NamespaceDeletionGroupVersionParsingFailure")?["status"] == "False")
            #expect(
                namespace?.condition("NamespaceFinalizersRemaining")?["message"]
                    == "Some content in the namespace has finalizers remaining: test.dev/hold in 1 resource instances")
            try await cluster.client.patch(
                .configMaps, ObjectKey(namespace: "shop", name: "held"), .merge, ["metadata": ["finalizers": .null]])
            try await cluster.until(.namespaces, "shop", is: isGone)
        }
    }
}

@Suite struct GarbageCollectorMachineTests {
    private func object(_ owners: String..., finalizers: [String] = []) -> Object {
        var object = Object(.configMaps, namespace: "default", name: "it")
        object.ownerReferences = owners.map {
            OwnerReference(["apiVersion": "v1", "kind": "ConfigMap", "name": .string($0), "uid": .string($0)])
        }
        object.finalizers = finalizers
        return object
    }

    @Test func oneOwnerThatIsThereIsEnough() {
        typealias Machine = GarbageCollectorMachine
        func verdict(_ object: Object, _ states: [String: Machine.OwnerState], _ dependents: Bool = false)
            -> Machine.Verdict
        {
            Machine.verdict(on: object, owners: states, hasDependents: dependents)
        }
        #expect(verdict(object(), [:]) == .keep)
        #expect(verdict(object("a", "b"), ["a": .present, "b": .absent]) == .removeReferences(["b"]))
        #expect(verdict(object("a", "b"), ["a": .unknown, "b": .absent]) == .removeReferences(["b"]))
        #expect(verdict(object("a"), ["a": .unreachable]) == .keep)
        #expect(verdict(object("a", "b"), ["a": .absent, "b": .absent]) == .delete(.background))
        #expect(verdict(object("a"), ["a": .waiting]) == .delete(.background))
        #expect(verdict(object("a"), ["a": .waiting], true) == .delete(.foreground))
        #expect(verdict(object("a", finalizers: ["orphan"]), ["a": .absent]) == .delete(.orphan))
    }
}
