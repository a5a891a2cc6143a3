// The rules of Events in both of their versions (upstream: pkg/apis/core/validation/events.go).

import Formats
import Objects

struct EventStrategy: Strategy {
    /// Whether requests are in `events.k8s.io/v1`, which is stricter.
    var isModern = false

    static let textLength = 128
    static let messageLength = 1024

    var selectableFields: [String] {
        let target = isModern ? "regarding" : "involvedObject"
        let parts = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
        return parts.map { "\(target).\($0)" } + ["reason", "type"]
            + (isModern ? ["reportingController", "reportingInstance"] : ["reportingComponent", "source"])
    }

    func fieldValue(_ path: String, of object: Object) -> String? {
        if path == "source" { return object["source", "component"]?.string ?? object["reportingComponent"]?.string }
        return object.tree.value(at: path.split(separator: ".").map(String.init))?.string
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(StoredVersions.forStorage(object)) { root, findings in
            let namespace = root["involvedObject"]["namespace"]
            let isRight = namespace.text == object.namespace || (namespace.isEmpty && object.namespace == "default")
            if !isRight {
                findings.invalid(namespace, value: .string(namespace.text), "does not match event.namespace")
            }
            if !root["eventTime"].isEmpty { modernPart(root, &findings) }
        }
    }

    private func modernPart(_ root: Field, _ findings: inout Findings) {
        let reporter = Field(
            path: .member(.root, isModern ? "reportingController" : "reportingComponent"),
            root["reportingComponent"].value)
        if findings.needs(reporter) { findings.qualifiedName(reporter) }
        for (name, isRequired) in [("reportingInstance", true), ("action", true), ("reason", true)] {
            if isRequired, root[name].isEmpty { findings.required(root[name]) }
            if root[name].text.utf8.count > Self.textLength {
                findings.invalid(root[name], value: "", "can have at most \(Self.textLength) characters")
            }
        }
        let message = Field(path: .member(.root, isModern ? "note" : "message"), root["message"].value)
        if message.text.utf8.count > Self.messageLength {
            findings.invalid(message, value: "", "can have at most \(Self.messageLength) characters")
        }
    }

    func creationFaults(in object: Object) -> [FieldFault] {
        if !isModern { return [] }
        return Findings.of(object) { root, findings in
            if root["eventTime"].isEmpty { findings.required(root["eventTime"]) }
            if !["Normal", "Warning"].contains(root["type"].text) {
                findings.invalid(root["type"], value: "", "has invalid value: \(root["type"].text)")
            }
            for field in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount", "deprecatedSource"]
            where !root[field].isEmpty {
                findings.invalid(root[field], "needs to be unset")
            }
        }
    }

    /// All but the series and the metadata.
    private static let fixed = [
        "regarding", "reason", "note", "deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
        "deprecatedCount", "type", "eventTime", "action", "related", "reportingController", "reportingInstance",
    ]

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        if !isModern { return [] }
        return Findings.of(object) { root, findings in
            for field in Self.fixed { findings.isUnchanged(root[field], from: Field(old)[field]) }
        }
    }
}
