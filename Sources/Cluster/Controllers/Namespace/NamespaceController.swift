// Gives namespaces what every namespace has, and empties those that are being deleted.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `NamespaceMachine`.
package struct NamespaceController: Sendable {
    /// How often a namespace that is not empty yet is looked at.
    static let emptyingInterval = Duration.milliseconds(500)
    static let listLimit = 500
    static let rootCertificateName = "kube-root-ca.crt"

    let client: KubernetesClient
    let namespaces: Informer
    let serviceAccounts: Informer
    /// The ConfigMaps of the name `kube-root-ca.crt`.
    let rootCertificates: Informer
    /// PEM of the certificate authority that pods trust; nil leaves `kube-root-ca.crt` out.
    let rootCertificate: String?
    let clock: WallClock
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "namespace", logger: logger, reconcile: reconcile)
        namespaces.onChange { reconciler.enqueue($0.key) }
        for (informer, name) in [(serviceAccounts, "default"), (rootCertificates, Self.rootCertificateName)] {
            informer.onChange { change in
                if change.key.name == name { reconciler.enqueue(ObjectKey(name: change.key.namespace)) }
            }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let namespace = namespaces.get(key) else { return .done }
        if namespace.isTerminating { return try await empty(namespace) }
        try await furnish(namespace)
        return .done
    }

    private func furnish(_ namespace: Object) async throws {
        let account = Object(.serviceAccounts, namespace: namespace.name, name: "default")
        if serviceAccounts.get(account.key) == nil {
            try await ignoring(.alreadyExists) { try await client.create(.serviceAccounts, account) }
        }
        guard let rootCertificate else { return }
        var map = Object(.configMaps, namespace: namespace.name, name: Self.rootCertificateName)
        map["data"] = ["ca.crt": .string(rootCertificate)]
        if let existing = rootCertificates.get(map.key) {
            if existing["data"] == map["data"] { return }
            try await client.patch(.configMaps, map.key, .merge, ["data": map["data"] ?? .null])
        } else {
            try await ignoring(.alreadyExists) { try await client.create(.configMaps, map) }
        }
    }

    private func empty(_ namespace: Object) async throws -> Outcome {
        let machine = NamespaceMachine(namespace: namespace, now: clock.now())
        if !machine.needsFinalizing { return .done }
        let (contents, failures) = await contents(of: namespace.name, in: try await client.discover())
        let decision = machine.decide(contents, failures: failures)
        for doomed in decision.doomed {
            try await ignoring(.notFound) {
                try await client.delete(
                    doomed.resource, doomed.object.key, propagation: .background, uid: doomed.object.uid)
            }
        }
        var namespace = namespace
        if decision.status != namespace.status {
            namespace.status = decision.status
            namespace = try await client.update(.namespaces, namespace, subresource: "status")
        }
        if !decision.isEmpty { return .again(after: Self.emptyingInterval) }
        let finalizers = (namespace.spec["finalizers"]?.strings ?? []).filter { $0 != NamespaceMachine.finalizer }
        namespace.spec["finalizers"] = .list(finalizers.map { .string($0) })
        try await ignoring(.notFound) { try await client.update(.namespaces, namespace, subresource: "finalize") }
        return .done
    }

    /// Everything that is in the namespace now, straight from the server.
    ///
    /// A resource that cannot be listed keeps the namespace and is named in its conditions; the others are emptied.
    private func contents(
        of namespace: String, in resources: [Resource]
    ) async -> (contents: [NamespaceMachine.Content], failures: [String]) {
        var contents: [NamespaceMachine.Content] = []
        var failures: [String] = []
        for resource in resources
        where resource.isNamespaced && resource.verbs.contains("list") && resource.verbs.contains("delete") {
            do {
                let page = try await client.list(resource, Selection(namespace: namespace), limit: Self.listLimit)
                contents.append(.init(resource: resource, objects: page.objects))
            } catch let problem as Problem where problem.code == 404 {
                // The kind went away since discovery named it, and its objects with it.
                continue
            } catch {
                failures.append("\(resource.qualifiedName): \(error)")
            }
        }
        return (contents, failures)
    }

    private func ignoring(_ reason: Problem.Reason, _ body: () async throws -> some Any) async throws {
        do {
            _ = try await body()
        } catch let problem as Problem where problem.reason == reason {
            return
        }
    }
}
