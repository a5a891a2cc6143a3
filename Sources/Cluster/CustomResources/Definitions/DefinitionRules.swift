// Which CustomResourceDefinitions are accepted, in upstream's words.

import Formats
import Objects

/// Upstream: pkg/apis/apiextensions/validation/validation.go. Fields that all versions have alike are named where
/// upstream's internal version keeps them, at `spec.validation` and its neighbours.
package enum DefinitionRules {
    /// The faults of a definition that is about to be stored.
    package static func faults(in object: Object) -> [FieldFault] {
        let spec = object.spec
        var faults = nameFaults(of: object) + specFaults(spec)
        faults += NameFaults.faults(in: DefinitionNames(object["status", "acceptedNames"]), at: "status.acceptedNames")
        faults += storedVersionFaults(object) + approvalFaults(object)
        if spec.flag("preserveUnknownFields") {
            faults.append(
                .invalid(
                    "spec.preserveUnknownFields", true,
                    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema "
                        + "instead"))
        }
        return faults
    }

    /// What may not change.
    package static func faults(in object: Object, from old: Object) -> [FieldFault] {
        var fixed = [["group"], ["names", "plural"]]
        if old.isTrue("Established") { fixed = [["scope"], ["names", "kind"]] + fixed }
        return fixed.compactMap { path in
            let value = object.spec.value(at: path)
            return value == old.spec.value(at: path)
                ? nil : .invalid("spec.\(path.joined(separator: "."))", value, "field is immutable")
        }
    }

    /// Upstream appends this to the messages about the name itself.
    private static func nameFaults(of object: Object) -> [FieldFault] {
        let wanted = "\(object["spec", "names", "plural"]?.string ?? "").\(object["spec", "group"]?.string ?? "")"
        if object.name == wanted { return [] }
        return [.invalid("metadata.name", .string(object.name), "must be spec.names.plural+\".\"+spec.group")]
    }

    private static func specFaults(_ spec: JSON) -> [FieldFault] {
        var faults: [FieldFault] = []
        let group = spec["group"]?.string ?? ""
        if group.isEmpty {
            faults.append(.required("spec.group"))
        } else if let fault = NameRules.fault(group, .subdomain) {
            faults.append(.invalid("spec.group", .string(group), fault))
        } else if !group.contains(".") {
            faults.append(.invalid("spec.group", .string(group), "should be a domain with at least one dot"))
        }
        faults += enumFaults(spec["scope"], ["Cluster", "Namespaced"], at: "spec.scope")
        faults += VersionRules(spec).faults()
        let names = DefinitionNames(spec["names"])
        for (field, value) in [
            ("plural", names.plural), ("singular", names.singular), ("kind", names.kind), ("listKind", names.listKind),
        ] where value.isEmpty {
            faults.append(.required("spec.names.\(field)"))
        }
        faults += NameFaults.faults(in: names, at: "spec.names")
        return faults + conversionFaults(spec["conversion"])
    }

    private static func enumFaults(_ value: JSON?, _ accepted: [String], at path: String) -> [FieldFault] {
        guard let text = value?.string, !text.isEmpty else { return [.required(path)] }
        return accepted.contains(text) ? [] : [.notSupported(path, value, accepted)]
    }

    /// Only the strategy None is there; Webhook is refused by name, since objects in the wrong version would be worse.
    private static func conversionFaults(_ conversion: JSON?) -> [FieldFault] {
        guard let conversion, !conversion.isNull else { return [] }
        switch conversion["strategy"]?.string ?? "" {
        case "": return [.required("spec.conversion.strategy")]
        case "None":
            if conversion.given("webhook") == nil { return [] }
            return [
                .forbidden(
                    "spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook")
            ]
        case "Webhook":
            return [
                .invalid(
                    "spec.conversion.strategy", "Webhook",
                    "this server does not call conversion webhooks; only None is supported, with which all versions "
                        + "share their fields")
            ]
        default:
            return [.notSupported("spec.conversion.strategy", conversion["strategy"], ["None", "Webhook"])]
        }
    }

    private static func storedVersionFaults(_ object: Object) -> [FieldFault] {
        let path = "status.storedVersions"
        let stored = object["status", "storedVersions"]?.strings ?? []
        if stored.isEmpty { return [.invalid(path, .array([]), "must have at least one stored version")] }
        let versions = object["spec", "versions"]?.array ?? []
        let names = versions.compactMap { $0["name"]?.string }
        var faults: [FieldFault] = []
        for version in versions where version.flag("storage") {
            let name = version["name"]?.string ?? ""
            if stored.contains(name) { continue }
            faults.append(.invalid(path, object["status", "storedVersions"], "must have the storage version \(name)"))
        }
        for (position, name) in stored.enumerated() where !names.contains(name) {
            faults.append(
                .invalid(
                    "\(path)[\(position)]", .string(name),
                    "missing from spec.versions; \(name) was previously a storage version, and must remain in "
                        + "spec.versions until a storage migration ensures no data remains persisted in \(name) and "
                        + "removes \(name) from status.storedVersions"))
        }
        return faults
    }

    private static func approvalFaults(_ object: Object) -> [FieldFault] {
        let path = "metadata.annotations[\(ApprovalPolicy.annotation)]"
        switch ApprovalPolicy(object) {
        case .unneeded, .approved, .bypassed: return []
        case .missing:
            return [
                .required(
                    path,
                    "protected groups must have approval annotation \"\(ApprovalPolicy.annotation)\", see "
                        + "https://github.com/kubernetes/enhancements/pull/1111")
            ]
        case .invalid(let value):
            return [
                .invalid(
                    path, .string(value),
                    "protected groups must have approval annotation \"\(ApprovalPolicy.annotation)\" with either a URL "
                        + "or a reason starting with \"unapproved\", see "
                        + "https://github.com/kubernetes/enhancements/pull/1111")
            ]
        }
    }
}

