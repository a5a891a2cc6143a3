// What the node and its containers use, for whoever serves metrics.k8s.io from it.

import ContainerRuntimes
import Formats
import Glibc
import Objects

/// One look at the node; processor times only grow, so rates come from two looks.
package struct NodeUse: Sendable {
    package struct Container: Sendable, Hashable {
        package var namespace: String
        package var pod: String
        package var name: String
        package var cpuNanoseconds: UInt64
        package var workingSetBytes: UInt64
    }

    package var at: Timestamp
    package var cpuNanoseconds: UInt64
    package var workingSetBytes: UInt64
    package var containers: [Container]
}

extension Kubelet {
    /// What the node and every running container use now.
    package func use() async -> NodeUse {
        let pods = Dictionary(pods().map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
        let containers = await runtimeUse().compactMap { use -> NodeUse.Container? in
            guard let pod = pods[use.sandboxID] else { return nil }
            return NodeUse.Container(
                namespace: pod.namespace, pod: pod.name, name: use.name, cpuNanoseconds: use.cpuNanoseconds,
                workingSetBytes: use.workingSetBytes)
        }
        let memory = NodeDescription.fields(of: Files.text("/proc/meminfo") ?? "", separator: ":")
        let total = NodeDescription.bytes(memory["MemTotal"]) ?? 0
        let available = NodeDescription.bytes(memory["MemAvailable"]) ?? total
        return NodeUse(
            at: now(), cpuNanoseconds: Self.processorTime(Files.text("/proc/stat") ?? ""),
            workingSetBytes: UInt64(max(0, total - available)), containers: containers)
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal in ticks; all but the idle ones.
    static func processorTime(_ text: String) -> UInt64 {
        let fields = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) ?? 0 }
        let busy = fields.enumerated().filter { $0.offset != 3 && $0.offset != 4 }.reduce(0) { $0 + $1.element }
        return busy * 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
}
