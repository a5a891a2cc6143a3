// The rules of PersistentVolumes and StorageClasses (upstream: pkg/apis/{core,storage}/{v1,validation}).

import Formats
import Objects

struct PersistentVolumeStrategy: Strategy {
    private static let sources = [
        "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte",
        "cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk",
        "portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi",
    ]

    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("persistentVolumeReclaimPolicy", "Retain")
            spec.fill("volumeMode", "Filesystem")
            spec.edit("hostPath") { $0.fill("type", "") }
        }
    }

    func prepareForCreate(_ object: inout Object) { object.status = ["phase": "Pending"] }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.accessModes(spec["accessModes"])
            Self.capacity(spec["capacity"], &findings)
            findings.isOne(
                of: ["Delete", "Recycle", "Retain"], spec["persistentVolumeReclaimPolicy"], isRequired: false)
            if spec["nodeAffinity"]["required"].exists { findings.nodeSelector(spec["nodeAffinity"]["required"]) }
            let given = Self.sources.filter { spec[$0].exists }
            if given.isEmpty { findings.required(spec, "must specify a volume type") }
            for source in given.dropFirst() {
                findings.forbidden(spec[source], "may not specify more than 1 volume type")
            }
            Self.source(spec, &findings)
            findings.optionalName(spec["storageClassName"], .subdomain)
            findings.isOne(of: ["Block", "Filesystem"], spec["volumeMode"], isRequired: false)
        }
    }

    private static func capacity(_ field: Field, _ findings: inout Findings) {
        if field.isEmpty { findings.required(field) }
        if !field["storage"].exists || field.count > 1 { findings.notSupported(field, ["storage"]) }
        for (_, amount) in field.entries {
            if let quantity = amount.quantity, quantity.nanos <= 0 {
                findings.invalid(amount, value: .string(quantity.text), "must be greater than zero")
            }
        }
    }

    private static func source(_ spec: Field, _ findings: inout Findings) {
        if spec["hostPath"].exists {
            findings.hostPath(spec["hostPath"])
            if spec["hostPath"]["path"].text == "/", spec["persistentVolumeReclaimPolicy"].text == "Recycle" {
                let why = "may not be 'recycle' for a hostPath mount of '/'"
                findings.forbidden(spec["persistentVolumeReclaimPolicy"], why)
            }
        }
        if spec["local"].exists {
            if findings.needs(spec["local"]["path"]) { findings.noBacksteps(spec["local"]["path"]) }
            if !spec["nodeAffinity"].exists {
                findings.required(spec["nodeAffinity"], "Local volume requires node affinity")
            }
        }
        if spec["nfs"].exists { for part in ["server", "path"] { findings.needs(spec["nfs"][part]) } }
        if spec["csi"].exists {
            findings.csiDriverName(spec["csi"]["driver"])
            findings.needs(spec["csi"]["volumeHandle"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let (spec, before) = (root["spec"], Field(old)["spec"])
            if Self.sources.contains(where: { spec[$0].value != before[$0].value }) {
                let place = spec["persistentvolumesource"]
                findings.forbidden(place, "spec.persistentvolumesource is immutable after creation")
            }
            findings.isUnchanged(spec["volumeMode"].at(root["volumeMode"]), from: before["volumeMode"])
            if before["nodeAffinity"].exists {
                findings.isUnchanged(spec["nodeAffinity"], from: before["nodeAffinity"])
            }
        }
    }
}

struct StorageClassStrategy: Strategy {
    func setDefaults(_ object: inout Object) {
        object.tree.fill("reclaimPolicy", "Delete")
        object.tree.fill("volumeBindingMode", "Immediate")
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let provisioner = root["provisioner"]
            if findings.needs(provisioner) {
                findings.text(provisioner, NameRules.qualifiedNameMessages(provisioner.text.lowercased()))
            }
            findings.isOne(of: ["Delete", "Retain"], root["reclaimPolicy"], isRequired: false)
            findings.isOne(of: ["Immediate", "WaitForFirstConsumer"], root["volumeBindingMode"])
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            for field in ["parameters", "provisioner", "reclaimPolicy"]
            where root[field].value != Field(old)[field].value {
                findings.forbidden(root[field], "updates to \(field) are forbidden.")
            }
            findings.isUnchanged(root["volumeBindingMode"], from: Field(old)["volumeBindingMode"])
        }
    }
}

struct CSIDriverStrategy: Strategy {
    var hasGeneration: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("attachRequired", true)
            spec.fill("podInfoOnMount", false)
            spec.fill("storageCapacity", false)
            spec.fill("fsGroupPolicy", "ReadWriteOnceWithFSType")
            spec.fill("volumeLifecycleModes", ["Persistent"])
            spec.fill("requiresRepublish", false)
            spec.fill("seLinuxMount", false)
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.csiDriverName(root["metadata"]["name"])
            let spec = root["spec"]
            for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] where !spec[field].exists {
                findings.required(spec[field])
            }
            findings.isOne(
                of: ["File", "None", "ReadWriteOnceWithFSType"], spec["fsGroupPolicy"], isRequired: false)
            for mode in spec["volumeLifecycleModes"].elements where !["Ephemeral", "Persistent"].contains(mode.text) {
                findings.notSupported(spec["volumeLifecycleModes"], ["Ephemeral", "Persistent"], value: mode.value)
            }
        }
    }
}
