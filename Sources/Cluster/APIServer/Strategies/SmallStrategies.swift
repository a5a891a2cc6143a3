// The rules of Namespaces, Nodes, Secrets, ConfigMaps and Events.

import Formats
import Objects

struct NamespaceStrategy: Strategy {
    /// The finalizer in `spec.finalizers` that the namespace controller takes away when the namespace is empty.
    static let finalizer = "kubernetes"
    /// Namespaces that may not be deleted.
    static let immortal: Set<String> = ["default", "kube-system", "kube-public"]

    var nameRule: NameRules.Rule { .label }
    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }
    var selectableFields: [String] { ["status.phase"] }

    func setDefaults(_ object: inout Object) {
        object.tree["metadata", "labels", "kubernetes.io/metadata.name"] = .string(object.name)
    }

    func prepareForCreate(_ object: inout Object) {
        object.spec = ["finalizers": [.string(NamespaceStrategy.finalizer)]]
        object.status = ["phase": "Active"]
    }

    /// Spec finalizers change only through `namespaces/finalize`.
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        object["spec"] = old["spec"]
    }
}

struct NodeStrategy: Strategy {
    var hasStatus: Bool { true }
    var selectableFields: [String] { ["spec.unschedulable"] }

    func fieldValue(_ path: String, of object: Object) -> String? {
        object["spec", "unschedulable"]?.bool == true ? "true" : "false"
    }
}

struct SecretStrategy: Strategy {
    static let sizeBytes = 1024 * 1024

    var returnsDeleted: Bool { false }
    var selectableFields: [String] { ["type"] }

    /// `stringData` is write-only and becomes part of `data`.
    func setDefaults(_ object: inout Object) {
        object.tree.fill("type", "Opaque")
        guard let plain = object["stringData"]?.object else { return }
        object.tree.fill("data", [:])
        object.tree.edit("data") { data in
            for member in plain {
                data[member.key] = .string(Base64.encode(Array((member.value.string ?? "").utf8)))
            }
        }
        object["stringData"] = nil
    }

    func faults(in object: Object) -> [FieldFault] {
        var faults: [FieldFault] = []
        var size = 0
        for member in object["data"]?.object ?? JSONObject() {
            if let fault = DataKeys.fault(member.key) {
                faults.append(.invalid("data[\(member.key)]", .string(member.key), fault))
            }
            size += (member.value.string?.utf8.count ?? 0) / 4 * 3
        }
        if size > SecretStrategy.sizeBytes {
            faults.append(
                FieldFault(kind: .tooLong, path: "data", message: "Too long: may not be more than 1048576 bytes"))
        }
        return faults
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        if object["type"] != old["type"] { return [.invalid("type", object["type"], "field is immutable")] }
        if old["immutable"] == true, object["data"] != old["data"] || object["immutable"] != true {
            return [.forbidden("data", "field is immutable when `immutable` is set")]
        }
        return []
    }
}

struct ConfigMapStrategy: Strategy {
    func faults(in object: Object) -> [FieldFault] {
        var faults: [FieldFault] = []
        for field in ["data", "binaryData"] {
            for member in object[field]?.object ?? JSONObject() {
                guard let fault = DataKeys.fault(member.key) else { continue }
                faults.append(.invalid("\(field)[\(member.key)]", .string(member.key), fault))
            }
        }
        return faults
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        guard old["immutable"] == true else { return [] }
        if object["immutable"] == true, object["data"] == old["data"], object["binaryData"] == old["binaryData"] {
            return []
        }
        return [.forbidden("data", "field is immutable when `immutable` is set")]
    }
}

/// The keys of Secrets and ConfigMaps.
enum DataKeys {
    static func fault(_ key: String) -> String? { NameRules.configKeyMessages(key).first }
}

struct EventStrategy: Strategy {
    var selectableFields: [String] {
        [
            "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
            "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
            "reportingComponent", "source", "type",
        ]
    }

    func fieldValue(_ path: String, of object: Object) -> String? {
        if path == "source" { return object["source", "component"]?.string ?? object["reportingComponent"]?.string }
        return object.tree.value(at: path.split(separator: ".").map(String.init))?.string
    }

    func faults(in object: Object) -> [FieldFault] {
        let namespace = object["involvedObject", "namespace"]?.string ?? ""
        if namespace == object.namespace || (namespace.isEmpty && object.namespace == "default") { return [] }
        return [
            .invalid("involvedObject.namespace", .string(namespace), "does not match event.namespace")
        ]
    }
}
