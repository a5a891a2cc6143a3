// Gives containers the default amounts of their namespace and holds them to its bounds (upstream:
// plugin/pkg/admission/limitranger).

import Formats
import Objects

extension KubernetesAPI {
    func admitLimits(of object: inout Object, _ resource: Resource) throws {
        let ranges = try stored(.limitRanges, namespace: object.namespace)
        if ranges.isEmpty { return }
        var faults: [String] = []
        for limit in ranges.flatMap({ Field($0)["spec"]["limits"].elements }) {
            switch (limit["type"].text, resource.plural) {
            case ("Container", "pods"): LimitDefaults.fill(&object, from: limit)
            default: break
            }
        }
        for limit in ranges.flatMap({ Field($0)["spec"]["limits"].elements }) {
            faults += LimitBounds.faults(of: Field(object)["spec"], limit, resource)
        }
        if faults.isEmpty { return }
        let text = faults.count == 1 ? faults[0] : "[\(faults.joined(separator: ", "))]"
        throw Problem.forbidden(resource, object.name, text)
    }
}

/// What containers get that say nothing themselves.
private enum LimitDefaults {
    static func fill(_ pod: inout Object, from limit: Field) {
        var notes: [String] = []
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            pod.tree.edit("spec") { spec in
                spec.editEach(list) { container in
                    let name = container["name"]?.string ?? ""
                    for (kind, source, verb) in [
                        ("requests", "defaultRequest", "request"), ("limits", "default", "limit"),
                    ] {
                        let set = fill(&container, kind, from: limit[source])
                        if !set.isEmpty { notes.append("\(set.joined(separator: ", ")) \(verb) for \(word) \(name)") }
                    }
                }
            }
        }
        if !notes.isEmpty {
            let text = "LimitRanger plugin set: " + notes.joined(separator: "; ")
            pod.annotations["kubernetes.io/limit-ranger"] = text
        }
    }

    private static func fill(_ container: inout JSON, _ kind: String, from amounts: Field) -> [String] {
        var set: [String] = []
        for (name, amount) in amounts.entries where container["resources", kind]?[name] == nil {
            container["resources", kind, name] = amount.value
            set.append(name)
        }
        return set
    }
}

/// The least, the most, and how far a limit may be above its request.
private enum LimitBounds {
    static func faults(of spec: Field, _ limit: Field, _ resource: Resource) -> [String] {
        switch (limit["type"].text, resource.plural) {
        case ("Container", "pods"):
            let containers = spec["containers"].elements + spec["initContainers"].elements
            return containers.flatMap {
                check(limit, "Container", amounts($0["resources"]["requests"]), amounts($0["resources"]["limits"]))
            }
        case ("Pod", "pods"):
            let containers = spec["containers"].elements.map { $0["resources"] }
            let requests = containers.map { amounts($0["requests"]) }
            let limits = containers.map { amounts($0["limits"]) }
            return check(limit, "Pod", sum(requests), sum(limits))
        case ("PersistentVolumeClaim", "persistentvolumeclaims"):
            let requests = amounts(spec["resources"]["requests"])
            return check(limit, "PersistentVolumeClaim", requests, requests)
        default: return []
        }
    }

    private static func amounts(_ field: Field) -> [String: Quantity] {
        Dictionary(uniqueKeysWithValues: field.entries.compactMap { key, field in field.quantity.map { (key, $0) } })
    }

    private static func sum(_ all: [[String: Quantity]]) -> [String: Quantity] {
        all.reduce(into: [:]) { sum, one in sum.merge(one) { $0 + $1 } }
    }

    private static func check(
        _ limit: Field, _ type: String, _ requests: [String: Quantity], _ limits: [String: Quantity]
    ) -> [String] {
        var faults: [String] = []
        for (name, least) in amounts(limit["min"]).sorted(by: { $0.key < $1.key }) {
            let text = "minimum \(name) usage per \(type) is \(least)"
            if let request = requests[name] {
                if request < least { faults.append("\(text), but request is \(request)") }
            } else {
                faults.append("\(text).  No request is specified")
            }
            if let limit = limits[name], limit < least, requests[name] != limit {
                faults.append("\(text), but limit is \(limit)")
            }
        }
        for (name, most) in amounts(limit["max"]).sorted(by: { $0.key < $1.key }) {
            let text = "maximum \(name) usage per \(type) is \(most)"
            guard let limit = limits[name] else {
                faults.append("\(text).  No limit is specified")
                continue
            }
            if limit > most { faults.append("\(text), but limit is \(limit)") }
            if let request = requests[name], request > most, request != limit {
                faults.append("\(text), but request is \(request)")
            }
        }
        for (name, ratio) in amounts(limit["maxLimitRequestRatio"]).sorted(by: { $0.key < $1.key }) {
            let text = "\(name) max limit to request ratio per \(type) is \(ratio)"
            guard let request = requests[name], let limit = limits[name], request.nanos > 0 else {
                faults.append("\(text), but no request is specified or request is 0")
                continue
            }
            let (real, most) = (limit.nanos * 1000 / request.nanos, ratio.nanos / 1_000_000)
            if real > most { faults.append("\(text), but provided ratio is \(Double(real) / 1000)") }
        }
        return faults
    }
}
