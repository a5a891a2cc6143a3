// Scales workloads by what their pods use.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// The shell of `AutoscalerLook` and `ScalingMachine`. Reads usage through `metrics.k8s.io`, like any client.
package struct AutoscalerController: Sendable {
    /// Between two looks (`--horizontal-pod-autoscaler-sync-period`).
    static let period = Duration.seconds(15)
    static let podMetrics = Resource(
        group: "metrics.k8s.io", version: "v1beta1", kind: "PodMetrics", plural: "pods")

    let client: KubernetesClient
    let autoscalers: Informer
    let pods: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger
    private let past = Past()

    private final class Past: Sendable {
        /// By the autoscaler's uid.
        let machines = Mutex<[String: ScalingMachine]>([:])
    }

    init(
        client: KubernetesClient, autoscalers: Informer, pods: Informer, recorder: EventRecorder, clock: WallClock,
        logger: Logger
    ) {
        self.client = client
        self.autoscalers = autoscalers
        self.pods = pods
        self.recorder = recorder
        self.clock = clock
        self.logger = logger
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "autoscaler", logger: logger, reconcile: reconcile)
        autoscalers.onChange { change in
            if change.new == nil, let uid = change.old?.uid { past.machines.withLock { $0[uid] = nil } }
            // Its own status writes must not make it look more often than its period.
            if change.old?.spec != change.new?.spec { reconciler.enqueue(change.key) }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let autoscaler = autoscalers.get(key), !autoscaler.isTerminating else { return .done }
        var report = AutoscalerReport(autoscaler, now: clock.now())
        do {
            try await look(at: autoscaler, &report)
        } catch let problem as Problem {
            report.fail(
                "FailedGetScale",
                "the HPA controller was unable to get the target's current scale: \(problem.message)")
            recorder.record(autoscaler, .warning, reason: "FailedGetScale", message: problem.message)
        }
        if report.status != autoscaler.status {
            var autoscaler = autoscaler
            autoscaler.status = report.status
            try await client.update(.horizontalPodAutoscalers, autoscaler, subresource: "status")
        }
        return .again(after: Self.period)
    }

    private func look(at autoscaler: Object, _ report: inout AutoscalerReport) async throws {
        let (resource, key) = try target(of: autoscaler)
        let scale = try await client.get(resource, key, subresource: "scale")
        let current = scale.spec["replicas"]?.integer ?? 0
        report.able("SucceededGetScale", "the HPA controller was able to get the target's current scale")
        report.observe(current: scale.status["replicas"]?.integer ?? 0)
        let selector = try LabelSelector(parsing: scale.status["selector"]?.string ?? "")
        if selector.isEmpty {
            report.active(
                false, "InvalidSelector", "the HPA target's scale is missing a selector")
            return
        }
        if current == 0, autoscaler.spec["minReplicas"]?.integer != 0 {
            report.active(
                false, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
            report.desire(0)
            return
        }
        let most = autoscaler.spec["maxReplicas"]?.integer ?? 1
        let least = autoscaler.spec["minReplicas"]?.integer ?? 1
        var wanted: Int
        var reason: String
        if current > most {
            (wanted, reason) = (most, "Current number of replicas above Spec.MaxReplicas")
        } else if current < least {
            (wanted, reason) = (least, "Current number of replicas below Spec.MinReplicas")
        } else {
            guard let limited = try await measure(autoscaler, selector, current, &report) else { return }
            (wanted, reason) = limited
        }
        report.desire(wanted)
        if wanted == current { return }
        var scaled = scale
        scaled.spec["replicas"] = JSON(wanted)
        try await client.update(resource, scaled, subresource: "scale")
        report.rescaled(to: wanted)
        past.machines.withLock { [now = clock.now()] in
            $0[autoscaler.uid, default: .init()].scaled(by: wanted - current, now: now)
        }
        recorder.record(
            autoscaler, .normal, reason: "SuccessfulRescale", message: "New size: \(wanted); reason: \(reason)")
    }

    /// The number of replicas that the metrics ask for within the limits, and why; nil when nothing can be said.
    private func measure(
        _ autoscaler: Object, _ selector: LabelSelector, _ current: Int, _ report: inout AutoscalerReport
    ) async throws -> (Int, String)? {
        let now = clock.now()
        let selected = pods.list(namespace: autoscaler.namespace).filter { selector.matches($0.labels) }
        var samples: [String: PodUsageSample] = [:]
        var failure: Problem?
        do {
            samples = try await usage(in: autoscaler.namespace, selector)
        } catch let problem as Problem {
            failure = problem
        }
        let look = AutoscalerLook(
            autoscaler: autoscaler, pods: selected, samples: samples, currentReplicas: current, now: now)
        let outcome = look.outcome()
        report.measured(outcome.current)
        guard let wanted = outcome.replicas else {
            let message = failure.map { "unable to get metrics: \($0.message)" } ?? outcome.failure?.message ?? ""
            let reason = outcome.failure?.reason ?? "FailedComputeMetricsReplicas"
            report.active(false, reason, "the HPA was unable to compute the replica count: \(message)")
            recorder.record(autoscaler, .warning, reason: reason, message: message)
            report.desire(current)
            return nil
        }
        report.active(
            true, "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from \(outcome.metric)")
        let limited = past.machines.withLock {
            $0[autoscaler.uid, default: .init()].limit(wanted, current: current, autoscaler: autoscaler, now: now)
        }
        report.able(limited.able.reason, limited.able.message)
        report.limited(limited.limit)
        let reason = wanted > current ? "\(outcome.metric) above target" : "All metrics below target"
        return (limited.replicas, reason)
    }

    private func usage(in namespace: String, _ selector: LabelSelector) async throws -> [String: PodUsageSample] {
        let list = try await client.list(Self.podMetrics, Selection(namespace: namespace, labels: selector.text))
        var samples: [String: PodUsageSample] = [:]
        for metrics in list.objects {
            guard let time = metrics["timestamp"]?.string.flatMap(Timestamp.init(rfc3339:)) else { continue }
            let window = metrics["window"]?.string.flatMap(Self.seconds) ?? 15
            let containers = (metrics["containers"]?.array ?? []).compactMap { each -> ContainerUsage? in
                guard let cpu = each["usage", "cpu"].flatMap(ReplicaCalculator.quantity),
                    let memory = each["usage", "memory"].flatMap(ReplicaCalculator.quantity)
                else { return nil }
                return ContainerUsage(name: each["name"]?.string ?? "", cpu: cpu, memory: memory)
            }
            samples[metrics.name] = PodUsageSample(containers: containers, time: time, window: .seconds(window))
        }
        return samples
    }

    /// `15s` or `15.2s`, as metrics carry their window.
    private static func seconds(_ text: String) -> Int? {
        text.hasSuffix("s") ? Double(text.dropLast()).map { Int($0) } : nil
    }

    private func target(of autoscaler: Object) throws(Problem) -> (Resource, ObjectKey) {
        let reference = autoscaler.spec["scaleTargetRef"] ?? [:]
        let kind = reference["kind"]?.string ?? ""
        let apiVersion = reference["apiVersion"]?.string ?? ""
        guard let resource = ResourceTable.resource(apiVersion: apiVersion, kind: kind) else {
            throw Problem(.notFound, "no matches for kind \"\(kind)\" in group \"\(apiVersion)\"")
        }
        return (resource, ObjectKey(namespace: autoscaler.namespace, name: reference["name"]?.string ?? ""))
    }
}

/// The status of an autoscaler being written.
struct AutoscalerReport: Sendable {
    private(set) var status: JSON
    private var conditions: Conditions
    private let now: Timestamp

    init(_ autoscaler: Object, now: Timestamp) {
        status = autoscaler.status
        conditions = Conditions(autoscaler.status, now: now)
        self.now = now
        status["observedGeneration"] = JSON(autoscaler.generation)
    }

    private mutating func set(_ type: String, _ isTrue: Bool, _ reason: String, _ message: String) {
        conditions.set(type, isTrue ? "True" : "False", reason: reason, message: message, refreshed: true)
        status["conditions"] = conditions.json
    }

    mutating func able(_ reason: String, _ message: String) { set("AbleToScale", true, reason, message) }
    mutating func fail(_ reason: String, _ message: String) { set("AbleToScale", false, reason, message) }
    mutating func active(_ isTrue: Bool, _ reason: String, _ message: String) {
        set("ScalingActive", isTrue, reason, message)
    }
    mutating func limited(_ limit: (reason: String, message: String)?) {
        set(
            "ScalingLimited", limit != nil, limit?.reason ?? "DesiredWithinRange",
            limit?.message ?? "the desired count is within the acceptable range")
    }
    mutating func observe(current: Int) { status["currentReplicas"] = JSON(current) }
    mutating func desire(_ replicas: Int) { status["desiredReplicas"] = JSON(replicas) }
    mutating func measured(_ metrics: [JSON]) { status["currentMetrics"] = .list(metrics) }
    mutating func rescaled(to replicas: Int) {
        able("SucceededRescale", "the HPA controller was able to update the target scale to \(replicas)")
        status["lastScaleTime"] = .string(now.rfc3339)
    }
}
