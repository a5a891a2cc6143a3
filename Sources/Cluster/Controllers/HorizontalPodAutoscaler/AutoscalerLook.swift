// One look at an autoscaler: from measurements to a wished number of replicas and the words for its status.

import Formats
import Objects

/// What the metrics of an autoscaler ask for together, after `computeReplicasForMetrics`.
struct AutoscalerLook: Sendable {
    struct Outcome: Sendable {
        /// Nil when no metric could be read.
        var replicas: Int?
        /// Which metric decided, like `cpu resource utilization (percentage of request)`.
        var metric = ""
        var current: [JSON] = []
        var failure: (reason: String, message: String)?
    }

    let autoscaler: Object
    let pods: [Object]
    let samples: [String: PodUsageSample]
    let currentReplicas: Int
    let now: Timestamp

    /// 80 % of the requested CPU where no metric is given, as upstream defaults it.
    private var metrics: [JSON] {
        let given = autoscaler.spec["metrics"]?.array ?? []
        if !given.isEmpty { return given }
        let target: JSON = ["type": "Utilization", "averageUtilization": 80]
        return [["type": "Resource", "resource": ["name": "cpu", "target": target]]]
    }

    /// The largest proposal wins. With a metric that cannot be read nothing shrinks.
    func outcome() -> Outcome {
        var outcome = Outcome()
        for metric in metrics {
            do throws(Problem) {
                let (proposal, name, status) = try read(metric)
                outcome.current.append(status)
                if proposal > outcome.replicas ?? -1 {
                    outcome.replicas = proposal
                    outcome.metric = name
                }
            } catch {
                let type = metric["type"]?.string ?? ""
                let reason = type == "ContainerResource" ? "FailedGetContainerResourceMetric" : "FailedGet\(type)Metric"
                outcome.failure = outcome.failure ?? (reason, error.message)
            }
        }
        if outcome.failure != nil, let replicas = outcome.replicas, replicas < currentReplicas {
            outcome.replicas = nil
        }
        return outcome
    }

    private func read(_ metric: JSON) throws(Problem) -> (replicas: Int, name: String, status: JSON) {
        let type = metric["type"]?.string ?? ""
        guard type == "Resource" || type == "ContainerResource" else {
            throw Problem(
                .notImplemented,
                "the HPA was unable to compute the replica count: metrics of type \(type) need a custom metrics API, "
                    + "which this cluster does not have")
        }
        let source = metric[type == "Resource" ? "resource" : "containerResource"] ?? [:]
        let name = source["name"]?.string ?? ""
        guard name == "cpu" || name == "memory" else {
            throw Problem(
                .notImplemented, "unable to get metrics for resource \(name): only cpu and memory are measured")
        }
        let container = source["container"]?.string
        let calculator = ReplicaCalculator(
            pods: pods, samples: samples, currentReplicas: currentReplicas, resource: name, container: container,
            now: now)
        let target: ReplicaCalculator.Target
        var words: String
        if let percent = source["target", "averageUtilization"]?.integer {
            target = .utilization(percent)
            words = "\(name) resource utilization (percentage of request)"
        } else if let value = source["target", "averageValue"].flatMap(ReplicaCalculator.quantity) {
            target = .average(value.milliValue)
            words = "\(name) resource"
        } else {
            throw Problem(
                .invalid, "invalid resource metric source: neither a utilization target nor a value target was set")
        }
        if type == "ContainerResource" { words = "\(name) container resource \(words.dropFirst(name.count + 10))" }
        let proposal: ReplicaCalculator.Proposal
        do {
            proposal = try calculator.propose(target)
        } catch {
            throw Problem(error.reason, "failed to get \(name) utilization: \(error.message)")
        }
        var current: JSON = ["averageValue": .string(Self.text(proposal.averageMilli, name))]
        if let utilization = proposal.utilization { current["averageUtilization"] = JSON(utilization) }
        var status: JSON = ["name": .string(name), "current": current]
        if let container { status["container"] = .string(container) }
        let field = type == "Resource" ? "resource" : "containerResource"
        return (proposal.replicas, words, ["type": .string(type), field: status])
    }

    private static func text(_ milli: Int64, _ resource: String) -> String {
        resource == "cpu" ? Quantity(milli: milli).text : Quantity(milli / 1000).text
    }
}
