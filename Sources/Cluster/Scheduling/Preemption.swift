// Which pods of lower priority must leave so that a more important one has room.

import Formats
import Objects

/// After the plugin `defaultpreemption` of `kubernetes/pkg/scheduler`: on each node as few and as unimportant pods as
/// possible, then the node where that hurts least. Where there is a choice, pods go whose budgets (PodDisruptionBudget)
/// allow it; where there is none, the more important pod comes first.
struct Preemption: Sendable {
    struct Plan: Sendable, Equatable {
        var node: String
        var victims: [Object]
    }

    private let nodes: [Object]
    private let bound: [SchedulerMachine.Bound]
    private let volumes: VolumeView
    private let budgets: [Object]

    init(nodes: [Object], bound: [SchedulerMachine.Bound], volumes: VolumeView, budgets: [Object] = []) {
        self.nodes = nodes
        self.bound = bound
        self.volumes = volumes
        self.budgets = budgets
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
        let plans = nodes.compactMap { node -> (plan: Plan, broken: Int)? in
            let weaker = bound.filter { $0.node == node.name && Self.priority($0.pod) < own }
            guard !weaker.isEmpty, fits(pod, on: node, without: Set(weaker.map(\.pod.uid))) else { return nil }
            var victims = Set(weaker.map(\.pod.uid))
            let candidates = weaker.map(\.pod).sorted(by: Self.isMoreImportant)
            let guarded = guarded(candidates)
            // Those that a budget guards are let off first, then the most important ones, of equals the oldest.
            for candidate in candidates.filter({ guarded.contains($0.uid) })
                + candidates.filter({ !guarded.contains($0.uid) })
            {
                victims.remove(candidate.uid)
                if !fits(pod, on: node, without: victims) { victims.insert(candidate.uid) }
            }
            let plan = Plan(node: node.name, victims: weaker.map(\.pod).filter { victims.contains($0.uid) })
            return (plan, victims.intersection(guarded).count)
        }
        return plans.min { Self.cost($0.plan, $0.broken) < Self.cost($1.plan, $1.broken) }?.plan
    }

    /// Those of the pods, asked in this order, whose leaving a budget does not allow.
    private func guarded(_ pods: [Object]) -> Set<String> {
        var left = budgets.map { $0.status["disruptionsAllowed"]?.integer ?? 0 }
        var found: Set<String> = []
        for pod in pods {
            for (index, budget) in budgets.enumerated() where Self.guards(budget, pod) {
                left[index] -= 1
                if left[index] < 0 { found.insert(pod.uid) }
            }
        }
        return found
    }

    /// A pod that is counted as disturbed already is not guarded any more.
    private static func guards(_ budget: Object, _ pod: Object) -> Bool {
        guard budget.namespace == pod.namespace, budget.status["disruptedPods", pod.name] == nil,
            let tree = budget.spec["selector"], !tree.isNull, let selector = try? LabelSelector(tree)
        else { return false }
        return selector.matches(pod.labels)
    }

    private func fits(_ pod: Object, on node: Object, without victims: Set<String>) -> Bool {
        let rest = bound.filter { !victims.contains($0.pod.uid) }
        switch SchedulerMachine(nodes: nodes, bound: rest, volumes: volumes).place(pod, onlyOn: node.name) {
        case .bind, .prepare: return true
        case .unschedulable: return false
        }
    }

    private static func isMoreImportant(_ left: Object, _ right: Object) -> Bool {
        let (leftStart, rightStart) = (
            left.status["startTime"]?.string ?? "~", right.status["startTime"]?.string ?? "~"
        )
        return (-priority(left), leftStart, left.name) < (-priority(right), rightStart, right.name)
    }

    /// The budgets that would be broken, the highest priority that would leave, then the sum, then the number, then the
    /// name.
    private static func cost(_ plan: Plan, _ broken: Int) -> (Int, Int, Int, Int, String) {
        let priorities = plan.victims.map(priority)
        return (broken, priorities.max() ?? Int.min, priorities.reduce(0, +), priorities.count, plan.node)
    }
}
