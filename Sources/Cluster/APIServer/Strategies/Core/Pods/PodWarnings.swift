// What writers of pods and templates are told about (upstream: pkg/api/pod/warnings.go).

import Formats
import Objects

enum PodWarnings {
    /// Labels of nodes that have newer names.
    private static let oldNodeLabels = [
        "beta.kubernetes.io/arch": "kubernetes.io/arch", "beta.kubernetes.io/os": "kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
        "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    ]
    private static let oldVolumes = [
        "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
        "rbd": "deprecated in v1.28, non-functional in v1.31+",
        "cephfs": "deprecated in v1.28, non-functional in v1.31+",
        "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    ]

    /// The warnings for a pod, or for a template that is at `path`.
    static func of(_ tree: JSON, at path: FieldPath = .root) -> [String] {
        let root = Field(path: path, tree)
        let spec = root["spec"]
        var warnings: [String] = []
        for (key, place) in spec["nodeSelector"].entries {
            if let new = oldNodeLabels[key] {
                warnings.append("\(place.path): deprecated since v1.14; use \"\(new)\" instead")
            }
        }
        for volume in spec["volumes"].elements {
            for (kind, text) in oldVolumes.sorted(by: { $0.key < $1.key }) where volume[kind].exists {
                warnings.append("\(volume[kind].path): \(text)")
            }
        }
        for alias in duplicates(of: spec["hostAliases"].elements, by: { $0["ip"].text }) {
            warnings.append("\(alias["ip"].path): duplicate ip \"\(alias["ip"].text)\"")
        }
        for secret in spec["imagePullSecrets"].elements where secret["name"].isEmpty {
            warnings.append("\(secret["name"].path): invalid empty name \"\"")
        }
        for list in ["initContainers", "containers"] { warnings += of(containers: spec[list]) }
        if spec["terminationGracePeriodSeconds"].number < 0 {
            warnings.append(
                "\(spec["terminationGracePeriodSeconds"].path): must be >= 0; negative values are invalid and will be treated as 1"
            )
        }
        return warnings
    }

    /// The warnings for the template of a workload.
    static func ofTemplate(in object: Object) -> [String] {
        of(object["spec", "template"] ?? [:], at: .member(.member(.root, "spec"), "template"))
    }

    private static func of(containers list: Field) -> [String] {
        var warnings: [String] = []
        for container in list.elements {
            for variable in duplicates(of: container["env"].elements, by: { $0["name"].text }) {
                let name = variable["name"].text
                warnings.append(
                    "\(variable.path): hides previous definition of \"\(name)\", which may be dropped when using apply")
            }
            for list in ["limits", "requests"] {
                for (name, amount) in container["resources"][list].entries
                where ["memory", "ephemeral-storage"].contains(name) {
                    if let quantity = amount.quantity, quantity.milliValue % 1000 != 0 {
                        warnings.append(
                            "\(amount.path): fractional byte value \"\(amount.text)\" is invalid, must be an integer")
                    }
                }
            }
        }
        return warnings
    }

    private static func duplicates(of fields: [Field], by key: (Field) -> String) -> [Field] {
        var seen: Set<String> = []
        return fields.filter { !seen.insert(key($0)).inserted }
    }
}
