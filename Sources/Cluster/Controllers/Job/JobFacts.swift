// What a Job asks for, and what its pods tell.

import Formats
import Objects

enum JobLabel {
    static let controllerUID = "batch.kubernetes.io/controller-uid"
    static let jobName = "batch.kubernetes.io/job-name"
    static let oldControllerUID = "controller-uid"
    static let oldJobName = "job-name"
    static let index = "batch.kubernetes.io/job-completion-index"
    static let failureCount = "batch.kubernetes.io/job-index-failure-count"
    /// Keeps a pod until the Job's status has counted it.
    static let finalizer = "batch.kubernetes.io/job-tracking"
}

/// The fields of a Job with their defaults.
struct JobWishes: Sendable {
    let job: Object

    var completions: Int? {
        job.spec["completions"]?.integer ?? (job.spec["parallelism"]?.integer == nil ? 1 : nil)
    }
    var parallelism: Int { job.spec["parallelism"]?.integer ?? 1 }
    var isIndexed: Bool { job.spec["completionMode"]?.string == "Indexed" }
    var backoffLimit: Int {
        job.spec["backoffLimit"]?.integer ?? (backoffLimitPerIndex == nil ? 6 : Int(Int32.max))
    }
    var backoffLimitPerIndex: Int? { job.spec["backoffLimitPerIndex"]?.integer }
    var maxFailedIndexes: Int? { job.spec["maxFailedIndexes"]?.integer }
    var activeDeadlineSeconds: Int? { job.spec["activeDeadlineSeconds"]?.integer }
    var ttlSeconds: Int? { job.spec["ttlSecondsAfterFinished"]?.integer }
    var isSuspended: Bool { job.spec["suspend"]?.bool ?? false }
    var restartsInPlace: Bool { job.spec["template"]?["spec", "restartPolicy"]?.string == "OnFailure" }
    /// Whether a pod that is being deleted is replaced only when it has ended.
    var replacesOnlyFailed: Bool {
        job.spec["podReplacementPolicy"]?.string == "Failed" || job.spec["podFailurePolicy"] != nil
    }
    var failureRules: [JSON] { job.spec["podFailurePolicy", "rules"]?.array ?? [] }
    var successRules: [JSON] { job.spec["successPolicy", "rules"]?.array ?? [] }
    /// Another controller's Job (`spec.managedBy`) is left alone.
    var isOurs: Bool { [nil, "", "kubernetes.io/job-controller"].contains(job.spec["managedBy"]?.string) }

    /// The selector; a server that did not fill it in leaves the label that this controller gives its pods.
    var selector: LabelSelector { job.podSelector ?? LabelSelector(matchLabels: [JobLabel.controllerUID: job.uid]) }

    /// A pod of the Job; `index` and how often it failed before are for Indexed Jobs.
    func pod(index: Int? = nil, failures: Int = 0) -> Object {
        let template = job.spec["template"] ?? [:]
        let base = index.map { "\(job.name)-\($0)" } ?? job.name
        var pod = PodTemplate.pod(template, owner: job, generateName: base + "-")
        let labels = [
            JobLabel.controllerUID: job.uid, JobLabel.oldControllerUID: job.uid, JobLabel.jobName: job.name,
            JobLabel.oldJobName: job.name,
        ]
        pod.labels.merge(labels) { own, _ in own }
        if !pod.finalizers.contains(JobLabel.finalizer) { pod.finalizers.append(JobLabel.finalizer) }
        guard let index else { return pod }
        pod.labels[JobLabel.index] = String(index)
        pod.annotations[JobLabel.index] = String(index)
        if backoffLimitPerIndex != nil { pod.annotations[JobLabel.failureCount] = String(failures) }
        if pod.spec["hostname"] == nil { pod.spec["hostname"] = .string(base) }
        for field in ["containers", "initContainers"] {
            guard let containers = pod.spec[field]?.array else { continue }
            pod.spec[field] = .array(containers.map(Self.knowingItsIndex))
        }
        return pod
    }

