// The pod machine's decisions: starting, keeping alive, probing and, at the end, stopping in order.

import Formats
import Objects

extension PodMachine {
    /// What is to be done now. Each action counts as begun: it is not asked for again before its end was told.
    package mutating func actions(at now: Timestamp) -> [PodAction] {
        var actions: [PodAction] = []
        if observedSandbox != nil {
            if ending == nil { decideLife(at: now, &actions) }
            if ending != nil { decideEnding(at: now, &actions) }
            decideProbes(at: now, &actions)
        }
        let reports = events.map { PodAction.report($0) }
        events = []
        return reports + actions
    }

    /// When `actions` may have something new to say although nothing was told; nil when only an input can change
    /// things.
    package func nextDeadline(after now: Timestamp) -> Timestamp? {
        var deadlines: [Timestamp] = []
        if case .failed(_, let retryAt) = sandbox, ending == nil { deadlines.append(retryAt) }
        if let end = activeUntil, ending == nil { deadlines.append(end) }
        if let retryAt = resize.retryAt, ending == nil { deadlines.append(retryAt) }
        if let ending {
            if ending.stage == .withdrawing { deadlines.append(ending.deadline) }
            if ending.stage != .over, let retryAt { deadlines.append(retryAt) }
        }
        for slot in slots {
            if slot.work == .none, let retryAt = slot.retryAt { deadlines.append(retryAt) }
            for (kind, probe) in slot.probes where isAsking(kind, of: slot) {
                if let due = probe.nextQuestionAt { deadlines.append(due) }
            }
        }
        return deadlines.filter { $0 > now }.min()
    }

    // MARK: Life

    private mutating func decideLife(at now: Timestamp, _ actions: inout [PodAction]) {
        let foreign = specification.foreignImages
        guard foreign.isEmpty else {
            if !hasReportedImages {
                hasReportedImages = true
                report(PodEvent(warning: true, Self.noRuntimeReason, Self.foreignImageMessage(foreign[0])))
            }
            return
        }
        if hasFailedInitially || areMainContainersOver {
            ending = Ending(
                cause: .finished, stage: .stopping, deadline: now + .seconds(specification.gracePeriodSeconds))
            return
        }
        if let end = activeUntil, end <= now {
            let words = "Pod was active on the node longer than the specified deadline"
            podFailure = StartFailure(Self.deadlineReason, words)
            report(PodEvent(Self.deadlineReason, words))
            ending = Ending(
                cause: .finished, stage: .stopping, deadline: now + .seconds(specification.gracePeriodSeconds))
            return
        }
        switch sandbox {
        case .absent:
            startSandbox(&actions)
        case .failed(_, let retryAt) where retryAt <= now:
            startSandbox(&actions)
        case .ready:
            decideResize(at: now, &actions)
            decideContainers(at: now, &actions)
        case .starting, .failed, .removing, .removed:
            break
        }
    }

    /// When the pod's time is over.
    private var activeUntil: Timestamp? { specification.activeDeadlineSeconds.map { activeSince + .seconds($0) } }

    private mutating func startSandbox(_ actions: inout [PodAction]) {
        let isAdopted = observedSandbox == .ready
        if !isAdopted {
            for index in slots.indices where slots[index].specification.role == .initial && slots[index].hasEnded {
                slots[index].mustRunAgain = true
            }
        }
        sandbox = .starting
        actions.append(.startSandbox(isAdopted: isAdopted))
    }

    private mutating func decideContainers(at now: Timestamp, _ actions: inout [PodAction]) {
        for index in slots.indices where slots[index].specification.role == .ephemeral && slots[index].isUntried {
            let image = slots[index].specification.image
            if image == PodSpecification.hostImage {
                start(index, at: now, &actions)
            } else if slots[index].failure == nil {
                slots[index].failure = StartFailure(Self.noRuntimeReason, Self.foreignImageMessage(image))
                report(
                    PodEvent(
                        warning: true, Self.noRuntimeReason, Self.foreignImageMessage(image),
                        container: slots[index].name))
            }
        }
        for index in slots.indices where slots[index].isInitial {
            let slot = slots[index]
            switch slot.specification.role {
            case .initial where !isInitialized && !slot.hasSucceeded:
                if !slot.isRunning { start(index, at: now, &actions) }
                return
            case .sidecar:
                if !slot.isRunning { start(index, at: now, &actions) }
                stopIfCondemned(index, at: now, &actions)
                if !isInitialized, !slots[index].isStarted { return }
            default:
                break
            }
        }
        isInitialized = true
        for index in slots.indices where slots[index].specification.role == .main {
            if !slots[index].isRunning, mayRunAgain(slots[index]) { start(index, at: now, &actions) }
            stopIfCondemned(index, at: now, &actions)
        }
    }

