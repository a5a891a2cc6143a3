// Which pods of lower priority must leave so that a more important one has room.

import Formats
import Objects

/// After the plugin `defaultpreemption` of `kubernetes/pkg/scheduler`: on each node as few and as unimportant pods as
/// possible, then the node where that hurts least. Budgets (PodDisruptionBudget) are not looked at, which upstream does
/// only where it has a choice.
struct Preemption: Sendable {
    struct Plan: Sendable, Equatable {
        var node: String
        var victims: [Object]
    }

    private let nodes: [Object]
    private let bound: [SchedulerMachine.Bound]
    private let volumes: VolumeView

    init(nodes: [Object], bound: [SchedulerMachine.Bound], volumes: VolumeView) {
        self.nodes = nodes
        self.bound = bound
        self.volumes = volumes
    }

    static func priority(_ pod: Object) -> Int { pod.spec["priority"]?.integer ?? 0 }

    /// Nil where no pod may or need leave, or none that left would help, and while those that were told to leave are on
    /// their way.
    func plan(for pod: Object) -> Plan? {
        guard pod.spec["preemptionPolicy"]?.string != "Never" else { return nil }
        let own = Self.priority(pod)
        if let nominated = pod.status["nominatedNodeName"]?.string,
            bound.contains(where: { $0.node == nominated && $0.pod.isTerminating && Self.priority($0.pod) < own })
        {
            return nil
        }
        let plans = nodes.compactMap { node -> Plan? in
            let weaker = bound.filter { $0.node == node.name && Self.priority($0.pod) < own }
            guard !weaker.isEmpty, fits(pod, on: node, without: Set(weaker.map(\.pod.uid))) else { return nil }
            var victims = Set(weaker.map(\.pod.uid))
            // The most important ones are let off first, of equals the oldest.
            for candidate in weaker.sorted(by: Self.isMoreImportant) {
                victims.remove(candidate.pod.uid)
                if !fits(pod, on: node, without: victims) { victims.insert(candidate.pod.uid) }
            }
            return Plan(node: node.name, victims: weaker.map(\.pod).filter { victims.contains($0.uid) })
        }
        return plans.min { Self.cost($0) < Self.cost($1) }
    }

    private func fits(_ pod: Object, on node: Object, without victims: Set<String>) -> Bool {
        let rest = bound.filter { !victims.contains($0.pod.uid) }
        switch SchedulerMachine(nodes: nodes, bound: rest, volumes: volumes).place(pod, onlyOn: node.name) {
        case .bind, .prepare: return true
        case .unschedulable: return false
        }
    }

    private static func isMoreImportant(_ left: SchedulerMachine.Bound, _ right: SchedulerMachine.Bound) -> Bool {
        let (leftStart, rightStart) = (left.pod.status["startTime"]?.string ?? "~", right.pod.status["startTime"]?.string ?? "~")
        return (-priority(left.pod), leftStart, left.pod.name) < (-priority(right.pod), rightStart, right.pod.name)
    }

    /// The highest priority that would leave, then the sum, then the number, then the name.
    private static func cost(_ plan: Plan) -> (Int, Int, Int, String) {
        let priorities = plan.victims.map(priority)
        return (priorities.max() ?? Int.min, priorities.reduce(0, +), priorities.count, plan.node)
    }
}
