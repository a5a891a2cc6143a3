// What claims, volumes and storage classes say.

import Formats
import Objects

enum VolumeMark {
    static let bindCompleted = "pv.kubernetes.io/bind-completed"
    static let boundByController = "pv.kubernetes.io/bound-by-controller"
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"
    static let selectedNode = "volume.kubernetes.io/selected-node"
    static let provisioner = "volume.kubernetes.io/storage-provisioner"
    static let claimProtection = "kubernetes.io/pvc-protection"
    static let volumeProtection = "kubernetes.io/pv-protection"
    static let defaultClass = "storageclass.kubernetes.io/is-default-class"
}

/// A claim and what it asks for.
struct ClaimWishes: Sendable {
    let claim: Object

    var className: String? { claim.spec["storageClassName"]?.string }
    var volumeName: String { claim.spec["volumeName"]?.string ?? "" }
    var modes: Set<String> { Set(claim.spec["accessModes"]?.strings ?? []) }
    var volumeMode: String { claim.spec["volumeMode"]?.string ?? "Filesystem" }
    var size: Quantity {
        (claim.spec["resources", "requests", "storage"]?.string).flatMap { try? Quantity(parsing: $0) } ?? Quantity(0)
    }
    var selectedNode: String? { claim.annotations[VolumeMark.selectedNode] }
    var isBindCompleted: Bool { claim.annotations[VolumeMark.bindCompleted] != nil }

    /// Whether a volume would do for this claim.
    func fits(_ volume: Object) -> Bool {
        guard !volume.isTerminating, volume.volumeMode == volumeMode, volume.volumeSize >= size else { return false }
        guard modes.isSubset(of: volume.spec["accessModes"]?.strings ?? []) else { return false }
        guard let selector = claim.spec["selector"], !selector.isNull else { return true }
        return (try? LabelSelector(selector))?.matches(volume.labels) ?? false
    }

    /// A reference to the claim, as volumes carry it.
    var reference: JSON {
        [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": .string(claim.name),
            "namespace": .string(claim.namespace), "uid": .string(claim.uid),
            "resourceVersion": .string(claim.resourceVersion),
        ]
    }
}

extension Object {
    var volumeMode: String { spec["volumeMode"]?.string ?? "Filesystem" }
    var volumeSize: Quantity {
        (spec["capacity", "storage"]?.string).flatMap { try? Quantity(parsing: $0) } ?? Quantity(0)
    }
    var volumePhase: String { status["phase"]?.string ?? "" }

    /// The claim that a volume belongs to or is kept for; `uid` is nil while it is only kept.
    var volumeOwner: (key: ObjectKey, uid: String?)? {
        guard let reference = spec["claimRef"], let name = reference["name"]?.string else { return nil }
        let uid = reference["uid"]?.string ?? ""
        let key = ObjectKey(namespace: reference["namespace"]?.string ?? "", name: name)
        return (key, uid.isEmpty ? nil : uid)
    }

    /// Whether a volume is, or is kept for, this claim's.
    func isVolume(of claim: Object) -> Bool {
        guard let owner = volumeOwner, owner.key == claim.key else { return false }
        return owner.uid == nil || owner.uid == claim.uid
    }

    /// The names of the claims that a pod uses.
    var podClaims: [String] {
        (spec["volumes"]?.array ?? []).compactMap { volume in
            if let name = volume["persistentVolumeClaim", "claimName"]?.string { return name }
            return volume["ephemeral"] == nil ? nil : "\(name)-\(volume["name"]?.string ?? "")"
        }
    }
}

/// The storage classes there are.
struct StorageClasses: Sendable {
    let all: [Object]

    subscript(_ name: String) -> Object? { all.first { $0.name == name } }

    /// Of several defaults the newest, as upstream has it.
    var standard: Object? {
        all.filter { $0.annotations[VolumeMark.defaultClass] == "true" }
            .max { ($0.created, $1.name) < ($1.created, $0.name) }
    }
}

extension Object {
    var waitsForConsumer: Bool { self["volumeBindingMode"]?.string == "WaitForFirstConsumer" }
    var provisioner: String { self["provisioner"]?.string ?? "" }
}
