// A pod machine under test: a script says what happened and reads what is to be done.

import Formats
import Objects

@testable import NodeAgent

/// Drives one machine; time stands still between `pass` calls.
struct PodScript {
    var machine: PodMachine
    var now: Timestamp
    private(set) var events: [PodEvent] = []

    static let start = Timestamp(secondsSinceEpoch: 1_700_000_000)

    init(_ pod: Object, at now: Timestamp = start) {
        machine = PodMachine(pod, at: now)
        self.now = now
    }

    /// A pod of these containers; `change` edits it before the machine sees it.
    static func pod(
        _ containers: [JSON] = [container("main")], initial: [JSON] = [], restart: String = "Always",
        change: (inout Object) -> Void = { _ in }
    ) -> Object {
        var pod = Object(.pods, namespace: "shop", name: "web")
        pod["metadata", "uid"] = "u1"
        pod.spec = ["restartPolicy": .string(restart), "containers": .array(containers), "nodeName": "n"]
        if !initial.isEmpty { pod["spec", "initContainers"] = .array(initial) }
        pod.status = ["phase": "Pending"]
        change(&pod)
        return pod
    }

    static func container(_ name: String, _ more: JSON = [:]) -> JSON {
        var tree: JSON = ["name": .string(name), "image": "host", "command": ["run"]]
        for member in more.object ?? JSONObject() { tree[member.key] = member.value }
        return tree
    }

    /// What is to be done now, without the events, which are kept in `events`.
    mutating func actions() -> [PodAction] {
        machine.actions(at: now).filter { action in
            guard case .report(let event) = action else { return true }
            events.append(event)
            return false
        }
    }

    mutating func pass(_ seconds: Int) { now = now + .seconds(seconds) }

    mutating func see(_ records: [ContainerRecord], sandbox: PodObservation.Sandbox = .ready) {
        machine.observed(PodObservation(sandbox: sandbox, containers: records), at: now)
    }

    func record(_ name: String, attempt: Int = 0, phase: ContainerRecord.Phase = .running, code: Int = 0)
        -> ContainerRecord
    {
        ContainerRecord(
            id: "\(name)-\(attempt)", name: name, attempt: attempt, phase: phase, startedAt: now,
            finishedAt: phase == .ended ? now : nil, exitCode: code)
    }

    /// The sandbox comes up and every container that the machine then asks for starts at once.
    mutating func bringUp() {
        see([], sandbox: .absent)
        _ = actions()
        machine.sandboxStarted(.success("10.88.0.5"), at: now)
        see([])
        var running: [ContainerRecord] = []
        while true {
            let started = actions().compactMap { action -> String? in
                guard case .startContainer(let name, _, _) = action else { return nil }
                return name
            }
            if started.isEmpty { break }
            for name in started { running.append(record(name)) }
            see(running)
            for name in started { machine.containerStarted(name, failure: nil, at: now) }
        }
    }

    /// The container ends and its end is seen.
    mutating func end(_ name: String, attempt: Int = 0, code: Int) {
        see([record(name, attempt: attempt, phase: .ended, code: code)])
    }

    mutating func run(_ name: String, attempt: Int) {
        see([record(name, attempt: attempt)])
        machine.containerStarted(name, failure: nil, at: now)
    }

    mutating func status() -> JSON { machine.refreshStatus(hostAddress: "192.0.2.2", at: now) }

    mutating func containerState(_ index: Int = 0) -> JSON? { status()["containerStatuses"]?.array?[index]["state"] }

    /// `True ContainersNotReady` of a condition.
    mutating func condition(_ type: String) -> String {
        let found = (status()["conditions"]?.array ?? []).first { $0["type"]?.string == type }
        return [found?["status"]?.string, found?["reason"]?.string].compactMap { $0 }.joined(separator: " ")
    }

    /// The API asks for the pod's end.
    mutating func delete(graceSeconds: Int = 30, withdrawn: Bool = false) {
        var pod = machine.pod
        pod["metadata", "deletionTimestamp"] = .string((now + .seconds(graceSeconds)).rfc3339)
        pod["metadata", "deletionGracePeriodSeconds"] = JSON(graceSeconds)
        if withdrawn { pod["status", "conditions"] = [["type": "mangrove.dev/Withdrawn", "status": "True"]] }
        machine.podChanged(pod, at: now)
    }
}
