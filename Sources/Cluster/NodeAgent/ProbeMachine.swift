// Decides when one probe of one container is asked, and what its answers so far mean.

import Formats

/// The life of one probe while one run of a container lasts.
///
/// As upstream: the first question comes `initialDelaySeconds` after the container started, then one per period; the
/// outcome changes only after `successThreshold` or `failureThreshold` equal answers in a row. At most one question
/// is open at a time.
package struct ProbeMachine: Sendable {
    package enum Outcome: Sendable, Hashable {
        case unknown, success, failure
    }

    package let specification: ProbeSpecification
    package private(set) var outcome: Outcome
    private var dueAt: Timestamp
    private var isAsking = false
    private var answersInRow = 0
    private var lastWasSuccess: Bool?

    /// `seed` is the outcome to begin with: what the API remembers of a container that was adopted, else nil.
    package init(
        _ specification: ProbeSpecification, kind: ProbeKind, startedAt: Timestamp, now: Timestamp, seed: Outcome? = nil
    ) {
        self.specification = specification
        outcome = seed ?? (kind == .liveness ? .success : kind == .readiness ? .failure : .unknown)
        dueAt = startedAt + .seconds(specification.initialDelaySeconds)
        if dueAt < now, seed != nil { dueAt = now }
    }

    /// When the next question is due; nil while one is open.
    package var nextQuestionAt: Timestamp? { isAsking ? nil : dueAt }

    /// Whether a question is to be asked now; if so it counts as open.
    package mutating func ask(at now: Timestamp) -> Bool {
        guard !isAsking, dueAt <= now else { return false }
        isAsking = true
        // The next one is a period after this one was due, but never a burst to catch up.
        let next = dueAt + .seconds(specification.periodSeconds)
        dueAt = next <= now ? now + .seconds(specification.periodSeconds) : next
        return true
    }

    /// The time of day was moved; the next question comes when it would have come.
    package mutating func clockMoved(by step: Duration) { dueAt = dueAt + step }

    /// The open question was answered. Says whether the outcome was decided anew by this answer, changed or not.
    package mutating func answered(_ result: ProbeResult) -> Bool {
        isAsking = false
        let isSuccess = result == .success
        answersInRow = lastWasSuccess == isSuccess ? answersInRow + 1 : 1
        lastWasSuccess = isSuccess
        let threshold = isSuccess ? specification.successThreshold : specification.failureThreshold
        guard answersInRow >= threshold else { return false }
        outcome = isSuccess ? .success : .failure
        return true
    }
}
