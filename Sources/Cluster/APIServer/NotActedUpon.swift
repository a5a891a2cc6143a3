// What is accepted and kept, but changes nothing on this platform yet; said in a Warning header to whoever writes it.

import Formats
import Objects

/// The truth about this platform's gaps. Whoever makes the platform act on a kind or field takes it out of the list.
enum NotActedUpon {
    /// `group/plural` of kinds that are only kept.
    private static let kinds: Set<String> = [
        "/podtemplates", "networking.k8s.io/ingresses", "networking.k8s.io/ingressclasses",
        "networking.k8s.io/ipaddresses", "networking.k8s.io/networkpolicies", "networking.k8s.io/servicecidrs",
        "node.k8s.io/runtimeclasses", "storage.k8s.io/csidrivers", "storage.k8s.io/csinodes",
        "storage.k8s.io/csistoragecapacities", "storage.k8s.io/volumeattachments",
        "storage.k8s.io/volumeattributesclasses",
    ]

    /// The warnings for a fresh object.
    static func warnings(for object: Object, of resource: Resource) -> [String] {
        if resource == .resourceQuotas {
            return ["the limits of resource quotas are enforced, but their status is not kept on this platform yet"]
        }
        guard kinds.contains("\(resource.group)/\(resource.plural)") else { return [] }
        return ["\(resource.qualifiedName) are stored, but nothing acts on them on this platform yet"]
    }
}
