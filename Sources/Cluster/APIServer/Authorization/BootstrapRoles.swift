// Brings the roles and bindings that every cluster begins with into the store, and keeps them complete.

import Access
import Objects

extension KubernetesAPI {
    /// Creates what is missing of the bootstrap policy and completes what has lost a part of it. All at once, so that
    /// the writes share a commit. To be called when the first namespaces are there.
    func bootstrapRoles() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for entry in BootstrapPolicy.entries { group.addTask { try await self.ensure(entry) } }
            try await group.waitForAll()
        }
    }

    private func ensure(_ entry: BootstrapPolicy.Entry) async throws {
        let resource = entry.kind.resource
        guard let (stored, _) = try records.get(resource, namespace: entry.object.namespace, name: entry.object.name)
        else { return try await ensure(entry.object, of: resource) }
        // A binding cannot change its role; one that names another is somebody's own.
        guard BootstrapPolicy.reconciled(stored, with: entry.object) != nil,
            stored["roleRef"] == entry.object["roleRef"],
            let served = served.find(resource)
        else { return }
        _ = try await change(resource, namespace: stored.namespace, name: stored.name) { old in
            guard let new = BootstrapPolicy.reconciled(old, with: entry.object) else { return .unchanged }
            return try amend(old, to: new, of: served)
        }
    }
}
