// Names what a pod asks for and this agent does not do, so that it is said and not silently left out.

import Formats
import Objects

/// The parts of a pod's spec that are accepted but have no effect.
enum UnsupportedFields {
    /// A sentence part for each, like `spec.hostPID`; empty when everything asked for is done.
    static func names(in pod: Object) -> [String] {
        var names: [String] = []
        for field in ["hostPID", "hostIPC", "shareProcessNamespace"] where pod.spec[field]?.bool == true {
            names.append("spec.\(field)")
        }
        if pod.spec["activeDeadlineSeconds"] != nil { names.append("spec.activeDeadlineSeconds") }
        if !(pod.spec["ephemeralContainers"]?.array ?? []).isEmpty { names.append("spec.ephemeralContainers") }
        if pod.spec["securityContext", "fsGroup"] != nil { names.append("spec.securityContext.fsGroup") }
        if pod.spec["dnsPolicy"]?.string == "Default", pod.spec["dnsConfig"] != nil { names.append("spec.dnsConfig") }
        for volume in pod.spec["volumes"]?.array ?? [] where volume["emptyDir", "medium"]?.string == "Memory" {
            names.append("spec.volumes[\(volume["name"]?.string ?? "")].emptyDir.medium")
        }
        for container in (pod.spec["initContainers"]?.array ?? []) + (pod.spec["containers"]?.array ?? []) {
            names += self.names(container: container)
        }
        return names
    }

    private static func names(container: JSON) -> [String] {
        let prefix = "container \(container["name"]?.string ?? ""): "
        var names: [String] = []
        for port in container["ports"]?.array ?? [] where (port["hostPort"]?.integer ?? 0) > 0 {
            names.append(prefix + "hostPort")
        }
        for field in ["volumeDevices"] where !(container[field]?.array ?? []).isEmpty { names.append(prefix + field) }
        if container["securityContext", "readOnlyRootFilesystem"]?.bool == true {
            names.append(prefix + "securityContext.readOnlyRootFilesystem")
        }
        for field in ["capabilities", "seccompProfile", "appArmorProfile", "seLinuxOptions"]
        where container["securityContext", field] != nil {
            names.append(prefix + "securityContext." + field)
        }
        if let path = container["terminationMessagePath"]?.string, path != "/dev/termination-log" {
            names.append(prefix + "terminationMessagePath")
        }
        return names
    }
}
