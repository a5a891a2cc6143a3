// Decides what is to be done for one pod: from its spec, what the runtime shows, probe answers and the time.

import Formats
import Objects

/// One pod on this node, from its first sight to its last trace.
///
/// Inputs are the past-tense methods; after each of them, and whenever `nextDeadline` passes, the shell calls
/// `actions` and performs what it returns, then `refreshStatus` and writes the status if it differs. Right from any
/// state: what already runs is adopted.
package struct PodMachine: Sendable {
    enum Sandbox: Sendable, Hashable {
        case absent
        case starting
        case ready
        case failed(StartFailure, retryAt: Timestamp)
        case removing
        case removed
    }

    /// The way out; a pod that is on it never comes back.
    struct Ending: Sendable, Hashable {
        enum Cause: Sendable, Hashable {
            /// The API wants it deleted.
            case deleted
            /// It is not in the API any more.
            case vanished
            /// All its containers ended for good.
            case finished
            /// The node stops; the pod stays in the API and starts again with the node.
            case nodeStopped
        }
        enum Stage: Sendable, Hashable {
            case withdrawing
            case stopping
            case removing
            case deleting
            case over
        }
        var cause: Cause
        var stage: Stage
        var deadline: Timestamp
        var isAwaitingProxy = false
        var hasProxyWithdrawn = false
        var isDeleting = false
    }

    package internal(set) var specification: PodSpecification
    package internal(set) var pod: Object
    var slots: [ContainerSlot]
    var sandbox = Sandbox.absent
    var address: String?
    var ending: Ending?
    /// Whether all regular init containers are through.
    var isInitialized = false
    /// What the runtime last showed of the sandbox; nil until it has been looked at, and nothing is done before.
    var observedSandbox: PodObservation.Sandbox?
    /// When the sandbox's removal or the pod's deletion failed: not before this again.
    var retryAt: Timestamp?
    var events: [PodEvent] = []
    var hasReportedImages = false
    let startTime: Timestamp
    /// The same on the clock that is waited by, which does not jump.
    var activeSince: Timestamp
    var resize = PodResize()
    /// The pod has failed as a whole, whatever its containers did.
    var podFailure: StartFailure?
    /// The conditions as last rendered; they keep the times of their changes.
    var conditions: [PodCondition] = []

    /// The longest time that a KILL may follow a TERM by when the grace period is already used up.
    package static let leastStopSeconds = 2
    static let sandboxRetrySeconds = 5
    static let configurationRetrySeconds = 5
    static let deadlineReason = "DeadlineExceeded"
    static let evictedReason = "Evicted"
    static let withdrawnCondition = "mangrove.dev/Withdrawn"

    package init(_ pod: Object, at now: Timestamp) {
        specification = PodSpecification(pod)
        self.pod = pod
        let statuses =
            (pod.status["initContainerStatuses"]?.array ?? []) + (pod.status["containerStatuses"]?.array ?? [])
            + (pod.status["ephemeralContainerStatuses"]?.array ?? [])
        slots = []
        for container in specification.containers {
            var slot = ContainerSlot(container)
            if let status = statuses.first(where: { $0["name"]?.string == container.name }),
                let record = ContainerRecord(status: status)
            {
                slot.current = record
                slot.seed = (record.id, status["started"]?.bool ?? false, status["ready"]?.bool ?? false)
                if let granted = slot.adopt(resourcesOf: status) { specification.allocate(granted, to: slot.name) }
            }
            slots.append(slot)
        }
        address = pod.status["podIP"]?.string
        startTime = pod.status["startTime"]?.string.flatMap { Timestamp(rfc3339: $0) } ?? now
        activeSince = min(startTime, now)
        let phase = pod.status["phase"]?.string
        if phase == "Failed", let reason = pod.status["reason"]?.string, !reason.isEmpty {
            podFailure = StartFailure(reason, pod.status["message"]?.string ?? "")
        }
        conditions = (pod.status["conditions"]?.array ?? []).compactMap(PodCondition.init)
        if phase == "Succeeded" || phase == "Failed" {
            ending = Ending(cause: .finished, stage: .stopping, deadline: now)
        }
        if pod.isTerminating { beginDeletion(at: now, isFirstSight: true) }
    }

    // MARK: Inputs

    /// The API shows the pod like this.
    package mutating func podChanged(_ pod: Object, at now: Timestamp) {
        self.pod = pod
        slots += specification.podChanged(pod).map(ContainerSlot.init)
        if pod.isTerminating { beginDeletion(at: now, isFirstSight: false) }
    }

    /// The API does not show the pod any more.
    package mutating func podVanished(at now: Timestamp) {
        let deadline = min(
            ending?.deadline ?? now + .seconds(Self.leastStopSeconds), now + .seconds(Self.leastStopSeconds))
        guard var ending else {
            self.ending = Ending(cause: .vanished, stage: .stopping, deadline: deadline)
            return
        }
        ending.cause = .vanished
        ending.deadline = deadline
        switch ending.stage {
        case .withdrawing: ending.stage = .stopping
        case .deleting: ending.stage = .over
        case .stopping, .removing, .over: break
        }
        self.ending = ending
    }

    /// The node stops: stop the pod in its grace period but leave it in the API.
    package mutating func nodeStopped(at now: Timestamp) {
        guard ending == nil else { return }
        let deadline = now + .seconds(specification.gracePeriodSeconds)
        ending = Ending(cause: .nodeStopped, stage: .stopping, deadline: deadline)
    }

    /// The runtime shows this of the pod.
    package mutating func observed(_ observation: PodObservation, at now: Timestamp) {
        let isFirst = observedSandbox == nil
        observedSandbox = observation.sandbox
        for index in slots.indices {
            slots[index].observed(observation.containers.filter { $0.name == slots[index].name }, at: now)
        }
        if isFirst {
            adopt(observation)
        } else if observation.sandbox != .ready, sandbox == .ready, ending == nil {
            sandbox = .absent
            isInitialized = false
            report(PodEvent("SandboxChanged", "Pod sandbox changed, it will be killed and re-created."))
        }
    }

    /// The sandbox is there with this address, or could not be made.
    package mutating func sandboxStarted(_ result: Result<String, StartFailure>, at now: Timestamp) {
        switch result {
        case .success(let address):
            self.address = address.isEmpty ? nil : address
            sandbox = .ready
        case .failure(let failure):
            sandbox = .failed(failure, retryAt: now + .seconds(Self.sandboxRetrySeconds))
            report(PodEvent(warning: true, failure.reason, failure.message))
        }
    }

    /// The pod uses more of the node than it may; it ends at once and for good.
    package mutating func evicted(message: String, at now: Timestamp) {
        guard ending == nil else { return }
        podFailure = StartFailure(Self.evictedReason, message)
        report(PodEvent(warning: true, Self.evictedReason, message))
        ending = Ending(cause: .finished, stage: .stopping, deadline: now)
    }

    /// A container was started (its record comes by `observed`), or could not be made.
    package mutating func containerStarted(_ name: String, failure: StartFailure?, at now: Timestamp) {
        guard let index = slots.firstIndex(where: { $0.name == name }) else { return }
        slots[index].work = .none
        slots[index].failure = failure
        guard let failure else { return }
        slots[index].retryAt = now + .seconds(Self.configurationRetrySeconds)
        report(PodEvent(warning: true, "Failed", "Error: \(failure.message)", container: name))
    }

    /// Stopping a container came to its end; if it still runs, it is tried again.
    package mutating func containerStopped(_ name: String, at now: Timestamp) {
        guard let index = slots.firstIndex(where: { $0.name == name }) else { return }
        slots[index].work = .none
        if slots[index].isRunning { slots[index].retryAt = now + .seconds(1) }
    }

    /// A probe was answered.
    package mutating func probed(
        container: String, id: String, kind: ProbeKind, _ result: ProbeResult, at now: Timestamp
    ) {
        guard let index = slots.firstIndex(where: { $0.name == container }), slots[index].current?.id == id,
            var probe = slots[index].probes[kind]
        else { return }
        let isDecided = probe.answered(result)
        slots[index].probes[kind] = probe
        guard case .failure(let message) = result, slots[index].isRunning else { return }
        report(PodEvent(warning: true, "Unhealthy", "\(kind.title) probe failed: \(message)", container: container))
        guard isDecided, kind != .readiness, ending == nil, slots[index].condemned == nil else { return }
        slots[index].condemned = id
        let words = "Container \(container) failed \(kind.rawValue) probe, will be restarted"
        report(PodEvent("Killing", words, container: container))
    }

    /// The service proxy sends nothing to the pod any more.
    package mutating func proxyWithdrew() { ending?.hasProxyWithdrawn = true }

    /// The sandbox is gone, or could not be removed.
    package mutating func sandboxRemoved(failure: Problem?, at now: Timestamp) {
        guard let failure else {
            sandbox = .removed
            return
        }
        sandbox = .ready
        retryAt = now + .seconds(Self.sandboxRetrySeconds)
        report(PodEvent(warning: true, "FailedKillPod", "error killing pod: \(failure.message)"))
    }

    /// The pod was deleted from the API (its vanishing comes separately), or could not be. A conflict says that another
    /// writer was faster, or that another pod has the name by now; then this one's vanishing is on its way.
    package mutating func podDeleted(failure: Problem?, at now: Timestamp) {
        guard let failure, failure.reason != .notFound else {
            ending?.stage = .over
            return
        }
        ending?.isDeleting = false
        retryAt = now + .seconds(1)
    }

    /// Nothing is left to be done for this pod until it vanishes or is deleted.
    package var isAtRest: Bool { ending?.stage == .over }

    /// The pod is out of the API or about to be: its logs and volumes are of no use any more.
    package var isForgotten: Bool { isGone && (ending?.cause == .deleted || ending?.cause == .vanished) }

    /// Nothing is left to be done for this pod ever.
    package var isGone: Bool {
        guard let ending, ending.stage == .over else { return false }
        return ending.cause != .finished
    }

    mutating func report(_ event: PodEvent) {
        events.append(event)
    }

    // MARK: Beginnings

    private mutating func beginDeletion(at now: Timestamp, isFirstSight: Bool) {
        let grace = pod.tree["metadata", "deletionGracePeriodSeconds"]?.integer ?? specification.gracePeriodSeconds
        var deadline = now + .seconds(grace)
        // Found half stopped after a restart of the agent: what was waited before counts.
        if isFirstSight, let time = pod.deletionTimestamp.flatMap({ Timestamp(rfc3339: $0) }), time < deadline {
            deadline = max(time, now)
        }
        switch ending?.cause {
        case .deleted, .vanished:
            if let current = ending?.deadline, deadline < current { ending?.deadline = deadline }
        case .finished:
            // Its containers have ended or are being ended: it only remains to clear away and delete.
            ending?.cause = .deleted
            if ending?.stage == .over { ending?.stage = .removing }
        case .nodeStopped:
            ending?.cause = .deleted
        case nil:
            ending = Ending(cause: .deleted, stage: .withdrawing, deadline: deadline)
        }
    }

    private mutating func adopt(_ observation: PodObservation) {
        let names = Set(observation.containers.filter { $0.phase != .created }.map(\.name))
        let hasMain = slots.contains { $0.specification.role == .main && names.contains($0.name) }
        isInitialized = observation.sandbox == .ready && hasMain
        if observation.sandbox == .ready, ending != nil { sandbox = .ready }
    }
}
