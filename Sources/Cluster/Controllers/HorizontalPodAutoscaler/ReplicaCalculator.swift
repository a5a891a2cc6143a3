// How many replicas a metric asks for.

import Formats
import Objects

/// What one container of a pod uses.
struct ContainerUsage: Sendable, Equatable {
    var name: String
    var cpu: Quantity
    var memory: Quantity
}

/// What a pod uses, and when that was measured.
struct PodUsageSample: Sendable, Equatable {
    var containers: [ContainerUsage]
    var time: Timestamp
    /// The span that the figures are an average of.
    var window: Duration
}

/// After `kubernetes/pkg/controller/podautoscaler/replica_calculator.go`.
struct ReplicaCalculator: Sendable {
    /// A ratio this close to one changes nothing (`--horizontal-pod-autoscaler-tolerance`).
    static let tolerance = 0.1
    /// CPU of pods younger than this counts only when it was measured after they were ready.
    static let startSpan = Duration.seconds(300)
    /// A pod that was never ready for longer than this after its start is starting.
    static let readinessDelay = Duration.seconds(30)

    enum Target: Sendable, Equatable {
        /// Percent of what the pods request.
        case utilization(Int)
        /// Per pod, in thousandths of the resource's unit.
        case average(Int64)
    }

    struct Proposal: Sendable, Equatable {
        var replicas: Int
        var utilization: Int?
        /// Per pod, in thousandths.
        var averageMilli: Int64
    }

    let pods: [Object]
    let samples: [String: PodUsageSample]
    let currentReplicas: Int
    /// `cpu` or `memory`.
    let resource: String
    /// Only this container's usage and requests; nil for the whole pod.
    let container: String?
    let now: Timestamp

    func propose(_ target: Target) throws(Problem) -> Proposal {
        let groups = sort()
        var usage = groups.usage
        if usage.isEmpty {
            throw Problem(.unknown, "did not receive metrics for targeted pods (pods might be unready)")
        }
        var requests: [String: Int64] = [:]
        if case .utilization = target { requests = try self.requests() }
        let first = ratio(usage, requests, target)
        let growsWithUnready = !groups.unready.isEmpty && first.ratio > 1
        if !growsWithUnready, groups.missing.isEmpty {
            let wanted = Self.ceil(first.ratio * Double(groups.readyCount))
            let replicas = isTolerable(first.ratio) ? currentReplicas : wanted
            return Proposal(replicas: replicas, utilization: first.utilization, averageMilli: first.average)
        }
        // What is not known is counted so that it slows the change down: as full when shrinking, as idle when growing.
        for name in groups.missing {
            if first.ratio < 1 {
                usage[name] = full(name, requests, target)
            } else if first.ratio > 1 {
                usage[name] = 0
            }
        }
        if growsWithUnready { for name in groups.unready { usage[name] = 0 } }
        let second = ratio(usage, requests, target)
        var replicas = currentReplicas
        let isOpposite = (first.ratio < 1 && second.ratio > 1) || (first.ratio > 1 && second.ratio < 1)
        if !isTolerable(second.ratio), !isOpposite {
            let wanted = Self.ceil(second.ratio * Double(usage.count))
            let isContrary = second.ratio < 1 ? wanted > currentReplicas : wanted < currentReplicas
            if !isContrary { replicas = wanted }
        }
        return Proposal(replicas: replicas, utilization: first.utilization, averageMilli: first.average)
    }

    private func isTolerable(_ ratio: Double) -> Bool { abs(1 - ratio) <= Self.tolerance }

    private static func ceil(_ value: Double) -> Int { Int(value.rounded(.up)) }

    private func full(_ name: String, _ requests: [String: Int64], _ target: Target) -> Int64 {
        switch target {
        case .utilization(let percent): (requests[name] ?? 0) * Int64(max(100, percent)) / 100
        case .average(let milli): milli
        }
    }

    private func ratio(
        _ usage: [String: Int64], _ requests: [String: Int64], _ target: Target
    ) -> (ratio: Double, utilization: Int?, average: Int64) {
        let total = usage.values.reduce(0, +)
        let average = total / Int64(max(1, usage.count))
        switch target {
        case .average(let milli): return (Double(average) / Double(max(1, milli)), nil, average)
        case .utilization(let percent):
            let asked = usage.keys.compactMap { requests[$0] }.reduce(0, +)
            let utilization = asked == 0 ? 0 : Int(total * 100 / asked)
            return (Double(utilization) / Double(max(1, percent)), utilization, average)
        }
    }

    // MARK: Pods

    private struct Groups {
        var readyCount = 0
        var usage: [String: Int64] = [:]
        var unready: [String] = []
        var missing: [String] = []
    }

    private func sort() -> Groups {
        var groups = Groups()
        for pod in pods where !pod.isTerminating && pod.podPhase != "Failed" {
            if pod.podPhase == "Pending" {
                groups.unready.append(pod.name)
                continue
            }
            guard let sample = samples[pod.name], let amount = amount(of: sample) else {
                groups.missing.append(pod.name)
                continue
            }
            if resource == "cpu", isStarting(pod, sample) {
                groups.unready.append(pod.name)
                continue
            }
            groups.readyCount += 1
            groups.usage[pod.name] = amount
        }
        return groups
    }

    private func amount(of sample: PodUsageSample) -> Int64? {
        let counted = sample.containers.filter { container == nil || $0.name == container }
        if counted.isEmpty { return nil }
        return counted.map { (resource == "cpu" ? $0.cpu : $0.memory).milliValue }.reduce(0, +)
    }

    /// CPU that a pod burns while it starts says nothing about its load.
    private func isStarting(_ pod: Object, _ sample: PodUsageSample) -> Bool {
        guard let start = pod.status["startTime"]?.string.flatMap(Timestamp.init(rfc3339:)),
            let ready = pod.condition("Ready")
        else { return true }
        let changed = ready["lastTransitionTime"]?.string.flatMap(Timestamp.init(rfc3339:)) ?? start
        let isReady = ready["status"]?.string == "True"
        if start + Self.startSpan > now { return !isReady || sample.time < changed + sample.window }
        return !isReady && start + Self.readinessDelay > changed
    }

    private func requests() throws(Problem) -> [String: Int64] {
        var requests: [String: Int64] = [:]
        for pod in pods {
            var sum: Int64 = 0
            let sidecars = (pod.spec["initContainers"]?.array ?? []).filter { $0["restartPolicy"]?.string == "Always" }
            for each in (pod.spec["containers"]?.array ?? []) + sidecars {
                let name = each["name"]?.string ?? ""
                if let container, container != name { continue }
                let asked = each["resources", "requests"]?[resource] ?? each["resources", "limits"]?[resource]
                guard let quantity = asked.flatMap(Self.quantity) else {
                    throw Problem(.unknown, "missing request for \(resource) in container \(name) of Pod \(pod.name)")
                }
                sum += quantity.milliValue
            }
            requests[pod.name] = sum
        }
        return requests
    }

    static func quantity(_ tree: JSON) -> Quantity? {
        if let number = tree.integer { return Quantity(Int64(number)) }
        return tree.string.flatMap { try? Quantity(parsing: $0) }
    }
}
