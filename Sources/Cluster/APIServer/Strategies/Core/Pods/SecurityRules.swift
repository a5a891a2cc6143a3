// Validation of the security contexts of pods and containers.

import Formats

extension Findings {
    private static let userRange = 0...2_147_483_647

    private mutating func user(_ field: Field) {
        if field.exists { isWithin(field, Self.userRange) }
    }

    mutating func podSecurityContext(_ spec: Field) {
        let context = spec["securityContext"]
        for name in ["fsGroup", "runAsUser", "runAsGroup"] { user(context[name]) }
        for group in context["supplementalGroups"].elements { user(group) }
        if spec["shareProcessNamespace"].isTrue, spec["hostPID"].isTrue {
            let why = "ShareProcessNamespace and HostPID cannot both be enabled"
            invalid(context["shareProcessNamespace"], value: true, why)
        }
        sysctls(context["sysctls"], spec)
        let choices = [
            ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]), ("supplementalGroupsPolicy", ["Merge", "Strict"]),
            ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
        ]
        for (name, known) in choices where context[name].exists {
            if !known.contains(context[name].text) { notSupported(context[name], known) }
        }
        profile(context["seccompProfile"], "seccomp")
        profile(context["appArmorProfile"], "AppArmor")
    }

    private static let sysctlNameLength = 253

    private mutating func sysctls(_ field: Field, _ spec: Field) {
        var seen: Set<String> = []
        for setting in field.elements {
            let name = setting["name"]
            let pattern = /([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\.\/])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?/
            if !needs(name) { continue }
            if name.text.utf8.count > Self.sysctlNameLength || name.text.wholeMatch(of: pattern) == nil {
                invalid(
                    name,
                    "must have at most 253 characters and match regex "
                        + "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")
            } else {
                isNew(name, in: &seen)
            }
            if spec["hostNetwork"].isTrue, name.text.hasPrefix("net.") || name.text.hasPrefix("net/") {
                invalid(name, "may not be specified when 'hostNetwork' is true")
            }
        }
    }

    private mutating func profile(_ field: Field, _ what: String) {
        guard field.exists else { return }
        let types = ["Localhost", "RuntimeDefault", "Unconfined"]
        let local = field["localhostProfile"]
        if field["type"].isEmpty {
            let name = what == "seccomp" ? "seccompProfile" : "appArmorProfile"
            return required(field["type"], "type is required when \(name) is set")
        }
        if !types.contains(field["type"].text) { notSupported(field["type"], types) }
        if field["type"].text == "Localhost" {
            if !local.exists {
                required(local, "must be set when \(what) type is Localhost")
            } else if what == "seccomp" {
                descendingPath(local)
            } else if local.text.first?.isWhitespace == true || local.text.last?.isWhitespace == true {
                invalid(local, "must not be padded with whitespace")
            }
        } else if local.exists {
            invalid(local, "can only be set when \(what) type is Localhost")
        }
    }

    mutating func securityContext(_ field: Field) {
        guard field.exists else { return }
        for name in ["runAsUser", "runAsGroup"] { user(field[name]) }
        if field["procMount"].exists { isOne(of: ["Default", "Unmasked"], field["procMount"]) }
        profile(field["seccompProfile"], "seccomp")
        if field["allowPrivilegeEscalation"].value?.bool == false {
            if field["privileged"].isTrue {
                invalid(field, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
            }
            if field["capabilities"]["add"].elements.contains(where: { $0.text == "CAP_SYS_ADMIN" }) {
                let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
                invalid(field, why)
            }
        }
        profile(field["appArmorProfile"], "AppArmor")
    }
}
