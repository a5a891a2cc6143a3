// Changes the resources of running containers (`pods/resize`), after upstream's KEP-1287.

import Formats
import Objects

/// A pod's way from the resources that it has to those that its spec asks for.
struct PodResize: Sendable {
    /// What was last judged, by container; a spec that asks for something else is judged anew.
    var judged: [String: ContainerResources] = [:]
    var isBeingJudged = false
    /// Why the wish is not granted: `Deferred` or `Infeasible`.
    var pending: StartFailure?
    /// When a deferred wish is judged again.
    var retryAt: Timestamp?
    /// Resources were granted and are not all in force.
    var isUnderWay = false
}

extension PodMachine {
    static let resizeRetrySeconds = 10

    /// The containers whose resources may change, with what the spec asks for now.
    private var wishes: [String: JSON] {
        var wishes: [String: JSON] = [:]
        for container in ResizeRoom.lasting(pod) {
            if let name = container["name"]?.string { wishes[name] = container["resources"] ?? [:] }
        }
        return wishes
    }

    /// Whether a wish was granted, and what is to be done for it.
    mutating func decideResize(at now: Timestamp, _ actions: inout [PodAction]) {
        let wishes = wishes
        let differs = slots.contains { slot in
            wishes[slot.name].map { ContainerResources($0) != slot.allocated } ?? false
        }
        if !differs {
            resize.pending = nil
            resize.judged = [:]
        } else if !resize.isBeingJudged {
            let isNew = resize.judged != wishes.mapValues { ContainerResources($0) }
            if isNew || resize.retryAt.map({ $0 <= now }) ?? false {
                resize.judged = wishes.mapValues { ContainerResources($0) }
                resize.isBeingJudged = true
                resize.retryAt = nil
                actions.append(.judgeResize(containers: ResizeRoom.lasting(pod)))
            }
        }
        for index in slots.indices where slots[index].specification.role != .initial { apply(index, at: now, &actions) }
        let isUnderWay = slots.contains { $0.isRunning && $0.applied != nil && $0.applied != $0.allocated }
        if resize.isUnderWay, !isUnderWay { report(PodEvent("ResizeCompleted", "Pod resize completed")) }
        resize.isUnderWay = isUnderWay
    }

    /// There is room for what these containers ask for, or there is not.
    mutating func resizeJudged(_ containers: [JSON], _ verdict: ResizeVerdict, at now: Timestamp) {
        resize.isBeingJudged = false
        switch verdict {
        case .fits: resize.pending = nil
        case .deferred(let message):
            refuseResize(StartFailure("Deferred", message))
            resize.retryAt = now + .seconds(Self.resizeRetrySeconds)
            return
        case .infeasible(let message):
            refuseResize(StartFailure("Infeasible", message))
            return
        }
        for container in containers {
            guard let index = slots.firstIndex(where: { $0.name == container["name"]?.string }) else { continue }
            specification.allocate(container["resources"] ?? [:], to: slots[index].name)
            slots[index].specification.allocate(container["resources"] ?? [:])
            slots[index].resizeFailure = nil
        }
    }

    private mutating func refuseResize(_ why: StartFailure) {
        if resize.pending != why { report(PodEvent(warning: true, "Resize\(why.reason)", why.message)) }
        resize.pending = why
    }

    /// Brings a running container to what it was granted, by a restart where its policy says so.
    private mutating func apply(_ index: Int, at now: Timestamp, _ actions: inout [PodAction]) {
        let slot = slots[index]
        guard let applied = slot.applied, slot.isRunning, slot.work == .none, slot.condemned == nil,
            let id = slot.current?.id, (slot.retryAt ?? now) <= now
        else { return }
        let differences = slot.allocated.differences(from: applied)
        if differences.isEmpty { return }
        let policies = slot.specification.tree["resizePolicy"]?.array ?? []
        let mustRestart = differences.contains { name in
            policies.contains {
                $0["resourceName"]?.string == name && $0["restartPolicy"]?.string == "RestartContainer"
            }
        }
        if mustRestart {
            slots[index].condemned = id
            slots[index].mustRunAgain = true
            let words = "Container \(slot.name) resize requires restart"
            report(PodEvent("Killing", words, container: slot.name))
        } else {
            slots[index].work = .resizing
            let resources = slot.specification.tree["resources"] ?? [:]
            actions.append(.resizeContainer(name: slot.name, id: id, resources: resources))
        }
    }

    /// A running container is kept to these resources now, or could not be; then it is tried again.
    package mutating func containerResized(_ name: String, to resources: JSON, failure: String?, at now: Timestamp) {
        guard let index = slots.firstIndex(where: { $0.name == name }) else { return }
        slots[index].work = .none
        if let failure {
            if slots[index].resizeFailure != failure {
                report(PodEvent(warning: true, "ResizeError", "Pod resize error: \(failure)", container: name))
            }
            slots[index].retryAt = now + .seconds(Self.resizeRetrySeconds)
        } else {
            slots[index].applied = ContainerResources(resources)
            slots[index].appliedTree = resources
        }
        slots[index].resizeFailure = failure
    }

    /// `PodResizePending` and `PodResizeInProgress`, which are there only while they are true.
    func resizeConditions(at now: Timestamp) -> [PodCondition] {
        var conditions: [PodCondition] = []
        if let pending = resize.pending {
            conditions.append(
                PodCondition("PodResizePending", true, reason: pending.reason, message: pending.message, at: now))
        }
        if resize.isUnderWay {
            let failure = slots.compactMap(\.resizeFailure).first
            conditions.append(
                PodCondition(
                    "PodResizeInProgress", true, reason: failure == nil ? "" : "Error", message: failure ?? "", at: now)
            )
        }
        return conditions
    }
}

extension ContainerSlot {
    /// What the container was granted.
    var allocated: ContainerResources { ContainerResources(specification.tree["resources"]) }

    /// Takes up what an earlier agent granted, from the status that it wrote.
    mutating func adopt(resourcesOf status: JSON) -> JSON? {
        guard let shown = status["resources"], status["state", "running"] != nil else { return nil }
        var granted: JSON = [:]
        granted["limits"] = shown["limits"]
        granted["requests"] = status["allocatedResources"] ?? shown["requests"]
        specification.allocate(granted)
        applied = ContainerResources(granted)
        appliedTree = granted
        return granted
    }

    /// `allocatedResources` and `resources` of a container status.
    func addResources(to status: inout JSON) {
        let granted = specification.tree["resources"]
        status["allocatedResources"] = granted?["requests"]
        var shown: JSON = [:]
        shown["limits"] = (isRunning ? appliedTree : granted)?["limits"]
        shown["requests"] = granted?["requests"]
        status["resources"] = shown
    }
}
