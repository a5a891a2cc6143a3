// What a pod's claims allow: nothing while one is missing, one node where a volume is there, any where it can be made.

import Formats
import Objects

/// The claims, volumes and storage classes that placement looks at, after the plugin `volumebinding`.
struct VolumeView: Sendable {
    static let selectedNode = "volume.kubernetes.io/selected-node"

    var claims: [ObjectKey: Object] = [:]
    var volumes: [String: Object] = [:]
    var classes: [String: Object] = [:]

    init() {}

    init(claims: [Object], volumes: [Object], classes: [Object]) {
        self.claims = Dictionary(claims.map { ($0.key, $0) }) { first, _ in first }
        self.volumes = Dictionary(volumes.map { ($0.name, $0) }) { first, _ in first }
        self.classes = Dictionary(classes.map { ($0.name, $0) }) { first, _ in first }
    }

    /// The claims that a pod names.
    static func claims(of pod: Object) -> [ObjectKey] {
        (pod.spec["volumes"]?.array ?? []).compactMap { volume in
            volume["persistentVolumeClaim", "claimName"]?.string.map { ObjectKey(namespace: pod.namespace, name: $0) }
        }
    }

    private static func isBound(_ claim: Object) -> Bool {
        claim.status["phase"]?.string == "Bound" && claim.spec["volumeName"]?.string?.isEmpty == false
    }

    private func waitsForConsumer(_ claim: Object) -> Bool {
        let storage = claim.spec["storageClassName"]?.string.flatMap { classes[$0] }
        return storage?["volumeBindingMode"]?.string == "WaitForFirstConsumer"
    }

    /// What keeps the pod from every node.
    func obstacle(to pod: Object) -> String? {
        for volume in pod.spec["volumes"]?.array ?? [] where volume["ephemeral"] != nil {
            let name = "\(pod.name)-\(volume["name"]?.string ?? "")"
            return "waiting for ephemeral volume controller to create the persistentvolumeclaim \"\(name)\""
        }
        var hasUnbound = false
        for key in Self.claims(of: pod) {
            guard let claim = claims[key] else { return "persistentvolumeclaim \"\(key.name)\" not found" }
            if claim.isTerminating { return "persistentvolumeclaim \"\(key.name)\" is being deleted" }
            if claim.status["phase"]?.string == "Lost" {
                return "persistentvolumeclaim \"\(key.name)\" bound to non-existent persistentvolume "
                    + "\"\(claim.spec["volumeName"]?.string ?? "")\""
            }
            if !Self.isBound(claim), !waitsForConsumer(claim) { hasUnbound = true }
        }
        return hasUnbound ? "pod has unbound immediate PersistentVolumeClaims" : nil
    }

    /// What keeps the pod from one node.
    func obstacle(to pod: Object, on node: Object) -> String? {
        for key in Self.claims(of: pod) {
            guard let claim = claims[key] else { continue }
            if Self.isBound(claim) {
                let volume = volumes[claim.spec["volumeName"]?.string ?? ""]
                if let required = volume?.spec["nodeAffinity", "required"], !NodeSelection.matches(required, node) {
                    return "node(s) didn't match PersistentVolume's node affinity"
                }
            } else if let chosen = claim.annotations[Self.selectedNode], chosen != node.name {
                return "node(s) didn't match PersistentVolume's node affinity"
            }
        }
        return nil
    }

    /// The claims that wait for the pod's node to be known.
    func claimsToPrepare(of pod: Object) -> [ObjectKey] {
        Self.claims(of: pod).filter { key in claims[key].map { !Self.isBound($0) } ?? false }
    }
}
