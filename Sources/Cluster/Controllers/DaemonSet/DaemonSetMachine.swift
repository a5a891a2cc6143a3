// Decides on which nodes a DaemonSet's pods come and go, and what its status says.

import Formats
import Objects

/// One look at a DaemonSet, its pods and the nodes, after `kubernetes/pkg/controller/daemon`.
struct DaemonSetMachine: Sendable {
    struct Decision: Sendable, Equatable {
        /// Names of nodes that get a pod.
        var create: [String] = []
        var delete: [Object] = []
        /// Pods among `delete` that ended by themselves.
        var ended: [Object] = []
    }

    /// A daemon that ended by itself makes room only at this age, so that one that fails at once does not spin.
    static let endedAge = Duration.seconds(5)

    let wishes: DaemonSetWishes
    let hash: String
    let now: Timestamp
    private let nodes: [Object]
    /// The daemons of each node, the oldest first. Ended ones are among them.
    private let pods: [String: [Object]]

    /// `hash` names the current template; `pods` are all that belong to the set.
    init(set: Object, nodes: [Object], pods: [Object], hash: String, now: Timestamp) {
        wishes = DaemonSetWishes(set: set)
        self.nodes = nodes
        self.hash = hash
        self.now = now
        let oldestFirst = pods.indices.sorted {
            (pods[$0].created, pods[$0].name) < (pods[$1].created, pods[$1].name)
        }.map { pods[$0] }
        self.pods = Dictionary(grouping: oldestFirst) { DaemonSetWishes.node(of: $0) ?? "" }
    }

    private var set: Object { wishes.set }

    private func isAvailable(_ pod: Object) -> Bool {
        pod.isPodAvailable(minReadySeconds: wishes.minReadySeconds, now: now)
    }

    private func isCurrent(_ pod: Object) -> Bool { pod.labels[DaemonSetLabel.hash] == hash }

    private var desired: Int { nodes.filter { wishes.placement(on: $0).shouldRun }.count }

    /// What to do now: first every node gets its daemon, then old daemons are replaced.
    func decide() -> Decision {
        if set.isTerminating { return Decision() }
        var decision = Decision()
        for node in nodes { place(on: node, &decision) }
        let known = Set(nodes.map(\.name))
        // A node that is gone takes its daemons with it.
        for (node, pods) in pods where !known.contains(node) {
            decision.delete += pods.filter { !$0.isTerminating }
        }
        if decision == Decision(), !wishes.isOnDelete { roll(&decision) }
        return decision
    }

    private func place(on node: Object, _ decision: inout Decision) {
        let placement = wishes.placement(on: node)
        let pods = pods[node.name] ?? []
        if !placement.mayStay {
            decision.delete += pods.filter { !$0.isTerminating }
            return
        }
        if pods.isEmpty {
            if placement.shouldRun { decision.create.append(node.name) }
            return
        }
        let ended = pods.filter { !$0.isTerminating && $0.isPodFinished && now - $0.created >= Self.endedAge }
        decision.ended += ended
        decision.delete += ended
        let running = pods.filter(\.isPodActive)
        if running.count <= 1 {
            // With surge the successor comes while the old one is still stopping.
            let isOnlyStopping = running.isEmpty && ended.isEmpty && pods.allSatisfy(\.isTerminating)
            if isOnlyStopping, placement.shouldRun, wishes.maxSurge(of: desired) > 0 {
                decision.create.append(node.name)
            }
            return
        }
        decision.delete += surplus(of: running)
    }

    /// Which of several daemons of a node go: all but the oldest; with surge an available old one may stay beside a new
    /// one that is not available yet.
    private func surplus(of running: [Object]) -> [Object] {
        guard wishes.maxSurge(of: desired) > 0 else { return Array(running.dropFirst()) }
        let current = running.first(where: isCurrent)
        let old = running.first { !isCurrent($0) }
        var kept: Set<String> = []
        if let current {
            kept.insert(current.uid)
            if let old, !isAvailable(current), isAvailable(old) { kept.insert(old.uid) }
        } else if let old {
            kept.insert(old.uid)
        }
        return running.filter { !kept.contains($0.uid) }
    }

    // MARK: Rolling update

