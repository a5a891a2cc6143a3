// Names what a pod asks for and this agent does not do, so that it is said and not silently left out.

import Formats
import Objects

/// The parts of a pod's spec that are accepted but have no effect.
enum UnsupportedFields {
    /// A sentence part for each, like `spec.hostPID`; empty when everything asked for is done.
    static func names(in pod: Object) -> [String] {
        var names: [String] = []
        for field in ["runtimeClassName", "overhead", "hostUsers", "setHostnameAsFQDN", "resources"] {
            let value = pod.spec[field]
            if value == nil || value == false || field == "hostUsers" && value == true { continue }
            names.append("spec.\(field)")
        }
        for field in ["seLinuxOptions", "seccompProfile", "appArmorProfile", "windowsOptions", "fsGroupChangePolicy"]
        where pod.spec["securityContext", field] != nil { names.append("spec.securityContext.\(field)") }
        for container in (pod.spec["initContainers"]?.array ?? []) + (pod.spec["containers"]?.array ?? []) {
            names += self.names(container: container)
        }
        return names
    }

    private static func names(container: JSON) -> [String] {
        let prefix = "container \(container["name"]?.string ?? ""): "
        var names: [String] = []
        for field in ["volumeDevices"] where !(container[field]?.array ?? []).isEmpty { names.append(prefix + field) }
        for field in ["seccompProfile", "appArmorProfile", "seLinuxOptions", "procMount", "windowsOptions"]
        where container["securityContext", field] != nil {
            names.append(prefix + "securityContext." + field)
        }
        return names
    }
}
