// Decides which pods of a Job come and go, what is counted, and when the Job is over.

import Formats
import Objects

/// One look at a Job and its pods, after `kubernetes/pkg/controller/job/job_controller.go`.
///
/// No pod is counted twice and none is missed: a pod that ended keeps its finalizer until its uid stands in
/// `status.uncountedTerminatedPods`; it moves from there into the counts when the finalizer is seen to be gone.
struct JobMachine: Sendable {
    /// Between replacements of failing pods: doubling from the first to the second.
    static let firstBackoff = Duration.seconds(10)
    static let longestBackoff = Duration.seconds(600)

    struct Notice: Sendable, Equatable {
        var isWarning = false
        var reason: String
        var message: String
    }

    struct Decision: Sendable, Equatable {
        var create: [Object] = []
        /// Deleted for good: their end counts for nothing.
        var discard: [Object] = []
        /// Deleted because the Job is over: they are counted when they end.
        var delete: [Object] = []
        /// Lose their finalizer, after the status is written.
        var settled: [Object] = []
        var status: JSON = .null
        var notices: [Notice] = []
        var nextLook: Duration?
        /// The Job's time to live is over.
        var isExpired = false
    }

    let wishes: JobWishes
    /// Every pod that belongs to the Job.
    let pods: [Object]
    let now: Timestamp
    var decision = Decision()
    var conditions: Conditions
    var counts: JobCounts

    init(job: Object, pods: [Object], now: Timestamp) {
        wishes = JobWishes(job: job)
        self.pods = pods
        self.now = now
        conditions = Conditions(job.status, now: now)
        counts = JobCounts(wishes, pods)
    }

    var job: Object { wishes.job }

    /// `mayManage` is false while the cache does not show yet what was asked for: then pods only are counted.
    mutating func decide(mayManage: Bool = true) -> Decision {
        decision.status = job.status
        if job.isJobFinished {
            decision.settled = pods.filter(\.hasJobFinalizer)
            expire()
            return decision
        }
        if decision.status["startTime"] == nil, !wishes.isSuspended { setStartTime() }
        if let ending = ending() {
            decision.delete = counts.active
            if conditions[ending.type]?["status"]?.string != "True" {
                conditions.set(ending.type, "True", reason: ending.reason, message: ending.message, probed: true)
            }
            finish(ending)
        } else {
            if mayManage, !job.isTerminating {
                manage()
                noteSuspension()
            }
            lookAtDeadline()
        }
        writeCounts()
        return decision
    }

    private mutating func setStartTime() { decision.status["startTime"] = .string(now.rfc3339) }

    // MARK: The end

    struct Ending: Sendable {
        /// `FailureTarget` or `SuccessCriteriaMet`: what was decided; the final condition comes when no pod is left.
        var type: String
        var reason: String
        var message: String
        var isSuccess: Bool { type == "SuccessCriteriaMet" }
    }

    /// Why the Job is over; nil while it is not.
    private func ending() -> Ending? {
        for type in ["FailureTarget", "SuccessCriteriaMet"] {
            guard let condition = conditions[type], condition["status"]?.string == "True" else { continue }
            return Ending(
                type: type, reason: condition["reason"]?.string ?? "", message: condition["message"]?.string ?? "")
        }
        return failure() ?? success()
    }

