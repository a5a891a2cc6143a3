// Which pods a running Job creates and which it takes away.

import Formats
import Objects

extension JobMachine {
    /// Brings the number of active pods to the wanted one, after `manageJob`.
    mutating func manage() {
        if wishes.isSuspended {
            decision.discard = counts.active
            return
        }
        let wanted = wantedPods()
        let surplus = surplus(beyond: wanted)
        if !surplus.isEmpty {
            decision.discard = Array(surplus.prefix(PodControl.burstLimit))
            return
        }
        let stopping = wishes.replacesOnlyFailed ? counts.terminating.count : 0
        let missing = wanted - counts.active.count - stopping
        if missing <= 0 { return }
        if wishes.isIndexed {
            createIndexed(missing)
            return
        }
        if let left = backoffLeft(after: pods), left > .zero {
            decision.nextLook = left
            return
        }
        decision.create = Array(repeating: wishes.pod(), count: min(missing, PodControl.burstLimit))
    }

    private func wantedPods() -> Int {
        guard let completions = wishes.completions else {
            // A work queue: after the first success no new pod comes.
            return counts.succeeded > 0 ? counts.active.count : wishes.parallelism
        }
        var wanted = completions - counts.succeeded
        if wishes.isIndexed { wanted -= counts.failedIndexes.count }
        return max(0, min(wanted, wishes.parallelism))
    }

    /// Active pods that are too many: first those of wrong, done or doubled indexes, then the least missed.
    private func surplus(beyond wanted: Int) -> [Object] {
        let ranked = ReplicaSetMachine.inOrderOfDeletion(counts.active)
        var surplus: [Object] = []
        if wishes.isIndexed {
            var seen: Set<Int> = []
            // From the most missed on, so that of two pods of an index the better one stays.
            for pod in ranked.reversed() {
                guard let index = pod.completionIndex, isOpen(index), seen.insert(index).inserted else {
                    surplus.append(pod)
                    continue
                }
            }
        }
        let doomed = Set(surplus.map(\.uid))
        let left = ranked.filter { !doomed.contains($0.uid) }
        return surplus + left.prefix(max(0, left.count - wanted))
    }

    private func isOpen(_ index: Int) -> Bool {
        index >= 0 && index < wishes.completions ?? 0 && !counts.succeededIndexes.contains(index)
            && !counts.failedIndexes.contains(index)
    }

    /// The lowest indexes that have no pod, each after its own back-off where failures are counted by index.
    private mutating func createIndexed(_ missing: Int) {
        var taken = Set(counts.active.compactMap(\.completionIndex))
        if wishes.replacesOnlyFailed { taken.formUnion(counts.terminating.compactMap(\.completionIndex)) }
        let ended = Dictionary(grouping: pods.filter { $0.isPodFinished }) { $0.completionIndex ?? -1 }
        let isPerIndex = wishes.backoffLimitPerIndex != nil
        if !isPerIndex, let left = backoffLeft(after: pods), left > .zero {
            decision.nextLook = left
            return
        }
        var index = 0
        let limit = min(missing, PodControl.burstLimit)
        while index < wishes.completions ?? 0, decision.create.count < limit {
            defer { index += 1 }
            guard isOpen(index), !taken.contains(index) else { continue }
            let before = ended[index] ?? []
            if isPerIndex, let left = backoffLeft(after: before), left > .zero {
                decision.nextLook = min(decision.nextLook ?? left, left)
                continue
            }
            decision.create.append(wishes.pod(index: index, failures: failures(of: before)))
        }
    }

    /// How often an index failed: one more than its last pod knew of.
    private func failures(of pods: [Object]) -> Int {
        pods.filter { $0.podPhase == "Failed" }.map { pod in
            let before = pod.annotations[JobLabel.failureCount].flatMap { Int($0) } ?? 0
            return wishes.verdict(on: pod)?.action == "Ignore" ? before : before + 1
        }.max() ?? 0
    }

    /// How long until a failed pod may be replaced: 10 s, doubling with each failure since the last success.
    private func backoffLeft(after pods: [Object]) -> Duration? {
        let lastSuccess = pods.filter { $0.podPhase == "Succeeded" }.map(\.podFinishedAt).max()
        let failures = pods.filter { $0.podPhase == "Failed" }.map(\.podFinishedAt)
            .filter { failure in lastSuccess.map { failure > $0 } ?? true }
        guard let last = failures.max() else { return nil }
        var delay = Self.firstBackoff
        for _ in 1..<max(2, min(failures.count, 8)) where failures.count > 1 { delay = delay * 2 }
        return last + min(delay, Self.longestBackoff) - now
    }
}