    private mutating func start(_ index: Int, at now: Timestamp, _ actions: inout [PodAction]) {
        let slot = slots[index]
        guard slot.work == .none else { return }
        if slot.failure != nil, let retryAt = slot.retryAt, retryAt > now { return }
        if slot.hasEnded, !slot.mustRunAgain, let record = slot.current {
            let allowed = slots[index].backoff.restartAllowed(endedAt: slot.endedAt ?? record.finishedAt ?? now)
            if allowed > now {
                if !slot.isBackingOff {
                    slots[index].isBackingOff = true
                    let words =
                        "Back-off restarting failed container \(slot.name) in pod "
                        + "\(specification.key.name)_\(specification.key.namespace)(\(specification.uid))"
                    report(PodEvent(warning: true, "BackOff", words, container: slot.name))
                }
                slots[index].retryAt = allowed
                return
            }
            if slot.failure == nil { slots[index].backoff.restarted(at: now) }
        }
        slots[index].isBackingOff = false
        slots[index].retryAt = nil
        slots[index].work = .starting
        slots[index].applied = slot.allocated
        slots[index].appliedTree = slot.specification.tree["resources"]
        let replaced = slot.current?.phase == .created ? slot.current?.id : nil
        actions.append(.startContainer(name: slot.name, attempt: slot.nextAttempt, replacing: replaced))
        if let previous = slot.previous, !previous.id.isEmpty { actions.append(.removeContainer(id: previous.id)) }
    }

    private mutating func stopIfCondemned(_ index: Int, at now: Timestamp, _ actions: inout [PodAction]) {
        let slot = slots[index]
        guard slot.work == .none, slot.isRunning, let id = slot.condemned, id == slot.current?.id else { return }
        if let retryAt = slot.retryAt, retryAt > now { return }
        let probe = slot.specification.probes[slot.isStarted ? .liveness : .startup]
        let seconds = probe?.terminationGracePeriodSeconds ?? specification.gracePeriodSeconds
        slots[index].work = .stopping
        actions.append(.stopContainer(name: slot.name, id: id, grace: .seconds(max(seconds, Self.leastStopSeconds))))
    }

    private func mayRunAgain(_ slot: ContainerSlot) -> Bool {
        guard slot.hasEnded, !slot.mustRunAgain else { return true }
        switch specification.restartPolicy {
        case .always: return true
        case .onFailure: return slot.current?.exitCode != 0
        case .never: return false
        }
    }

    /// An init container failed and is not to be tried again.
    var hasFailedInitially: Bool {
        specification.restartPolicy == .never
            && slots.contains {
                $0.specification.role == .initial && $0.hasEnded && $0.current?.exitCode != 0 && !$0.mustRunAgain
            }
    }

    /// Every main container has ended and none is to be started again.
    var areMainContainersOver: Bool {
        let main = slots.filter { $0.specification.role == .main }
        return !main.isEmpty && main.allSatisfy { $0.hasEnded && $0.work == .none && !mayRunAgain($0) }
    }

    // MARK: Probes

    /// Readiness is asked to the end; the other two not once the pod is on its way out.
    private func isAsking(_ kind: ProbeKind, of slot: ContainerSlot) -> Bool {
        slot.mayAsk(kind) && sandbox == .ready && (ending == nil || kind == .readiness)
    }

