// Hands what the node measures to the API server's `metrics.k8s.io`.

import APIServer
import NodeAgent
import Objects
import Synchronization

/// The API server's way to the meter. Before a node is connected, and where there is none, there is no report.
final class UsageRelay: UsageSource {
    private struct Node: Sendable {
        let meter: UsageMeter
        let name: String
    }

    private let node = Mutex<Node?>(nil)

    func connect(_ meter: UsageMeter, nodeName: String) { node.withLock { $0 = Node(meter: meter, name: nodeName) } }

    func usage() -> UsageReport? {
        guard let node = node.withLock({ $0 }), let report = node.meter.report else { return nil }
        var pods: [ObjectKey: [String: Usage]] = [:]
        for entry in report.entries {
            pods[entry.pod, default: [:]][entry.container] = Usage(
                cpuNanocores: entry.cpuNanocores, memoryBytes: entry.memoryBytes)
        }
        return UsageReport(
            node: node.name, total: Usage(cpuNanocores: report.cpuNanocores, memoryBytes: report.memoryBytes),
            pods: pods.map { .init(key: $0.key, containers: $0.value) }, time: report.time,
            windowSeconds: report.windowSeconds)
    }
}
