// How a Deployment moves from old sets to the new one: rolling, recreating, scaling, cleaning up.

import Formats
import Objects

extension DeploymentMachine {
    /// After `rolling.go`: grow the new set as far as the surge allows, else shrink old ones as far as availability
    /// does.
    mutating func roll() {
        ensureNewSet(create: true)
        if let set = newSet {
            let wanted = set.desiredReplicas > replicas ? replicas : newSetReplicas()
            if scale(set, to: wanted) { return }
        }
        if shrinkOldSets() { return }
        if isComplete(currentCounts()) { cleanUp() }
    }

    /// After `recreate.go`: old sets to zero, wait until their pods are gone, then the new set.
    mutating func recreate() {
        ensureNewSet(create: false)
        var isScaled = false
        for set in oldSets where set.desiredReplicas > 0 {
            if scale(set, to: 0) { isScaled = true }
        }
        if isScaled { return }
        if pods.contains(where: { !$0.isPodFinished && isOfOldSet($0) }) { return }
        ensureNewSet(create: true)
        if let set = newSet, scale(set, to: replicas) { return }
        if isComplete(currentCounts()) { cleanUp() }
    }

    private func isOfOldSet(_ pod: Object) -> Bool {
        guard let owner = pod.controllerReference?.uid else { return false }
        return oldSets.contains { $0.uid == owner }
    }

    /// Takes pods from old sets: unhealthy ones first, then as many as may be missing. Answers whether any was taken.
    private mutating func shrinkOldSets() -> Bool {
        if oldSets.allSatisfy({ $0.desiredReplicas == 0 }) { return false }
        let all = allSets.map(\.desiredReplicas).reduce(0, +)
        let minAvailable = replicas - strategy.maxUnavailable
        let newUnavailable = (newSet?.desiredReplicas ?? 0) - (newSet?.statusCount("availableReplicas") ?? 0)
        let mostTaken = all - minAvailable - newUnavailable
        if mostTaken <= 0 { return false }

        var taken = 0
        var targets = oldSets.map(\.desiredReplicas)
        for (index, set) in oldSets.enumerated() where taken < mostTaken {
            let unhealthy = max(0, targets[index] - set.statusCount("availableReplicas"))
            let count = min(mostTaken - taken, unhealthy)
            targets[index] -= count
            taken += count
        }
        let available = allSets.map { $0.statusCount("availableReplicas") }.reduce(0, +)
        var spare = max(0, available - minAvailable)
        for index in targets.indices where spare > 0 {
            let count = min(targets[index], spare)
            targets[index] -= count
            spare -= count
        }
        var isScaled = false
        for (set, target) in zip(oldSets, targets) where set.desiredReplicas != target {
            if scale(set, to: target) { isScaled = true }
        }
        return isScaled
    }

    /// After `sync.go`: spreads a changed number of replicas over the sets there are, in proportion to their sizes.
    mutating func scaleProportionally() {
        let active = allSets.filter { $0.desiredReplicas > 0 }
        if active.count <= 1 {
            if let only = active.first ?? newSet ?? oldSets.last { scale(only, to: replicas) }
            return
        }
        // Recreate never keeps two sets alive; it got here by a change of strategy in the middle of a rollout.
        if strategy.isRecreate || newSet.map(isSaturated) == true {
            for old in oldSets where old.desiredReplicas > 0 { scale(old, to: 0) }
            return
        }
        let allowed = replicas > 0 ? replicas + strategy.maxSurge : 0
        let total = active.map(\.desiredReplicas).reduce(0, +)
        let toAdd = allowed - total
        // Growing starts with the newest of equal sets, shrinking with the oldest.
        let order = active.indices.sorted { left, right in
            let (a, b) = (active[left], active[right])
            if a.desiredReplicas != b.desiredReplicas { return a.desiredReplicas > b.desiredReplicas }
            return toAdd > 0 ? a.created > b.created : a.created < b.created
        }
        var added = 0
        var targets = active.map(\.desiredReplicas)
        for index in order where toAdd != 0 {
            let share = proportion(of: active[index], allowed: allowed, toAdd: toAdd, added: added)
            targets[index] += share
            added += share
        }
        if let largest = order.first, toAdd != 0 { targets[largest] = max(0, targets[largest] + toAdd - added) }
        for index in order { scale(active[index], to: targets[index]) }
    }

    private func isSaturated(_ set: Object) -> Bool {
        set.desiredReplicas == replicas && set.statusCount("availableReplicas") == replicas
            && set.annotations[DeploymentAnnotation.desiredReplicas].flatMap { Int($0) } == replicas
    }

    /// `GetProportion` of `deployment_util.go`: the part of `toAdd` that falls to a set.
    private func proportion(of set: Object, allowed: Int, toAdd: Int, added: Int) -> Int {
        let size = set.desiredReplicas
        if size == 0 || toAdd == added { return 0 }
        let share: Int
        if allowed == 0 {
            share = -size
        } else {
            let before = set.annotations[DeploymentAnnotation.maxReplicas].flatMap { Int($0) } ?? 0
            let whole = before > 0 ? before : max(1, deployment.statusCount("replicas"))
            let wanted = Double(size * allowed) / Double(whole)
            share = Int(wanted.rounded()) - size
        }
        let left = toAdd - added
        return toAdd > 0 ? min(share, left) : max(share, left)
    }

    /// Deletes the oldest empty sets beyond `revisionHistoryLimit`.
    mutating func cleanUp() {
        let limit = deployment.spec["revisionHistoryLimit"]?.integer ?? 10
        if limit == Int(Int32.max) { return }
        let alive = oldSets.indices.filter { !oldSets[$0].isTerminating }
        let surplus = alive.count - limit
        if surplus <= 0 { return }
        let byRevision = alive.sorted { oldSets[$0].revision < oldSets[$1].revision }
        for index in byRevision.prefix(surplus) {
            let set = oldSets[index]
            // One that still has pods, or whose last change its controller has not seen, is kept.
            if set.statusCount("replicas") != 0 || set.desiredReplicas != 0 { continue }
            if set.generation > set.statusCount("observedGeneration") { continue }
            actions.append(.deleteSet(set))
        }
    }
}