    /// A container with the variable JOB_COMPLETION_INDEX, unless it has one.
    private static func knowingItsIndex(_ container: JSON) -> JSON {
        let name: JSON = "JOB_COMPLETION_INDEX"
        var env = container["env"]?.array ?? []
        if env.contains(where: { $0["name"] == name }) { return container }
        env.append([
            "name": name,
            "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.annotations['\(JobLabel.index)']")]],
        ])
        var container = container
        container["env"] = .array(env)
        return container
    }

    /// The first rule of the success policy that the succeeded indexes meet, as a message.
    func successMessage(_ succeeded: CompletionIndexes) -> String? {
        for (position, rule) in successRules.enumerated() {
            let wanted = rule["succeededIndexes"]?.string.map { CompletionIndexes(parsing: $0) }
            let matching = wanted.map { succeeded.intersection($0).count } ?? succeeded.count
            let needed = rule["succeededCount"]?.integer ?? wanted?.count ?? Int.max
            if matching >= needed { return "Matched rules at index \(position)" }
        }
        return nil
    }

    /// What the pod failure policy says of a failed pod; nil where no rule matches or there is none.
    func verdict(on pod: Object) -> (action: String, message: String)? {
        for (position, rule) in failureRules.enumerated() {
            let action = rule["action"]?.string ?? ""
            if let codes = rule["onExitCodes"], let (name, code) = Self.container(of: pod, exiting: codes) {
                let message =
                    "Container \(name) for pod \(pod.namespace)/\(pod.name) failed with exit code \(code) "
                    + "matching \(action) rule at index \(position)"
                return (action, message)
            }
            for pattern in rule["onPodConditions"]?.array ?? [] {
                let type = pattern["type"]?.string ?? ""
                guard pod.condition(type)?["status"]?.string == pattern["status"]?.string ?? "True" else { continue }
                let message =
                    "Pod \(pod.namespace)/\(pod.name) has condition \(type) "
                    + "matching \(action) rule at index \(position)"
                return (action, message)
            }
        }
        return nil
    }

    private static func container(of pod: Object, exiting codes: JSON) -> (name: String, code: Int)? {
        let values = (codes["values"]?.array ?? []).compactMap(\.integer)
        let isIn = codes["operator"]?.string == "In"
        for field in ["containerStatuses", "initContainerStatuses"] {
            for status in pod.status[field]?.array ?? [] {
                let name = status["name"]?.string ?? ""
                if let wanted = codes["containerName"]?.string, !wanted.isEmpty, wanted != name { continue }
                guard let code = status["state", "terminated", "exitCode"]?.integer, code != 0 else { continue }
                if values.contains(code) == isIn { return (name, code) }
            }
        }
        return nil
    }
}

extension Object {
    var hasJobFinalizer: Bool { finalizers.contains(JobLabel.finalizer) }

    /// The index of a pod of an Indexed Job.
    var completionIndex: Int? { annotations[JobLabel.index].flatMap { Int($0) } }

    /// Restarts of all containers of a pod.
    var podRestarts: Int {
        ["containerStatuses", "initContainerStatuses"].flatMap { status[$0]?.array ?? [] }
            .map { $0["restartCount"]?.integer ?? 0 }.reduce(0, +)
    }

    /// When a pod ended, as well as its status tells.
    var podFinishedAt: Timestamp {
        let times = (status["containerStatuses"]?.array ?? [])
            .compactMap { $0["state", "terminated", "finishedAt"]?.string.flatMap(Timestamp.init(rfc3339:)) }
        let ready = condition("Ready")?["lastTransitionTime"]?.string.flatMap(Timestamp.init(rfc3339:))
        return times.max() ?? ready ?? deletionTimestamp.flatMap(Timestamp.init(rfc3339:)) ?? created
    }

    /// Whether a Job is over, one way or the other.
    var isJobFinished: Bool { isTrue("Complete") || isTrue("Failed") }
}
