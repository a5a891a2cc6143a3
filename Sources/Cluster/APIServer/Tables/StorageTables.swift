// The rows of volumes, claims, and what storage drivers say of themselves.

import Formats
import Objects

extension TablePrinter {
    static let persistentVolumes = TablePrinter(
        "Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
        "VolumeAttributesClass", "Reason", "Age", "VolumeMode+"
    ) { object, now in
        let spec = object.spec
        let claim = spec["claimRef"].map { "\($0["namespace"]?.string ?? "")/\($0["name"]?.string ?? "")" }
        return [
            .string(object.name), .string(Cell.quantity(spec["capacity"]?["storage"]) ?? "0"),
            accessModes(spec["accessModes"]), Cell.text(spec["persistentVolumeReclaimPolicy"]), phase(object),
            .string(claim ?? ""), Cell.text(storageClass(object)),
            Cell.text(spec["volumeAttributesClassName"], orElse: Cell.unset), Cell.text(object["status", "reason"]),
            Cell.age(object, now), Cell.text(spec["volumeMode"], orElse: Cell.unset),
        ]
    }

    static let persistentVolumeClaims = TablePrinter(
        "Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age",
        "VolumeMode+"
    ) { object, now in
        let isBound = object["spec", "volumeName"]?.string?.isEmpty == false
        let capacity = Cell.quantity(object["status", "capacity"]?["storage"]) ?? "0"
        return [
            .string(object.name), phase(object), Cell.text(object["spec", "volumeName"]),
            .string(isBound ? capacity : ""), isBound ? accessModes(object["status", "accessModes"]) : "",
            Cell.text(storageClass(object)),
            Cell.text(object["spec", "volumeAttributesClassName"], orElse: Cell.unset), Cell.age(object, now),
            Cell.text(object["spec", "volumeMode"], orElse: Cell.unset),
        ]
    }

    private static func phase(_ object: Object) -> JSON {
        object.isTerminating ? "Terminating" : Cell.text(object["status", "phase"])
    }

    /// The annotation came before the field and still wins.
    private static func storageClass(_ object: Object) -> JSON? {
        object.annotations["volume.beta.kubernetes.io/storage-class"].map { .string($0) }
            ?? object["spec", "storageClassName"]
    }

    private static func accessModes(_ modes: JSON?) -> JSON {
        let short = [
            ("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"),
        ]
        let given = modes?.strings ?? []
        return .string(short.filter { given.contains($0.0) }.map(\.1).joined(separator: ","))
    }

    static let storageClasses = TablePrinter(
        "Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"
    ) { object, now in
        let isDefault = [
            "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
        ]
        .contains { object.annotations[$0] == "true" }
        return [
            .string(object.name + (isDefault ? " (default)" : "")), Cell.text(object["provisioner"]),
            Cell.text(object["reclaimPolicy"], orElse: "Delete"),
            Cell.text(object["volumeBindingMode"], orElse: "Immediate"),
            .bool(object["allowVolumeExpansion"]?.bool ?? false), Cell.age(object, now),
        ]
    }

    static let csiDrivers = TablePrinter(
        "Name", "AttachRequired?", "PodInfoOnMount?", "StorageCapacity?", "TokenRequests", "RequiresRepublish?",
        "Modes", "Age"
    ) { object, now in
        let spec = object.spec
        let audiences = (spec["tokenRequests"]?.array ?? []).compactMap { $0["audience"]?.string }
        let modes = spec["volumeLifecycleModes"]?.strings ?? []
        return [
            .string(object.name), .bool(spec["attachRequired"]?.bool ?? true),
            .bool(spec["podInfoOnMount"]?.bool ?? false), .bool(spec["storageCapacity"]?.bool ?? false),
            .string(audiences.isEmpty ? Cell.unset : audiences.joined(separator: ",")),
            .bool(spec["requiresRepublish"]?.bool ?? false),
            .string(modes.isEmpty ? Cell.none : modes.joined(separator: ",")), Cell.age(object, now),
        ]
    }

    static let csiNodes = TablePrinter("Name", "Drivers#", "Age") { object, now in
        [.string(object.name), JSON(object["spec", "drivers"]?.array?.count ?? 0), Cell.age(object, now)]
    }

    static let csiStorageCapacities = TablePrinter("Name", "StorageClassName", "Capacity") { object, _ in
        [
            .string(object.name), Cell.text(object["storageClassName"]),
            .string(Cell.quantity(object["capacity"]) ?? Cell.unset),
        ]
    }

    static let volumeAttachments = TablePrinter("Name", "Attacher", "PV", "Node", "Attached?", "Age") { object, now in
        [
            .string(object.name), Cell.text(object["spec", "attacher"]),
            Cell.text(object["spec", "source", "persistentVolumeName"]), Cell.text(object["spec", "nodeName"]),
            .bool(object["status", "attached"]?.bool ?? false), Cell.age(object, now),
        ]
    }

    static let volumeAttributesClasses = TablePrinter("Name", "DriverName", "Age") { object, now in
        [.string(object.name), Cell.text(object["driverName"]), Cell.age(object, now)]
    }
}
