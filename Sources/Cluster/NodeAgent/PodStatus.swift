// The pod's status as upstream's kubelet writes it, so that kubectl reads it the same.

import Formats
import Objects

extension PodMachine {
    /// The status to be written; conditions that others write are left out, and stay in a strategic merge patch.
    package mutating func refreshStatus(hostAddress: String, at now: Timestamp) -> JSON {
        var status: JSON = ["phase": .string(phase)]
        updateConditions(at: now)
        let kept = Set(conditions.map(\.type))
        let removed = ["PodResizePending", "PodResizeInProgress"].filter {
            !kept.contains($0) && pod.condition($0) != nil
        }
        status["conditions"] = .array(
            conditions.map { $0.patch(over: pod.condition($0.type)) }
                + removed.map { ["$patch": "delete", "type": .string($0)] })
        status["hostIP"] = .string(hostAddress)
        status["hostIPs"] = [["ip": .string(hostAddress)]]
        if let shown = specification.isOnHostNetwork ? (sandbox == .ready ? hostAddress : address) : address {
            status["podIP"] = .string(shown)
            status["podIPs"] = [["ip": .string(shown)]]
        }
        status["startTime"] = .string(startTime.rfc3339)
        if let podFailure {
            status["reason"] = .string(podFailure.reason)
            status["message"] = .string(podFailure.message)
        }
        let added = slots.filter { $0.specification.role == .ephemeral }
        if !added.isEmpty { status["ephemeralContainerStatuses"] = .array(added.map { containerStatus($0) }) }
        let initial = slots.filter(\.isInitial)
        if !initial.isEmpty { status["initContainerStatuses"] = .array(initial.map { containerStatus($0) }) }
        let main = slots.filter { $0.specification.role == .main }
        status["containerStatuses"] = .array(main.map { containerStatus($0) })
        status["qosClass"] = .string(QualityOfService.name(of: pod))
        return status
    }

    // MARK: Phase

    var phase: String {
        if hasFailedInitially { return "Failed" }
        if podFailure != nil, ending.map({ $0.stage != .withdrawing && $0.stage != .stopping }) ?? false {
            return "Failed"
        }
        let main = slots.filter { $0.specification.role == .main }
        let hasRun = main.contains { $0.current != nil && $0.current?.phase != .created }
        let ended = main.filter { $0.hasEnded && $0.work != .starting }
        if let ending, ending.cause != .nodeStopped, ended.count == main.count, ending.stage != .withdrawing {
            return podFailure == nil && ended.allSatisfy { $0.hasSucceeded } ? "Succeeded" : "Failed"
        }
        if !isInitialized, !hasRun || ending == nil { return "Pending" }
        // A container that waits for its very first start keeps the pod Pending.
        return main.allSatisfy { $0.current != nil && $0.current?.phase != .created } ? "Running" : "Pending"
    }

    private var isTerminalPhase: Bool { phase == "Succeeded" || phase == "Failed" }

    // MARK: Conditions

    private mutating func updateConditions(at now: Timestamp) {
        let initial = slots.filter(\.isInitial)
        let main = slots.filter { $0.specification.role == .main }
        let unready = (main + initial.filter { $0.specification.role == .sidecar }).filter { !$0.isReady }.map(\.name)
        let incomplete = initial.filter { $0.specification.role == .sidecar ? !$0.isStarted : !$0.hasSucceeded }.map(
            \.name)
        let isOver = isTerminalPhase
        var fresh: [PodCondition] = []

        fresh.append(PodCondition("PodReadyToStartContainers", sandbox == .ready, at: now))
        if isInitialized || incomplete.isEmpty || isOver && phase == "Succeeded" {
            let isCompleted = isOver && phase == "Succeeded"
            fresh.append(PodCondition("Initialized", true, reason: isCompleted ? "PodCompleted" : "", at: now))
        } else {
            fresh.append(
                PodCondition(
                    "Initialized", false, reason: "ContainersNotInitialized",
                    message: "containers with incomplete status: [\(incomplete.joined(separator: " "))]", at: now))
        }
        if isOver {
            let reason = phase == "Succeeded" ? "PodCompleted" : "PodFailed"
            fresh.append(PodCondition("Ready", false, reason: reason, at: now))
            fresh.append(PodCondition("ContainersReady", false, reason: reason, at: now))
        } else if !unready.isEmpty {
            let message = "containers with unready status: [\(unready.joined(separator: " "))]"
            for type in ["Ready", "ContainersReady"] {
                fresh.append(PodCondition(type, false, reason: "ContainersNotReady", message: message, at: now))
            }
        } else {
            let gates = specification.readinessGates.filter { !pod.isTrue($0) }
            let words = gates.map {
                "corresponding condition of pod readiness gate \"\($0)\" does not exist or is not true."
            }
            fresh.append(
                PodCondition(
                    "Ready", gates.isEmpty, reason: gates.isEmpty ? "" : "ReadinessGatesNotReady",
                    message: words.joined(separator: ", "), at: now))
            fresh.append(PodCondition("ContainersReady", true, at: now))
        }
        fresh.append(PodCondition("PodScheduled", true, at: now))
        fresh += resizeConditions(at: now)
        if let podFailure, podFailure.reason == Self.evictedReason {
            fresh.append(
                PodCondition(
                    "DisruptionTarget", true, reason: "TerminationByKubelet", message: podFailure.message, at: now))
        }
        for index in fresh.indices {
            if let old = conditions.first(where: { $0.type == fresh[index].type }), old.isTrue == fresh[index].isTrue {
                fresh[index].lastTransitionTime = old.lastTransitionTime
            }
        }
        conditions = fresh
    }