    private mutating func decideProbes(at now: Timestamp, _ actions: inout [PodAction]) {
        for index in slots.indices {
            guard let id = slots[index].current?.id else { continue }
            for kind in ProbeKind.allCases where isAsking(kind, of: slots[index]) {
                if slots[index].probes[kind]?.ask(at: now) == true {
                    actions.append(.probe(container: slots[index].name, id: id, kind: kind))
                }
            }
        }
    }

    // MARK: Ending

    private mutating func decideEnding(at now: Timestamp, _ actions: inout [PodAction]) {
        guard var ending else { return }
        if ending.stage == .withdrawing { withdraw(&ending, at: now, &actions) }
        if ending.stage == .stopping, haveStopped(ending, at: now, &actions) { ending.stage = .removing }
        if ending.stage == .removing, isSandboxRemoved(at: now, &actions) {
            ending.stage = ending.cause == .deleted ? .deleting : .over
        }
        if ending.stage == .deleting, !ending.isDeleting, (retryAt ?? now) <= now {
            ending.isDeleting = true
            retryAt = nil
            actions.append(.deletePod)
        }
        self.ending = ending
    }

    /// Acknowledged before gone: waits until no consumer and no proxy knows the pod any more, or until the grace is
    /// over.
    private mutating func withdraw(_ ending: inout Ending, at now: Timestamp, _ actions: inout [PodAction]) {
        guard slots.contains(where: { $0.isRunning || $0.work == .starting }), let address else {
            ending.stage = .stopping
            return
        }
        if !ending.isAwaitingProxy {
            ending.isAwaitingProxy = true
            // The node's own address is shared: the proxy never lets go of it.
            ending.hasProxyWithdrawn = specification.isOnHostNetwork
            if !specification.isOnHostNetwork { actions.append(.awaitWithdrawal(address: address)) }
        }
        let isAcknowledged = pod.isTrue(Self.withdrawnCondition)
        if isAcknowledged, ending.hasProxyWithdrawn {
            ending.stage = .stopping
        } else if ending.deadline <= now {
            ending.stage = .stopping
            let missing =
                isAcknowledged
                ? "the service proxy has not let go of it"
                : "not every consumer has acknowledged that it leaves (no condition \(Self.withdrawnCondition))"
            let words = "Stopping the pod although \(missing): its grace period is used up"
            report(PodEvent(warning: true, "WithdrawalTimedOut", words))
        }
    }

    /// Stops main and init containers together, then the sidecars, last started first.
    private mutating func haveStopped(_ ending: Ending, at now: Timestamp, _ actions: inout [PodAction]) -> Bool {
        if slots.contains(where: { $0.work == .starting }) || sandbox == .starting { return false }
        let others = slots.indices.filter { slots[$0].specification.role != .sidecar && slots[$0].isRunning }
        let sidecars = slots.indices.filter { slots[$0].specification.role == .sidecar && slots[$0].isRunning }
        for index in others.isEmpty ? Array(sidecars.suffix(1)) : others {
            guard slots[index].work == .none, (slots[index].retryAt ?? now) <= now, let id = slots[index].current?.id
            else { continue }
            slots[index].work = .stopping
            slots[index].retryAt = nil
            report(PodEvent("Killing", "Stopping container \(slots[index].name)", container: slots[index].name))
            let grace = max(ending.deadline - now, .seconds(Self.leastStopSeconds))
            actions.append(.stopContainer(name: slots[index].name, id: id, grace: grace))
        }
        return others.isEmpty && sidecars.isEmpty
    }

    private mutating func isSandboxRemoved(at now: Timestamp, _ actions: inout [PodAction]) -> Bool {
        switch sandbox {
        case .removed:
            return true
        case .starting, .removing:
            return false
        case .absent, .ready, .failed:
            guard (retryAt ?? now) <= now else { return false }
            retryAt = nil
            sandbox = .removing
            actions.append(.removeSandbox)
            return false
        }
    }

    // MARK: Words

    /// The waiting reason of a pod whose image nothing on this node can run.
    static let noRuntimeReason = "NoContainerRuntime"

    static func foreignImageMessage(_ image: String) -> String {
        "image \"\(image)\" needs containerd, which this version cannot use yet; "
            + "image \"\(PodSpecification.hostImage)\" runs programs of this machine's own file system"
    }
}
