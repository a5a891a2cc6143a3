// What pods ask of their nodes.

import Formats
import Objects

/// What a pod asks of its node.
struct PodRequests: Sendable {
    var pods = 0
    var amounts: [String: Quantity] = [:]

    init() {}

    /// The sum over containers and sidecars, or the largest init container where that is more.
    init(_ pod: Object) {
        pods = 1
        var largest: [String: Quantity] = [:]
        let statuses = pod.status["containerStatuses"]?.array ?? []
        for container in pod.spec["containers"]?.array ?? [] {
            // A container that is being resized holds what it was given until it gives it back.
            let held = statuses.first { $0["name"] == container["name"] }?["allocatedResources"]
            add(container, held: held)
        }
        for container in pod.spec["initContainers"]?.array ?? [] {
            if container["restartPolicy"]?.string == "Always" {
                add(container)
                continue
            }
            for (name, amount) in Self.requests(container) {
                largest[name] = max(largest[name] ?? Quantity(0), amount)
            }
        }
        for (name, amount) in largest { amounts[name] = max(amounts[name] ?? Quantity(0), amount) }
    }

    mutating func add(_ other: PodRequests) {
        pods += other.pods
        for (name, amount) in other.amounts { amounts[name] = (amounts[name] ?? Quantity(0)) + amount }
    }

    private mutating func add(_ container: JSON, held: JSON? = nil) {
        for (name, amount) in Self.requests(container) {
            let most = max(amount, held?[name].flatMap(Quantity.init(json:)) ?? amount)
            amounts[name] = (amounts[name] ?? Quantity(0)) + most
        }
    }

    /// Requests; a limit without a request counts as one.
    private static func requests(_ container: JSON) -> [String: Quantity] {
        var requests: [String: Quantity] = [:]
        for field in ["limits", "requests"] {
            for member in container["resources"]?[field]?.object ?? JSONObject() {
                if let quantity = Quantity(json: member.value) { requests[member.key] = quantity }
            }
        }
        return requests
    }
}

extension Quantity {
    /// A quantity as objects carry it: text or a number; nil when it is neither.
    init?(json: JSON) {
        if let number = json.integer {
            self.init(Int64(number))
            return
        }
        guard let text = json.string, let quantity = try? Quantity(parsing: text) else { return nil }
        self = quantity
    }
}