    // MARK: Containers

    private func containerStatus(_ slot: ContainerSlot) -> JSON {
        var status: JSON = ["name": .string(slot.name), "state": state(slot)]
        status["lastState"] = lastState(slot)
        status["ready"] = .bool(slot.isReady)
        status["restartCount"] = JSON(slot.restartCount)
        status["image"] = .string(slot.specification.image)
        status["imageID"] = ""
        if let record = slot.current, record.phase != .created {
            status["containerID"] = .string(record.identifier)
            status["imageID"] = .string(slot.specification.image)
        }
        status["started"] = .bool(slot.isStarted)
        if slot.isRunning { slot.addResources(to: &status) }
        return status
    }

    /// Whether the slot's newest run has ended and another is to come, so that it shows as waiting.
    private func isWaitingForNext(_ slot: ContainerSlot) -> Bool {
        slot.hasEnded && ending == nil && (slot.work == .starting || slot.failure != nil || slot.isBackingOff)
    }

    private func state(_ slot: ContainerSlot) -> JSON {
        if let record = slot.current, record.phase == .running {
            var running: JSON = [:]
            if let startedAt = record.startedAt { running["startedAt"] = .string(startedAt.rfc3339) }
            return ["running": running]
        }
        if let record = slot.current, record.phase == .ended, !isWaitingForNext(slot) {
            return ["terminated": record.terminated]
        }
        var waiting: JSON = [:]
        let (reason, message) = waitingReason(slot)
        waiting["reason"] = .string(reason)
        if !message.isEmpty { waiting["message"] = .string(message) }
        return ["waiting": waiting]
    }

    private func waitingReason(_ slot: ContainerSlot) -> (String, String) {
        if slot.specification.image != PodSpecification.hostImage {
            return (Self.noRuntimeReason, Self.foreignImageMessage(slot.specification.image))
        }
        if let failure = slot.failure { return (failure.reason, failure.message) }
        if slot.isBackingOff {
            let seconds = slot.backoff.delay.components.seconds
            let pod = "\(specification.key.name)_\(specification.key.namespace)(\(specification.uid))"
            return ("CrashLoopBackOff", "back-off \(seconds)s restarting failed container=\(slot.name) pod=\(pod)")
        }
        let hasInitial = slots.contains(where: \.isInitial)
        return (hasInitial && !isInitialized ? "PodInitializing" : "ContainerCreating", "")
    }

    private func lastState(_ slot: ContainerSlot) -> JSON {
        if isWaitingForNext(slot), let record = slot.current { return ["terminated": record.terminated] }
        return slot.previous.map { ["terminated": $0.terminated] } ?? [:]
    }
}

/// The quality-of-service class that a pod's requests and limits give it.
enum QualityOfService {
    /// `Guaranteed`, `Burstable` or `BestEffort` (upstream `pkg/apis/core/v1/helper/qos`).
    static func name(of pod: Object) -> String {
        if let name = pod.status["qosClass"]?.string, !name.isEmpty { return name }
        let containers = (pod.spec["initContainers"]?.array ?? []) + (pod.spec["containers"]?.array ?? [])
        var isBestEffort = true
        var isGuaranteed = !containers.isEmpty
        for container in containers {
            for name in ["cpu", "memory"] {
                let limit = container["resources", "limits", name]
                let request = container["resources", "requests", name]
                if limit != nil || request != nil { isBestEffort = false }
                if limit == nil || (request != nil && request != limit) { isGuaranteed = false }
            }
        }
        return isBestEffort ? "BestEffort" : isGuaranteed ? "Guaranteed" : "Burstable"
    }
}
