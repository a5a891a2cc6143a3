// What a StatefulSet asks for, and what makes a pod or claim one of its own.

import Formats
import Objects

enum StatefulSetLabel {
    static let podName = "statefulset.kubernetes.io/pod-name"
    static let podIndex = "apps.kubernetes.io/pod-index"
    /// On pods: the name of their revision.
    static let revision = "controller-revision-hash"
    /// On ControllerRevisions: the hash of their template.
    static let hash = "controller.kubernetes.io/hash"
}

/// The fields of a StatefulSet with their defaults.
struct StatefulSetWishes: Sendable {
    let set: Object

    var replicas: Int { self.set.desiredReplicas }
    var firstOrdinal: Int { self.set.spec["ordinals", "start"]?.integer ?? 0 }
    var ordinals: Range<Int> { firstOrdinal..<(firstOrdinal + replicas) }
    var isParallel: Bool { self.set.spec["podManagementPolicy"]?.string == "Parallel" }
    var isOnDelete: Bool { self.set.spec["updateStrategy", "type"]?.string == "OnDelete" }
    var partition: Int { self.set.spec["updateStrategy", "rollingUpdate", "partition"]?.integer ?? 0 }
    var minReadySeconds: Int { self.set.spec["minReadySeconds"]?.integer ?? 0 }
    var historyLimit: Int { self.set.spec["revisionHistoryLimit"]?.integer ?? 10 }
    var claimTemplates: [JSON] { self.set.spec["volumeClaimTemplates"]?.array ?? [] }
    var deletesClaimsWithSet: Bool { retention("whenDeleted") == "Delete" }
    var deletesClaimsOnScaleDown: Bool { retention("whenScaled") == "Delete" }

    /// Pods that may be missing during an update; one unless the set says otherwise.
    var maxUnavailable: Int {
        guard let value = set.spec["updateStrategy", "rollingUpdate", "maxUnavailable"] else { return 1 }
        return max(1, RolloutStrategy.resolve(value, of: replicas, roundingUp: true))
    }

    private func retention(_ when: String) -> String {
        set.spec["persistentVolumeClaimRetentionPolicy"]?[when]?.string ?? "Retain"
    }

    /// The number at the end of the name of a pod of this set; nil for any other name.
    func ordinal(of pod: Object) -> Int? {
        let prefix = set.name + "-"
        guard pod.name.hasPrefix(prefix) else { return nil }
        let digits = pod.name.dropFirst(prefix.count)
        guard let number = Int(digits), number >= 0, String(number) == digits else { return nil }
        return number
    }

    func podName(_ ordinal: Int) -> String { "\(set.name)-\(ordinal)" }

    func claimName(_ template: JSON, _ ordinal: Int) -> String {
        "\(template["metadata", "name"]?.string ?? "")-\(podName(ordinal))"
    }

    /// The pod of an ordinal by a template, with its stable name and its claims as volumes.
    func pod(_ ordinal: Int, template: JSON, revision: String) -> Object {
        var pod = PodTemplate.pod(template, owner: set, name: podName(ordinal))
        pod.labels[StatefulSetLabel.podName] = podName(ordinal)
        pod.labels[StatefulSetLabel.podIndex] = String(ordinal)
        pod.labels[StatefulSetLabel.revision] = revision
        pod.spec["hostname"] = .string(podName(ordinal))
        if let service = set.spec["serviceName"], service.string?.isEmpty == false { pod.spec["subdomain"] = service }
        let claims = claimTemplates
        if claims.isEmpty { return pod }
        let names = Set(claims.compactMap { $0["metadata", "name"]?.string })
        let others = (pod.spec["volumes"]?.array ?? []).filter { !names.contains($0["name"]?.string ?? "") }
        let volumes = claims.map { template -> JSON in
            [
                "name": template["metadata", "name"] ?? "",
                "persistentVolumeClaim": ["claimName": .string(claimName(template, ordinal))],
            ]
        }
        pod.spec["volumes"] = .array(volumes + others)
        return pod
    }

    /// The claims that the pod of an ordinal needs.
    func claims(_ ordinal: Int) -> [Object] {
        claimTemplates.map { template in
            var claim = Object(
                .persistentVolumeClaims, namespace: set.namespace, name: claimName(template, ordinal))
            let selected = set.spec["selector"]?["matchLabels"]?.stringMap ?? [:]
            claim.labels = (template["metadata", "labels"]?.stringMap ?? [:]).merging(selected) { $1 }
            claim.annotations = template["metadata", "annotations"]?.stringMap ?? [:]
            claim.spec = template["spec"] ?? [:]
            if deletesClaimsWithSet { claim.ownerReferences = [Self.reference(to: set)] }
            return claim
        }
    }

    /// Who owns a claim under the retention policy; `condemned` is the pod when the set has grown too small for it.
    func claimOwners(_ claim: Object, condemned: Object?) -> [OwnerReference] {
        let ours = claim.ownerReferences.filter { reference in
            let isSet = reference.kind == "StatefulSet" && reference.name == set.name
            let isPod = reference.kind == "Pod" && claim.name.hasSuffix("-" + reference.name)
            return !isSet && !isPod
        }
        if deletesClaimsOnScaleDown, let condemned { return ours + [Self.reference(to: condemned)] }
        return deletesClaimsWithSet ? ours + [Self.reference(to: set)] : ours
    }

    /// A claim is owned, not managed: it outlives pods of the same name.
    private static func reference(to owner: Object) -> OwnerReference {
        OwnerReference([
            "apiVersion": .string(owner.apiVersion), "kind": .string(owner.kind), "name": .string(owner.name),
            "uid": .string(owner.uid),
        ])
    }
}

extension Object {
    var isPodRunningAndReady: Bool { podPhase == "Running" && isPodReady }

    func isPodAvailable(minReadySeconds: Int, now: Timestamp) -> Bool {
        podAvailable(minReadySeconds: minReadySeconds, now: now) == .zero
    }
}