/// Kubernetes' own groups need a word that their definition was agreed on (upstream: pkg/apihelpers/helpers.go).
enum ApprovalPolicy: Sendable, Hashable {
    static let annotation = "api-approved.kubernetes.io"

    case unneeded, missing
    case approved(String)
    case bypassed(String)
    case invalid(String)

    init(_ object: Object) {
        let group = object["spec", "group"]?.string ?? ""
        let isProtected = ["k8s.io", "kubernetes.io"].contains { group == $0 || group.hasSuffix(".\($0)") }
        guard isProtected else {
            self = .unneeded
            return
        }
        let value = object.annotations[Self.annotation] ?? ""
        if value.isEmpty {
            self = .missing
        } else if value.hasPrefix("unapproved") {
            self = .bypassed(value)
        } else {
            self = value.hasPrefix("https://") || value.hasPrefix("http://") ? .approved(value) : .invalid(value)
        }
    }
}

/// The form of names.
enum NameFaults {
    static func faults(in names: DefinitionNames, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        func check(_ name: String, at place: String) {
            if let fault = NameRules.fault(name, .label1035) { faults.append(.invalid(place, .string(name), fault)) }
        }
        func checkKind(_ name: String, at place: String) {
            guard !name.isEmpty, let fault = NameRules.fault(name.lowercased(), .label1035) else { return }
            let why = "may have mixed case, but should otherwise match: \(fault)"
            faults.append(.invalid(place, .string(name), why))
        }
        if !names.plural.isEmpty { check(names.plural, at: "\(path).plural") }
        if !names.singular.isEmpty { check(names.singular, at: "\(path).singular") }
        checkKind(names.kind, at: "\(path).kind")
        checkKind(names.listKind, at: "\(path).listKind")
        for (position, name) in names.shortNames.enumerated() { check(name, at: "\(path).shortNames[\(position)]") }
        if !names.kind.isEmpty, names.kind == names.listKind {
            faults.append(
                .invalid("\(path).listKind", .string(names.listKind), "kind and listKind may not be the same"))
        }
        for (position, name) in names.categories.enumerated() { check(name, at: "\(path).categories[\(position)]") }
        return faults
    }
}
