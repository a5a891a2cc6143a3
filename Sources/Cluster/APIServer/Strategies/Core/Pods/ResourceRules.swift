// Validation of what containers request of a node, and of amounts of resources in general.

import Formats
import Objects

/// What the names of resources mean (upstream: pkg/apis/core/helper).
enum ResourceNames {
    private static let computing: Set<String> = ["cpu", "memory", "ephemeral-storage"]
    private static let countable: Set<String> = [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    ]
    private static let others: Set<String> = [
        "storage", "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
        "limits.memory", "limits.ephemeral-storage",
    ]

    static func isHugePages(_ name: String) -> Bool { name.hasPrefix("hugepages-") }
    static func isNative(_ name: String) -> Bool { !name.contains("/") || name.contains("kubernetes.io/") }
    static func isForContainers(_ name: String) -> Bool { computing.contains(name) || isHugePages(name) }
    static func isStandard(_ name: String) -> Bool {
        isForContainers(name) || countable.contains(name) || others.contains(name)
    }
    static func isForQuota(_ name: String) -> Bool {
        isStandard(name) || name.hasPrefix("requests.hugepages-") || name.hasPrefix("count/")
            || name.hasPrefix("requests.") && !isNative(String(name.dropFirst(9)))
            || name.contains(".storageclass.storage.k8s.io/")
    }
    static func isExtended(_ name: String) -> Bool {
        !isNative(name) && !name.hasPrefix("requests.") && NameRules.qualifiedNameMessages("requests." + name).isEmpty
    }
    /// Whether parts of one can be had.
    static func isWhole(_ name: String) -> Bool { countable.contains(name) || isExtended(name) }
    static func mayBeOvercommitted(_ name: String) -> Bool { isNative(name) && !isHugePages(name) }
}

extension Findings {
    mutating func resources(_ field: Field, claims: Set<String>) {
        resourceList(field["limits"], at: field["limits"])
        resourceList(field["requests"], at: field["requests"])
        let limits = field["limits"]
        for (name, request) in field["requests"].entries {
            guard let amount = request.quantity else { continue }
            if let limit = limits[name].quantity {
                let mayDiffer = ResourceNames.mayBeOvercommitted(name)
                if !mayDiffer, amount != limit {
                    let why = "must be equal to \(name) limit of \(limit)"
                    invalid(field["requests"], value: .string(amount.text), why)
                } else if amount > limit {
                    let why = "must be less than or equal to \(name) limit of \(limit)"
                    invalid(field["requests"], value: .string(amount.text), why)
                }
            } else if !ResourceNames.mayBeOvercommitted(name) {
                required(limits, "Limit must be set for non overcommitable resources")
            }
        }
        let names = Set(limits.entries.map(\.key) + field["requests"].entries.map(\.key))
        if names.contains(where: ResourceNames.isHugePages), names.isDisjoint(with: ["cpu", "memory"]) {
            forbidden(field, "HugePages require cpu or memory")
        }
        var seen: Set<String> = []
        for claim in field["claims"].elements {
            guard needs(claim["name"]) else { continue }
            if !claims.contains(claim["name"].text) { notFound(claim["name"]) }
            if !seen.insert("\(claim["name"].text)/\(claim["request"].text)").inserted {
                duplicate(claim)
            }
        }
    }

    /// The resources of a whole pod, among which there are no claims.
    mutating func podResources(_ field: Field) {
        forbids(field["claims"], "claims cannot be set for Resources at pod-level")
        resources(Field(path: field.path, field.value), claims: [])
        for list in ["limits", "requests"] {
            for (name, amount) in field[list].entries
            where name != "cpu" && name != "memory" && !ResourceNames.isHugePages(name)
                && ResourceNames.isStandard(name)
            {
                notSupported(amount, ["cpu", "hugepages-", "memory"], value: .string(name))
            }
        }
    }

    /// Amounts of resources that a container may have, reported at `place[name]`.
    mutating func resourceList(_ field: Field, at place: Field) {
        for (name, amount) in field.entries {
            let here = Field(path: .entry(place.path, name), amount.value)
            let messages = NameRules.qualifiedNameMessages(name)
            for message in messages { invalid(here, value: .string(name), message) }
            if messages.isEmpty {
                if !name.contains("/") {
                    if !ResourceNames.isStandard(name) {
                        invalid(here, value: .string(name), "must be a standard resource type or fully qualified")
                    }
                    if !ResourceNames.isForContainers(name) {
                        invalid(here, value: .string(name), "must be a standard resource for containers")
                    }
                } else if !ResourceNames.isNative(name), !ResourceNames.isExtended(name) {
                    invalid(here, value: .string(name), "doesn't follow extended resource name standard")
                }
            }
            resourceAmount(here, of: name)
        }
    }

    mutating func resourceAmount(_ field: Field, of name: String) {
        guard let amount = field.quantity else { return }
        if amount.nanos < 0 { invalid(field, value: .string(amount.text), Self.isNegative) }
        if ResourceNames.isWhole(name), amount.milliValue % 1000 != 0 {
            invalid(field, value: .string(amount.text), "must be an integer")
        }
    }
}
