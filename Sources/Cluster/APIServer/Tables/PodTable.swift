// The row of a pod (upstream: printPod in pkg/printers/internalversion/printers.go).

import Formats
import Objects

extension TablePrinter {
    static let pods = TablePrinter(
        "Name", "Ready", "Status", "Restarts", "Age", "IP+", "Node+", "Nominated Node+", "Readiness Gates+"
    ) { pod, now in
        let row = PodRow(pod)
        var restarts = String(row.restarts)
        if row.restarts > 0, let last = row.lastRestart, case .string(let age) = Cell.since(last, now) {
            restarts += " (\(age) ago)"
        }
        return [
            .string(pod.name), .string("\(row.readyCount)/\(row.totalCount)"), .string(row.reason), .string(restarts),
            Cell.age(pod, now),
            Cell.text(pod["status", "podIPs"]?.array?.first?["ip"] ?? pod["status", "podIP"], orElse: Cell.none),
            Cell.text(pod["spec", "nodeName"], orElse: Cell.none),
            Cell.text(pod["status", "nominatedNodeName"], orElse: Cell.none), .string(gates(pod)),
        ]
    }

    private static func gates(_ pod: Object) -> String {
        let gates = (pod["spec", "readinessGates"]?.array ?? []).compactMap { $0["conditionType"]?.string }
        if gates.isEmpty { return Cell.none }
        return "\(gates.filter(pod.isTrue).count)/\(gates.count)"
    }
}

/// What the Ready, Status and Restarts cells of a pod say.
struct PodRow {
    var reason: String
    var readyCount = 0
    var totalCount: Int
    var restarts = 0
    var lastRestart: String?

    init(_ pod: Object) {
        let spec = pod.spec
        let status = pod.status
        totalCount = spec["containers"]?.array?.count ?? 0
        reason = status["reason"]?.string ?? status["phase"]?.string ?? ""
        if let gated = pod.condition("PodScheduled"), gated["reason"]?.string == "SchedulingGated" {
            reason = "SchedulingGated"
        }
        let isInitializing = readInitContainers(spec: spec, status: status)
        if !isInitializing || pod.isTrue("Initialized") { readContainers(pod) }
        guard pod.isTerminating else { return }
        let phase = status["phase"]?.string
        if status["reason"]?.string == "NodeLost" {
            reason = "Unknown"
        } else if phase != "Succeeded", phase != "Failed" {
            reason = "Terminating"
        }
    }

    /// Whether init containers still hold the pod back; says which in `reason`.
    private mutating func readInitContainers(spec: JSON, status: JSON) -> Bool {
        let specs = spec["initContainers"]?.array ?? []
        let sidecars = Set(specs.filter { $0["restartPolicy"] == "Always" }.compactMap { $0["name"]?.string })
        totalCount += sidecars.count
        for (position, container) in (status["initContainerStatuses"]?.array ?? []).enumerated() {
            note(container)
            let isSidecar = sidecars.contains(container["name"]?.string ?? "")
            if isSidecar, container["started"]?.bool == true {
                if container["ready"]?.bool == true { readyCount += 1 }
                continue
            }
            let state = container["state"]
            if let ended = state?["terminated"] {
                if ended["exitCode"]?.integer == 0 { continue }
                reason = "Init:" + PodRow.endReason(ended)
            } else if let why = state?["waiting"]?["reason"]?.string, !why.isEmpty, why != "PodInitializing" {
                reason = "Init:" + why
            } else {
                reason = "Init:\(position)/\(specs.count)"
            }
            return true
        }
        return false
    }

    private mutating func readContainers(_ pod: Object) {
        var hasRunning = false
        for container in (pod.status["containerStatuses"]?.array ?? []).reversed() {
            note(container)
            let state = container["state"]
            if let why = state?["waiting"]?["reason"]?.string, !why.isEmpty {
                reason = why
            } else if let ended = state?["terminated"] {
                reason = PodRow.endReason(ended)
            } else if container["ready"]?.bool == true, state?["running"] != nil {
                hasRunning = true
                readyCount += 1
            }
        }
        if reason == "Completed", hasRunning { reason = pod.isTrue("Ready") ? "Running" : "NotReady" }
    }

    private mutating func note(_ container: JSON) {
        restarts += container["restartCount"]?.integer ?? 0
        if let ended = container["lastState"]?["terminated"]?["finishedAt"]?.string {
            lastRestart = max(lastRestart ?? "", ended)
        }
    }

    private static func endReason(_ ended: JSON) -> String {
        if let reason = ended["reason"]?.string, !reason.isEmpty { return reason }
        if let signal = ended["signal"]?.integer, signal != 0 { return "Signal:\(signal)" }
        return "ExitCode:\(ended["exitCode"]?.integer ?? 0)"
    }
}
