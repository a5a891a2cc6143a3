// Decides which pods and claims of a StatefulSet change next, and what its status says.

import Formats
import Objects

/// One look at a StatefulSet and its pods, after `kubernetes/pkg/controller/statefulset/stateful_set_control.go`.
///
/// An ordered set does one thing and waits for its outcome; a parallel one does everything at once, except updating:
/// that goes from the highest ordinal down to the partition, one pod (or `maxUnavailable`) at a time, in both.
struct StatefulSetMachine: Sendable {
    enum Action: Sendable, Equatable {
        /// Makes what is missing of the claims of an ordinal.
        case ensureClaims([Object])
        case createPod(Object)
        /// Deletes a pod; an ended one is told apart, because it makes room for its successor.
        case deletePod(Object, ended: Bool)
        case setClaimOwners(claim: String, [OwnerReference])
        /// Gives a pod the labels that its ordinal asks for.
        case label(Object)
    }

    let wishes: StatefulSetWishes
    let currentRevision: Object
    let updateRevision: Object
    let now: Timestamp
    /// By place: the pod of `firstOrdinal + index`, nil where it is missing.
    private let replicas: [Object?]
    /// Pods beyond the wanted ordinals, the highest first.
    private let condemned: [Object]
    private let pods: [Object]
    /// The claims there are, by name.
    private let claims: [String: Object]

    init(
        set: Object, pods: [Object], claims: [Object], currentRevision: Object, updateRevision: Object, now: Timestamp
    ) {
        let wishes = StatefulSetWishes(set: set)
        self.wishes = wishes
        self.currentRevision = currentRevision
        self.updateRevision = updateRevision
        self.now = now
        self.pods = pods
        self.claims = Dictionary(claims.map { ($0.name, $0) }) { first, _ in first }
        var replicas = [Object?](repeating: nil, count: wishes.replicas)
        var condemned: [(ordinal: Int, pod: Object)] = []
        for pod in pods {
            guard let ordinal = wishes.ordinal(of: pod) else { continue }
            if wishes.ordinals.contains(ordinal) {
                replicas[ordinal - wishes.firstOrdinal] = pod
            } else {
                condemned.append((ordinal, pod))
            }
        }
        self.replicas = replicas
        self.condemned = condemned.sorted { $0.ordinal > $1.ordinal }.map(\.pod)
    }

    private var set: Object { wishes.set }
    private var isOrdered: Bool { !wishes.isParallel }

    // MARK: Pods

    /// What to do now, in order.
    func actions() -> [Action] {
        if set.isTerminating { return [] }
        var actions: [Action] = []
        for index in replicas.indices {
            let step = keep(index)
            actions += step.actions
            if step.mustWait { return actions }
        }
        for pod in condemned {
            let step = condemn(pod)
            actions += step.actions
            if step.mustWait { return actions }
        }
        return actions + update()
    }

    /// One wanted ordinal: makes its pod, or says whether it must be waited for.
    private func keep(_ index: Int) -> (actions: [Action], mustWait: Bool) {
        let ordinal = wishes.firstOrdinal + index
        guard let pod = replicas[index] else {
            let claims = missingClaims(ordinal)
            // A claim that is being deleted would take the new pod's data with it.
            if claims.isStale { return ([], isOrdered) }
            return (ensuring(claims.missing) + [.createPod(newPod(ordinal))], isOrdered)
        }
        if pod.isPodFinished {
            // Its successor is made when it is gone.
            return (pod.isTerminating ? [] : [.deletePod(pod, ended: true)], isOrdered)
        }
        var actions: [Action] = []
        if pod.podPhase == "Pending" || pod.podPhase.isEmpty { actions += ensuring(missingClaims(ordinal).missing) }
        if isOrdered {
            if pod.isTerminating || !pod.isPodRunningAndReady { return (actions, true) }
            if !pod.isPodAvailable(minReadySeconds: wishes.minReadySeconds, now: now) { return (actions, true) }
        }
        if !pod.isTerminating {
            actions += identity(of: pod, ordinal)
            actions += claimOwners(ordinal, condemned: nil)
        }
        return (actions, false)
    }

    private func ensuring(_ claims: [Object]) -> [Action] { claims.isEmpty ? [] : [.ensureClaims(claims)] }

    private func missingClaims(_ ordinal: Int) -> (missing: [Object], isStale: Bool) {
        let wanted = wishes.claims(ordinal)
        let isStale = wanted.contains { claims[$0.name]?.isTerminating == true }
        return (wanted.filter { claims[$0.name] == nil }, isStale)
    }

    private func identity(of pod: Object, _ ordinal: Int) -> [Action] {
        let wanted = [StatefulSetLabel.podName: pod.name, StatefulSetLabel.podIndex: String(ordinal)]
        if wanted.allSatisfy({ pod.labels[$0.key] == $0.value }) { return [] }
        var labelled = pod
        labelled.labels.merge(wanted) { $1 }
        return [.label(labelled)]
    }

