// Validation of environment variables and of the fields and resources that they and volumes may name.

import Formats
import Objects

extension Findings {
    mutating func environment(_ container: Field) {
        for variable in container["env"].elements {
            if needs(variable["name"]) { text(variable["name"], NameRules.variableMessages(variable["name"].text)) }
            if variable["valueFrom"].exists { source(variable["valueFrom"], value: variable["value"]) }
        }
        for source in container["envFrom"].elements { wholeSource(source, in: container["envFrom"]) }
    }

    private mutating func source(_ field: Field, value: Field) {
        let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"].filter { field[$0].exists }
        for kind in kinds {
            switch kind {
            case "fieldRef": fieldReference(field[kind], Self.variablePaths)
            case "resourceFieldRef": resourceReference(field[kind], isVolume: false)
            default:
                name(field[kind]["name"], .subdomain)
                configKey(field[kind]["key"])
            }
        }
        if kinds.isEmpty {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            invalid(field, value: "", why)
        } else if !value.isEmpty {
            invalid(field, value: "", "may not be specified when `value` is not empty")
        } else if kinds.count > 1 {
            invalid(field, value: "", "may not have more than one field specified at a time")
        }
    }

    private mutating func wholeSource(_ field: Field, in list: Field) {
        if !field["prefix"].isEmpty { text(field["prefix"], NameRules.variableMessages(field["prefix"].text)) }
        let kinds = ["configMapRef", "secretRef"].filter { field[$0].exists }
        for kind in kinds { requiredName(field[kind]["name"], .subdomain) }
        if kinds.isEmpty {
            invalid(list, value: "", "must specify one of: `configMapRef` or `secretRef`")
        } else if kinds.count > 1 {
            invalid(list, value: "", "may not have more than one field specified at a time")
        }
    }

    private static let variablePaths = [
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    ]
    static let volumePaths = [
        "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
    ]
    /// What upstream's conversion of downward API paths knows; others are told apart from those that are known but not
    /// allowed here.
    private static let knownPaths = Set(variablePaths + volumePaths + ["spec.restartPolicy", "status.phase"])

    /// A path into the pod, such as `metadata.labels['app']`.
    mutating func fieldReference(_ field: Field, _ allowed: [String]) {
        guard needs(field["apiVersion"]), needs(field["fieldPath"]) else { return }
        let path = field["fieldPath"].text
        if let match = path.wholeMatch(of: /(.*)\['(.*)'\]/) {
            let key = String(match.2)
            switch match.1 {
            case "metadata.annotations":
                return text(
                    Field(path: field.path, .string(key.lowercased())),
                    NameRules.qualifiedNameMessages(key.lowercased()))
            case "metadata.labels":
                return text(Field(path: field.path, .string(key)), NameRules.qualifiedNameMessages(key))
            default:
                if Self.knownPaths.contains(String(match.1)) {
                    return invalid(field, value: .string(String(match.1)), "does not support subscript")
                }
            }
        }
        if !Self.knownPaths.contains(path) {
            return invalid(field["fieldPath"], "error converting fieldPath: field label not supported: \(path)")
        }
        if !allowed.contains(path) { notSupported(field["fieldPath"], allowed) }
    }

    private static let resourcePaths = [
        "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
        "requests.memory",
    ]
    private static let byteDivisors = [
        "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
    ]

    mutating func resourceReference(_ field: Field, isVolume: Bool) {
        let resource = field["resource"].text
        let isPages = resource.hasPrefix("limits.hugepages-") || resource.hasPrefix("requests.hugepages-")
        if isVolume, field["containerName"].isEmpty {
            required(field["containerName"])
        } else if resource.isEmpty {
            required(field["resource"])
        } else if !Self.resourcePaths.contains(resource), !isPages {
            notSupported(field["resource"], Self.resourcePaths)
        }
        guard let divisor = field["divisor"].quantity, divisor.nanos != 0 else { return }
        let isProcessor = resource.hasSuffix(".cpu")
        let allowed = isProcessor ? ["1m", "1"] : Self.byteDivisors
        if allowed.contains(divisor.text) { return }
        let (values, what) =
            isProcessor
            ? ("1m and 1", "cpu")
            : (
                Self.byteDivisors.joined(separator: ", "),
                isPages ? "hugepages" : resource.hasSuffix(".memory") ? "memory" : "local ephemeral storage"
            )
        let why = "only divisor's values \(values) are supported with the \(what) resource"
        invalid(field["divisor"], value: .string(resource), why)
    }
}
