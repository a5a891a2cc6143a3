// What a Job's pods add up to, each counted once.

import Formats
import Objects

/// The pods of a Job sorted by what they mean for it, on top of what its status has counted.
struct JobCounts: Sendable {
    /// Not ended and not going.
    private(set) var active: [Object] = []
    /// Going, but not ended.
    private(set) var terminating: [Object] = []
    /// Ended, noted in the status by this look, and free to lose their finalizer after it is written.
    private(set) var settled: [Object] = []
    /// Uids that the status notes until their finalizer is gone.
    private(set) var uncountedSucceeded: [String] = []
    private(set) var uncountedFailed: [String] = []
    private(set) var succeededIndexes = CompletionIndexes()
    private(set) var failedIndexes = CompletionIndexes()
    /// Why the pod failure policy fails the whole Job.
    private(set) var failJobMessage: String?
    /// The counts for the status: without what is uncounted.
    private(set) var succeededToStore: Int
    private(set) var failedToStore: Int
    private let isIndexed: Bool

    /// All that succeeded and failed, counted or not.
    var succeeded: Int { isIndexed ? succeededIndexes.count : succeededToStore + uncountedSucceeded.count }
    var failed: Int { failedToStore + uncountedFailed.count }
    /// Whether nothing waits to be counted.
    var isSettled: Bool { settled.isEmpty && uncountedSucceeded.isEmpty && uncountedFailed.isEmpty }

    init(_ wishes: JobWishes, _ pods: [Object]) {
        let status = wishes.job.status
        isIndexed = wishes.isIndexed
        succeededToStore = status["succeeded"]?.integer ?? 0
        failedToStore = status["failed"]?.integer ?? 0
        if isIndexed {
            let limit = wishes.completions ?? 0
            succeededIndexes = CompletionIndexes(parsing: status["completedIndexes"]?.string ?? "", limit: limit)
            failedIndexes = CompletionIndexes(parsing: status["failedIndexes"]?.string ?? "", limit: limit)
        }
        countNoted(status, pods)
        let isEnding = ["FailureTarget", "SuccessCriteriaMet"].contains { wishes.job.isTrue($0) }
        for pod in pods { sort(pod, wishes, isEnding: isEnding) }
        if isIndexed { succeededToStore = succeededIndexes.count }
    }

    /// What was noted earlier counts when its finalizer is gone; until then it stays noted.
    private mutating func countNoted(_ status: JSON, _ pods: [Object]) {
        let held = Set(pods.filter(\.hasJobFinalizer).map(\.uid))
        for uid in status["uncountedTerminatedPods", "succeeded"]?.strings ?? [] {
            if held.contains(uid) { uncountedSucceeded.append(uid) } else { succeededToStore += 1 }
        }
        for uid in status["uncountedTerminatedPods", "failed"]?.strings ?? [] {
            if held.contains(uid) { uncountedFailed.append(uid) } else { failedToStore += 1 }
        }
    }

    private mutating func sort(_ pod: Object, _ wishes: JobWishes, isEnding: Bool) {
        let isGoingToFail = pod.isTerminating && pod.podPhase != "Succeeded" && (!wishes.replacesOnlyFailed || isEnding)
        if pod.podPhase != "Succeeded", pod.podPhase != "Failed" {
            if pod.isTerminating { terminating.append(pod) } else { active.append(pod) }
        }
        guard pod.hasJobFinalizer else { return }
        if uncountedSucceeded.contains(pod.uid) || uncountedFailed.contains(pod.uid) {
            settled.append(pod)
        } else if pod.podPhase == "Succeeded" {
            settled.append(pod)
            countSuccess(pod, wishes)
        } else if pod.podPhase == "Failed" || isGoingToFail {
            settled.append(pod)
            countFailure(pod, wishes)
        }
    }

    private mutating func countSuccess(_ pod: Object, _ wishes: JobWishes) {
        guard wishes.isIndexed else {
            uncountedSucceeded.append(pod.uid)
            return
        }
        guard let index = pod.completionIndex, index >= 0, index < wishes.completions ?? 0 else { return }
        succeededIndexes.insert(index)
    }

    private mutating func countFailure(_ pod: Object, _ wishes: JobWishes) {
        let verdict = pod.podPhase == "Failed" ? wishes.verdict(on: pod) : nil
        if verdict?.action == "Ignore" { return }
        if verdict?.action == "FailJob" { failJobMessage = failJobMessage ?? verdict?.message }
        uncountedFailed.append(pod.uid)
        guard wishes.isIndexed, let limit = wishes.backoffLimitPerIndex, let index = pod.completionIndex,
            index >= 0, index < wishes.completions ?? 0, !succeededIndexes.contains(index)
        else { return }
        let before = pod.annotations[JobLabel.failureCount].flatMap { Int($0) } ?? 0
        if verdict?.action == "FailIndex" || before >= limit { failedIndexes.insert(index) }
    }
}
