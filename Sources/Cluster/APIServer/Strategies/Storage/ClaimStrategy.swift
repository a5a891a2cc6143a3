// The rules of PersistentVolumeClaims (upstream: pkg/apis/core/{v1,validation}).

import Formats
import Objects

struct ClaimStrategy: Strategy {
    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { $0.fill("volumeMode", "Filesystem") }
    }

    func prepareForCreate(_ object: inout Object) {
        object.status = ["phase": "Pending"]
    }

    func faults(in object: Object) -> [FieldFault] { Findings.of(object) { $1.claimSpec($0["spec"]) } }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let before = Field(old)["spec"]
            var (new, kept) = (object.spec, old.spec)
            if before["volumeName"].isEmpty { kept["volumeName"] = new["volumeName"] }
            if !before["storageClassName"].exists { new["storageClassName"] = nil }
            if object["status", "phase"] == "Bound" {
                new["resources", "requests", "storage"] = kept["resources", "requests", "storage"]
                if new["volumeAttributesClassName"] != nil {
                    new["volumeAttributesClassName"] = kept["volumeAttributesClassName"]
                }
            }
            if new != kept {
                findings.forbidden(
                    root["spec"],
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
                        + "claims")
            }
            let size = root["spec"]["resources"]["requests"]["storage"]
            if let asked = size.quantity, let given = before["resources"]["requests"]["storage"].quantity,
                asked < given, asked <= Field(old)["status"]["capacity"]["storage"].quantity ?? Quantity(0)
            {
                findings.forbidden(size, "field can not be less than status.capacity")
            }
            findings.isUnchanged(root["spec"]["volumeMode"].at(root["volumeMode"]), from: before["volumeMode"])
        }
    }
}

extension Findings {
    static let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

    /// The spec of a claim, or of the claim that an ephemeral volume makes.
    mutating func claimSpec(_ spec: Field) {
        accessModes(spec["accessModes"])
        labelSelector(spec["selector"])
        let storage = Field(
            path: .entry(spec["resources"].path, "storage"), spec["resources"]["requests"]["storage"].value)
        if !storage.exists {
            required(storage)
        } else if let amount = storage.quantity, amount.nanos <= 0 {
            invalid(storage, value: .string(amount.text), "must be greater than zero")
        }
        optionalName(spec["storageClassName"], .subdomain)
        isOne(of: ["Block", "Filesystem"], spec["volumeMode"], isRequired: false)
        for source in ["dataSource", "dataSourceRef"] where spec[source].exists {
            for part in ["name", "kind"] { needs(spec[source][part]) }
            if spec[source]["apiGroup"].isEmpty, spec[source]["kind"].text != "PersistentVolumeClaim" {
                let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
                invalid(spec[source], value: .string(spec[source]["kind"].text), why)
            }
        }
        optionalName(spec["volumeAttributesClassName"], .subdomain)
    }

    mutating func accessModes(_ field: Field) {
        if field.isEmpty { required(field, "at least 1 access mode is required") }
        for mode in field.elements where !Self.accessModes.contains(mode.text) {
            notSupported(field, Self.accessModes, value: mode.value)
        }
        let modes = Set(field.elements.map(\.text))
        if modes.contains("ReadWriteOncePod"), modes.count > 1 {
            forbidden(field, "may not use ReadWriteOncePod with other access modes")
        }
    }
}
