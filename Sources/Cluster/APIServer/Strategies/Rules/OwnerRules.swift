// Checks of `metadata.ownerReferences` (upstream: apimachinery, pkg/api/validation/objectmeta.go).

import Formats
import Objects

extension Findings {
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