    private func failure() -> Ending? {
        func failed(_ reason: String, _ message: String) -> Ending {
            Ending(type: "FailureTarget", reason: reason, message: message)
        }
        if let message = counts.failJobMessage { return failed("PodFailurePolicy", message) }
        if counts.failed > wishes.backoffLimit || restartsExceedLimit {
            return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        }
        if let left = timeToDeadline(), left <= .zero {
            return failed("DeadlineExceeded", "Job was active longer than specified deadline")
        }
        guard wishes.isIndexed, wishes.backoffLimitPerIndex != nil else { return nil }
        if let most = wishes.maxFailedIndexes, counts.failedIndexes.count > most {
            return failed(
                "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
        }
        let ended = counts.failedIndexes.count + counts.succeededIndexes.count
        if counts.failedIndexes.count > 0, ended >= wishes.completions ?? Int.max {
            return failed("FailedIndexes", "Job has failed indexes")
        }
        return nil
    }

    private func success() -> Ending? {
        if wishes.isIndexed, let message = wishes.successMessage(counts.succeededIndexes) {
            return Ending(type: "SuccessCriteriaMet", reason: "SuccessPolicy", message: message)
        }
        guard counts.active.isEmpty, counts.succeeded >= wishes.completions ?? 1 else { return nil }
        return Ending(
            type: "SuccessCriteriaMet", reason: "CompletionsReached",
            message: "Reached expected number of succeeded pods")
    }

    /// Containers that restart in place fail as often as pods that do not.
    private var restartsExceedLimit: Bool {
        guard wishes.restartsInPlace else { return false }
        let restarts = pods.filter { $0.podPhase == "Running" || $0.podPhase == "Pending" }.map(\.podRestarts)
            .reduce(0, +)
        return wishes.backoffLimit == 0 ? restarts > 0 : restarts >= wishes.backoffLimit
    }

    /// The final condition comes when every pod has ended and is counted.
    private mutating func finish(_ ending: Ending) {
        guard counts.active.isEmpty, counts.terminating.isEmpty, counts.isSettled else { return }
        conditions.set(
            ending.isSuccess ? "Complete" : "Failed", "True", reason: ending.reason, message: ending.message,
            probed: true)
        if ending.isSuccess {
            decision.status["completionTime"] = .string(now.rfc3339)
            decision.notices.append(Notice(reason: "Completed", message: "Job completed"))
        } else {
            decision.notices.append(Notice(isWarning: true, reason: ending.reason, message: ending.message))
        }
    }

    private mutating func expire() {
        guard let seconds = wishes.ttlSeconds, !job.isTerminating else { return }
        let condition = job.isTrue("Complete") ? job.condition("Complete") : job.condition("Failed")
        guard let end = condition?["lastTransitionTime"]?.string.flatMap(Timestamp.init(rfc3339:)) else { return }
        let left = end + .seconds(seconds) - now
        if left <= .zero { decision.isExpired = true } else { decision.nextLook = left }
    }

    private func timeToDeadline() -> Duration? {
        guard let seconds = wishes.activeDeadlineSeconds, !wishes.isSuspended,
            let start = decision.status["startTime"]?.string.flatMap(Timestamp.init(rfc3339:))
        else { return nil }
        return start + .seconds(seconds) - now
    }

    private mutating func lookAtDeadline() {
        guard let left = timeToDeadline() else { return }
        decision.nextLook = min(decision.nextLook ?? left, left)
    }

    private mutating func noteSuspension() {
        let isNoted = conditions["Suspended"]?["status"]?.string == "True"
        if wishes.isSuspended, !isNoted {
            conditions.set("Suspended", "True", reason: "JobSuspended", message: "Job suspended", probed: true)
            decision.notices.append(Notice(reason: "Suspended", message: "Job suspended"))
        } else if !wishes.isSuspended, isNoted {
            conditions.set("Suspended", "False", reason: "JobResumed", message: "Job resumed", probed: true)
            decision.notices.append(Notice(reason: "Resumed", message: "Job resumed"))
            // The deadline counts from here.
            setStartTime()
        }
    }

    // MARK: Status

    private mutating func writeCounts() {
        decision.settled = counts.settled
        let stillActive = counts.active.count + decision.create.count - decision.discard.count - decision.delete.count
        func put(_ field: String, _ value: Int) { decision.status[field] = .count(value) }
        put("active", max(0, stillActive))
        put("succeeded", counts.succeededToStore)
        put("failed", counts.failedToStore)
        let gone = Set((decision.discard + decision.delete).map(\.uid))
        decision.status["ready"] = JSON(counts.active.filter { $0.isPodReady && !gone.contains($0.uid) }.count)
        decision.status["terminating"] = JSON(counts.terminating.count + gone.count)
        var uncounted: JSON = [:]
        if !counts.uncountedSucceeded.isEmpty {
            uncounted["succeeded"] = .array(counts.uncountedSucceeded.map { .string($0) })
        }
        if !counts.uncountedFailed.isEmpty {
            uncounted["failed"] = .array(counts.uncountedFailed.map { .string($0) })
        }
        decision.status["uncountedTerminatedPods"] = uncounted
        if wishes.isIndexed {
            decision.status["completedIndexes"] = .text(counts.succeededIndexes.text)
            if wishes.backoffLimitPerIndex != nil {
                decision.status["failedIndexes"] = .string(counts.failedIndexes.text)
            }
        }
        decision.status["conditions"] = conditions.json
    }
}
