// The place of one container in a pod: its current run, the one before, its probes and its back-off.

import Formats

/// What the pod machine knows of one container of the spec.
struct ContainerSlot: Sendable {
    /// What the shell is doing with the container just now.
    enum Work: Sendable, Hashable {
        case none
        case starting
        case stopping
        case resizing
    }

    /// Its resources are those that the container was granted, whatever the API asks for by now.
    var specification: ContainerSpecification
    /// The newest run.
    var current: ContainerRecord?
    /// The run before it.
    var previous: ContainerRecord?
    /// When the newest run ended, on the clock that is waited by.
    var endedAt: Timestamp?
    /// The resources that the newest run is kept to; nil when it was never started from here.
    var applied: ContainerResources?
    var appliedTree: JSON?
    /// Why the kernel did not take what was granted.
    var resizeFailure: String?
    var work = Work.none
    /// Why the last try to make a run failed, until one succeeds.
    var failure: StartFailure?
    /// Not to be tried again before this.
    var retryAt: Timestamp?
    /// The end of `current` for which CrashLoopBackOff was reported.
    var isBackingOff = false
    var backoff = RestartBackoff()
    var probes: [ProbeKind: ProbeMachine] = [:]
    /// Set when a liveness or startup probe condemned this run: the id of the run.
    var condemned: String?
    /// The sandbox was made anew since this init container ended, so its work is undone.
    var mustRunAgain = false
    /// What the API remembered of `current` when this agent started: whether it was started and ready.
    var seed: (id: String, isStarted: Bool, isReady: Bool)?

    init(_ specification: ContainerSpecification) { self.specification = specification }

    var name: String { specification.name }
    /// An init container or a sidecar.
    var isInitial: Bool { specification.role == .initial || specification.role == .sidecar }
    /// Never started yet; one that could not be made is tried again.
    var isUntried: Bool { current == nil || current?.phase == .created }
    var isRunning: Bool { current?.phase == .running }
    var hasEnded: Bool { current?.phase == .ended }
    var hasSucceeded: Bool { hasEnded && current?.exitCode == 0 && !mustRunAgain }
    var restartCount: Int { current?.attempt ?? 0 }
    var nextAttempt: Int { current.map { $0.phase == .created ? $0.attempt : $0.attempt + 1 } ?? 0 }

    /// Running, and past its startup probe.
    var isStarted: Bool {
        guard isRunning else { return false }
        return probes[.startup].map { $0.outcome == .success } ?? true
    }

    var isReady: Bool {
        switch specification.role {
        case .initial: return hasSucceeded
        case .ephemeral: return false
        case .main, .sidecar:
            guard isStarted, work != .starting, condemned == nil else { return false }
            return probes[.readiness].map { $0.outcome == .success } ?? true
        }
    }

    /// Takes in what the runtime shows of this container; `records` are all its runs.
    mutating func observed(_ records: [ContainerRecord], at now: Timestamp) {
        let sorted = records.sorted { $0.attempt < $1.attempt }
        guard let newest = sorted.last, newest.attempt >= (current?.attempt ?? 0) else {
            // The runtime knows nothing (any more): a run that went on until now is lost.
            if let record = current, record.phase != .ended, work != .starting {
                current = record.phase == .running ? record.lost(at: now) : nil
                probes = [:]
            }
            return
        }
        if let record = current, record.id != newest.id, record.phase != .created {
            previous = record.phase == .ended ? record : record.lost(at: now)
        }
        if sorted.count > 1, sorted[sorted.count - 2].phase == .ended { previous = sorted[sorted.count - 2] }
        if current?.id != newest.id { mustRunAgain = false }
        if newest.phase != .ended {
            endedAt = nil
        } else if current?.id != newest.id || current?.phase != .ended || endedAt == nil {
            endedAt = min(newest.finishedAt ?? now, now)
        }
        let isNewRun = current?.id != newest.id || current?.phase != .running
        current = newest
        if newest.phase != .running {
            probes = [:]
        } else if isNewRun || probes.isEmpty {
            startProbes(at: now)
        }
        if newest.phase == .ended, condemned == newest.id { condemned = nil }
    }

    private mutating func startProbes(at now: Timestamp) {
        guard let current else { return }
        let isSeeded = seed?.id == current.id
        let startedAt = min(current.startedAt ?? now, now)
        probes = [:]
        for (kind, specification) in specification.probes {
            var outcome: ProbeMachine.Outcome?
            if isSeeded, let seed {
                switch kind {
                case .startup: outcome = seed.isStarted ? .success : nil
                case .readiness: outcome = seed.isReady ? .success : .failure
                case .liveness: outcome = .success
                }
            }
            probes[kind] = ProbeMachine(specification, kind: kind, startedAt: startedAt, now: now, seed: outcome)
        }
    }

    /// Whether this probe may ask now: startup comes first, and is over once it succeeded.
    func mayAsk(_ kind: ProbeKind) -> Bool {
        guard isRunning, condemned != current?.id else { return false }
        return kind == .startup ? !isStarted : isStarted
    }
}
