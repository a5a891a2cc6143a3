// Makes the namespaces that clients of registries write in.

import Client
import Logging
import Objects

/// A registry's namespace is made when something is written in it, as registries know no namespaces that do not exist.
/// It stays when what was in it goes, as others may have put things there.
package enum NamespaceMaking {
    /// `app.kubernetes.io/managed-by` of namespaces that were made here.
    package static let manager = "registry-sync.mangrove.dev"

    /// Whether clients of registries may write in a namespace: those of the cluster itself are not for everybody who
    /// can reach a registry.
    package static func isOpen(_ name: String) -> Bool { !name.hasPrefix("kube-") }

    /// Whether Kubernetes can have a namespace of this name.
    package static func isLegal(_ name: String) -> Bool { NameRules.fault(name, .label) == nil }

    /// Returns whether there is such a namespace now.
    package static func make(_ name: String, _ client: KubernetesClient, _ logger: Logger) async throws -> Bool {
        guard isOpen(name) else { return false }
        guard isLegal(name) else {
            logger.warning(
                "what is written in this namespace is not kept in Kubernetes, which has no namespaces of such names",
                metadata: ["namespace": "\(name)"])
            return false
        }
        var namespace = Object(.namespaces, name: name)
        namespace.labels = ["app.kubernetes.io/managed-by": manager]
        do {
            try await client.create(.namespaces, namespace)
            logger.notice("made a namespace for what is written in it", metadata: ["namespace": "\(name)"])
        } catch let problem as Problem where problem.reason == .alreadyExists {
            // Somebody else was quicker.
        }
        return true
    }
}
