// What is known of one run of a container, from the runtime or from the pod's own status after a restart.

import Formats
import Objects

/// One run (attempt) of a container.
package struct ContainerRecord: Sendable, Hashable {
    package enum Phase: Sendable, Hashable {
        case created
        case running
        case ended
    }

    package var id: String
    package var name: String
    package var attempt: Int
    package var phase: Phase
    package var startedAt: Timestamp?
    package var finishedAt: Timestamp?
    package var exitCode: Int
    /// What the runtime calls the end, like `OOMKilled`; empty when the exit code says it all.
    package var reason: String
    package var message: String

    package init(
        id: String, name: String, attempt: Int, phase: Phase, startedAt: Timestamp? = nil, finishedAt: Timestamp? = nil,
        exitCode: Int = 0, reason: String = "", message: String = ""
    ) {
        self.id = id
        self.name = name
        self.attempt = attempt
        self.phase = phase
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.exitCode = exitCode
        self.reason = reason
        self.message = message
    }

    /// The run that a stored container status tells of; nil when the container had never run.
    package init?(status: JSON) {
        guard let id = status["containerID"]?.string, !id.isEmpty else { return nil }
        let terminated = status["state", "terminated"] ?? status["lastState", "terminated"]
        let isRunning = status["state", "running"] != nil
        self.init(
            id: Self.bare(id), name: status["name"]?.string ?? "", attempt: status["restartCount"]?.integer ?? 0,
            phase: isRunning ? .running : .ended)
        if let running = status["state", "running", "startedAt"]?.string { startedAt = Timestamp(rfc3339: running) }
        if !isRunning, let terminated {
            exitCode = terminated["exitCode"]?.integer ?? 0
            reason = terminated["reason"]?.string ?? ""
            message = terminated["message"]?.string ?? ""
            startedAt = terminated["startedAt"]?.string.flatMap { Timestamp(rfc3339: $0) }
            finishedAt = terminated["finishedAt"]?.string.flatMap { Timestamp(rfc3339: $0) }
        }
    }

    /// This run, when neither the runtime nor anybody else knows any more how it ended.
    package func lost(at now: Timestamp) -> ContainerRecord {
        var record = self
        record.phase = .ended
        record.exitCode = 137
        record.reason = "ContainerStatusUnknown"
        record.message = "The container could not be located when the pod was terminated"
        record.finishedAt = now
        return record
    }

    /// The state `terminated` in a container status.
    package var terminated: JSON {
        var state: JSON = ["exitCode": JSON(exitCode)]
        state["reason"] = .string(reason.isEmpty ? (exitCode == 0 ? "Completed" : "Error") : reason)
        if !message.isEmpty { state["message"] = .string(message) }
        if let startedAt { state["startedAt"] = .string(startedAt.rfc3339) }
        if let finishedAt { state["finishedAt"] = .string(finishedAt.rfc3339) }
        state["containerID"] = .string(identifier)
        return state
    }

    /// The id with the runtime's scheme, as pods show it.
    package var identifier: String { Self.scheme + id }

    static let scheme = "process://"

    static func bare(_ identifier: String) -> String {
        identifier.hasPrefix(scheme) ? String(identifier.dropFirst(scheme.count)) : identifier
    }
}

/// What the runtime has of one pod.
package struct PodObservation: Sendable, Hashable {
    package enum Sandbox: Sendable, Hashable {
        case absent
        case ready
        /// It exists but its holder is gone, so nothing can run in it any more.
        case broken
    }

    package var sandbox: Sandbox
    package var containers: [ContainerRecord]

    package init(sandbox: Sandbox, containers: [ContainerRecord] = []) {
        self.sandbox = sandbox
        self.containers = containers
    }
}