    private func roll(_ decision: inout Decision) {
        let desired = desired
        let surge = wishes.maxSurge(of: desired)
        let wanted = nodes.filter { wishes.placement(on: $0).shouldRun }.map(\.name)
        if surge > 0 {
            rollWithSurge(surge, wanted, &decision)
        } else {
            rollInPlace(wishes.maxUnavailable(of: desired), wanted, &decision)
        }
    }

    private func split(_ node: String) -> (new: Object?, old: Object?, isStopping: Bool) {
        let all = pods[node] ?? []
        let running = all.filter(\.isPodActive)
        return (
            running.first(where: isCurrent), running.first { !isCurrent($0) }, running.isEmpty && !all.isEmpty
        )
    }

    private func rollInPlace(_ maxUnavailable: Int, _ wanted: [String], _ decision: inout Decision) {
        var unavailable = 0
        var broken: [Object] = []
        var candidates: [Object] = []
        for node in wanted {
            let (new, old, _) = split(node)
            switch (new, old) {
            case (nil, nil), (.some, .some): unavailable += 1
            case (let new?, nil): if !isAvailable(new) { unavailable += 1 }
            case (nil, let old?):
                // One that is not available costs nothing to replace.
                if isAvailable(old) { candidates.append(old) } else { broken.append(old) }
            }
        }
        decision.delete += broken + candidates.prefix(max(0, maxUnavailable - unavailable))
    }

    private func rollWithSurge(_ maxSurge: Int, _ wanted: [String], _ decision: inout Decision) {
        var surging = 0
        var allowed: [String] = []
        var candidates: [String] = []
        for node in wanted {
            let (new, old, _) = split(node)
            switch (new, old) {
            case (nil, nil), (.some, nil): continue
            case (nil, let old?):
                if isAvailable(old) { candidates.append(node) } else { allowed.append(node) }
            case (let new?, let old?):
                if isAvailable(new) { decision.delete.append(old) } else { surging += 1 }
            }
        }
        decision.create += allowed + candidates.prefix(max(0, maxSurge - surging))
    }

    // MARK: Status

    func status() -> JSON {
        var counts = (desired: 0, current: 0, misscheduled: 0, ready: 0, available: 0, updated: 0)
        for node in nodes {
            let pods = pods[node.name] ?? []
            guard wishes.placement(on: node).shouldRun else {
                if !pods.isEmpty { counts.misscheduled += 1 }
                continue
            }
            counts.desired += 1
            guard !pods.isEmpty else { continue }
            counts.current += 1
            // During a surge the old daemon still counts for the node.
            if pods.contains(where: \.isPodReady) { counts.ready += 1 }
            if pods.contains(where: { isAvailable($0) && !$0.isTerminating }) { counts.available += 1 }
            if pods.contains(where: { isCurrent($0) && !$0.isTerminating }) { counts.updated += 1 }
        }
        var status = set.status
        status["currentNumberScheduled"] = JSON(counts.current)
        status["numberMisscheduled"] = JSON(counts.misscheduled)
        status["desiredNumberScheduled"] = JSON(counts.desired)
        status["numberReady"] = JSON(counts.ready)
        status["observedGeneration"] = JSON(set.generation)
        func put(_ field: String, _ value: Int) { status[field] = .count(value) }
        put("updatedNumberScheduled", counts.updated)
        put("numberAvailable", counts.available)
        put("numberUnavailable", counts.desired - counts.available)
        return status
    }

    /// When a daemon that is ready becomes available, or one that ended makes room, if that is still to come.
    func nextLook() -> Duration? {
        pods.values.joined().compactMap { pod -> Duration? in
            if pod.isPodFinished { return pod.isTerminating ? nil : pod.created + Self.endedAge - now }
            return pod.podAvailable(minReadySeconds: wishes.minReadySeconds, now: now)
        }.filter { $0 > .zero }.min()
    }

    /// The revisions whose hash pods carry.
    func liveRevisions(among revisions: [Object]) -> Set<String> {
        let hashes = Set(pods.values.joined().compactMap { $0.labels[DaemonSetLabel.hash] } + [hash])
        return Set(revisions.filter { hashes.contains($0.labels[DaemonSetLabel.hash] ?? "") }.map(\.name))
    }
}