    private func claimOwners(_ ordinal: Int, condemned: Object?) -> [Action] {
        wishes.claims(ordinal).compactMap { wanted in
            guard let claim = claims[wanted.name], !claim.isTerminating else { return nil }
            let owners = wishes.claimOwners(claim, condemned: condemned)
            return owners == claim.ownerReferences ? nil : .setClaimOwners(claim: claim.name, owners)
        }
    }

    /// One pod too many. An ordered set takes the highest, and takes it only when nothing else is in trouble.
    private func condemn(_ pod: Object) -> (actions: [Action], mustWait: Bool) {
        if pod.isTerminating { return ([], isOrdered) }
        if isOrdered, pod.uid != firstUnhealthy?.uid {
            if !pod.isPodRunningAndReady { return ([], true) }
            if !pod.isPodAvailable(minReadySeconds: wishes.minReadySeconds, now: now) { return ([], true) }
        }
        let ordinal = wishes.ordinal(of: pod) ?? 0
        return (claimOwners(ordinal, condemned: pod) + [.deletePod(pod, ended: false)], isOrdered)
    }

    private var firstUnhealthy: Object? {
        (replicas.compactMap { $0 } + condemned.reversed()).first { !$0.isPodRunningAndReady || $0.isTerminating }
    }

    /// Replaces pods of other revisions, the highest ordinal first.
    private func update() -> [Action] {
        if wishes.isOnDelete { return [] }
        let lowest = min(wishes.partition, replicas.count)
        let targets = (lowest..<replicas.count).reversed()
        if wishes.maxUnavailable > 1 {
            let missing = replicas.filter { !isAvailable($0) }.count
            let old = targets.compactMap { replicas[$0] }.filter(isOutdated)
            return old.prefix(max(0, wishes.maxUnavailable - missing)).map { .deletePod($0, ended: false) }
        }
        for index in targets {
            guard let pod = replicas[index] else { return [] }
            if isOutdated(pod) { return [.deletePod(pod, ended: false)] }
            // The pods above must be well again before the next goes.
            if !isAvailable(pod) { return [] }
        }
        return []
    }

    private func isOutdated(_ pod: Object) -> Bool {
        !pod.isTerminating && !pod.isPodFinished && pod.labels[StatefulSetLabel.revision] != updateRevision.name
    }

    private func isAvailable(_ pod: Object?) -> Bool {
        guard let pod, !pod.isTerminating, pod.podPhase == "Running" else { return false }
        return pod.isPodAvailable(minReadySeconds: wishes.minReadySeconds, now: now)
    }

    private func newPod(_ ordinal: Int) -> Object {
        // Below the partition pods stay as they were, also when they come again.
        let isCurrent = !wishes.isOnDelete && ordinal < wishes.firstOrdinal + wishes.partition
        let revision = isCurrent ? currentRevision : updateRevision
        return wishes.pod(ordinal, template: RevisionHistory.template(of: revision), revision: revision.name)
    }

    // MARK: Status

    func status() -> JSON {
        let alive = pods.filter { wishes.ordinal(of: $0) != nil && !$0.podPhase.isEmpty }
        let settled = alive.filter { !$0.isTerminating }
        func count(_ revision: Object) -> Int {
            settled.filter { $0.labels[StatefulSetLabel.revision] == revision.name }.count
        }
        let updated = count(updateRevision)
        var current = count(currentRevision)
        let ready = alive.filter(\.isPodRunningAndReady).count
        var currentName = currentRevision.name
        let isComplete = updated == wishes.replicas && ready == wishes.replicas && alive.count == wishes.replicas
        if !wishes.isOnDelete, isComplete {
            currentName = updateRevision.name
            current = updated
        }
        var status = set.status
        status["observedGeneration"] = JSON(set.generation)
        status["replicas"] = JSON(alive.count)
        func put(_ field: String, _ value: Int) { status[field] = .count(value) }
        put("readyReplicas", ready)
        put("currentReplicas", current)
        put("updatedReplicas", updated)
        // Always there, like upstream's.
        let available = alive.filter {
            $0.isPodRunningAndReady && $0.isPodAvailable(minReadySeconds: wishes.minReadySeconds, now: now)
        }
        status["availableReplicas"] = JSON(available.count)
        status["currentRevision"] = .string(currentName)
        status["updateRevision"] = .string(updateRevision.name)
        status["collisionCount"] = JSON(set.statusCount("collisionCount"))
        return status
    }

    /// When a pod that is ready becomes available, if that is still to come.
    func nextAvailability() -> Duration? {
        pods.compactMap { $0.podAvailable(minReadySeconds: wishes.minReadySeconds, now: now) }.filter { $0 > .zero }
            .min()
    }

    /// The revisions that pods or the status name.
    func liveRevisions() -> Set<String> {
        Set(pods.compactMap { $0.labels[StatefulSetLabel.revision] } + [currentRevision.name, updateRevision.name])
    }
}
