// `mangrove status`: what runs on a state directory, and how it is.

import ArgumentParser
import Client
import Formats
import Glibc
import Objects
import Platform

/// Exit code 0 when the platform is ready, 1 when it runs and is not ready, 3 when nothing runs.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what runs on a state directory, where it listens and what it holds.")

    @OptionGroup var state: StateOptions

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output: OutputFormat = .table

    func run() async throws {
        try await reportingProblems {
            guard let holder = StateLock.holder(of: state.directory) else {
                output.show(["state": .string(state.directory), "running": false]) {
                    "nothing runs on \(state.directory)"
                }
                throw ExitCode(ExitCodes.notRunning)
            }
            var report = holder.note
            report["state"] = .string(state.directory)
            report["running"] = true
            // A replica of `mangrove connect` says itself how it is; a platform is asked through its API.
            if report["replica"] == nil {
                let counts = try? await counts()
                report["ready"] = .bool(counts != nil)
                report["objects"] = counts
            }
            output.show(report) { Self.table(report) }
            if report["ready"]?.bool != true { throw ExitCode(ExitCodes.failure) }
        }
    }

    /// Pods by phase, and the number of services and nodes, asked of the API like any client would.
    private func counts() async throws -> JSON {
        guard let text = TextFile.read(state.directory + "/kubeconfig") else {
            throw Problem(.unknown, "no kubeconfig in \(state.directory)")
        }
        let kubeconfig = try Kubeconfig(parsing: text) { file in
            throw Problem(.invalid, "the kubeconfig that mangrove writes names no files, and this one names \(file)")
        }
        let transport = try HTTPSTransport(kubeconfig)
        let client = KubernetesClient(transport: transport, name: "mangrove-status")
        do {
            var phases: [String: Int] = [:]
            for pod in try await client.list(.pods).objects {
                phases[pod.status["phase"]?.string ?? "Unknown", default: 0] += 1
            }
            let services = try await client.list(.services).objects.count
            let nodes = try await client.list(.nodes).objects.count
            try await transport.shutdown()
            return [
                "pods": .object(JSONObject(phases.keys.sorted().map { ($0, JSON(phases[$0] ?? 0)) })),
                "services": JSON(services), "nodes": JSON(nodes),
            ]
        } catch {
            try? await transport.shutdown()
            throw error
        }
    }

    private static func table(_ report: JSON) -> String {
        let ready = report["ready"]?.bool == true
        var rows = [["state", report["state"]?.string ?? ""], ["process", String(report["pid"]?.integer ?? 0)]]
        rows.append(["ready", ready ? Terminal.green("yes") : "no"])
        for place in report["places"]?.object ?? JSONObject() { rows.append([place.key, place.value.string ?? ""]) }
        if let replica = report["replica"]?.string {
            let others = (report["replicas"]?.strings ?? []).filter { $0 != replica }
            rows.append(["replica", replica + (report["leading"]?.bool == true ? " (leads)" : "")])
            rows.append(["others", others.isEmpty ? "none" : others.joined(separator: " ")])
        }
        for phase in report["objects", "pods"]?.object ?? JSONObject() {
            rows.append(["pods \(phase.key.lowercased())", String(phase.value.integer ?? 0)])
        }
        for name in ["services", "nodes"] {
            if let count = report["objects", name]?.integer { rows.append([name, String(count)]) }
        }
        return Terminal.table(rows)
    }
}
