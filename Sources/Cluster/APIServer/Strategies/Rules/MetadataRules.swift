// Checks of the part of an object that all kinds have (upstream: apimachinery, pkg/api/validation/objectmeta.go).

import Formats
import Objects

extension Findings {
    private static let standardFinalizers = ["kubernetes", "orphan", "foregroundDeletion"]

    /// Finalizers of Kubernetes' own kinds are known ones or carry a domain.
    mutating func metadata(_ field: Field, isBuiltIn: Bool) {
        add(NameRules.metadataFaults(field.value, at: field.path.description))
        owners(field["ownerReferences"])
        for finalizer in field["finalizers"].elements {
            for message in NameRules.qualifiedNameMessages(finalizer.text) {
                invalid(field["finalizers"], value: .string(finalizer.text), message)
            }
            if isBuiltIn, !finalizer.text.contains("/"), !Self.standardFinalizers.contains(finalizer.text) {
                invalid(finalizer, "name is neither a standard finalizer name nor is it fully qualified")
            }
        }
    }

    mutating func owners(_ field: Field) {
        var controllers: [String] = []
        for owner in field.elements {
            let version = owner["apiVersion"]
            if version.isEmpty { invalid(version, value: "", "version must not be empty") }
            for name in ["kind", "name", "uid"] where owner[name].isEmpty {
                invalid(owner[name], value: "", "must not be empty")
            }
            if version.text == "v1", owner["kind"].text == "Event" {
                invalid(owner, "/v1, Kind=Event is disallowed from being an owner")
            }
            if owner["controller"].isTrue { controllers.append(owner["name"].text) }
        }
        if controllers.count > 1 {
            invalid(
                field,
                "Only one reference can have Controller set to true. Found \"true\" in references for "
                    + "\(controllers[0]) and \(controllers[1])")
        }
    }
}
