// Decides how a Deployment's ReplicaSets change next, and what its status says.

import Formats
import Objects

/// One look at a Deployment and its ReplicaSets, after `kubernetes/pkg/controller/deployment`. It works on copies: an
/// action that it decides on is already in `sets` when it decides on the next.
struct DeploymentMachine: Sendable {
    enum Action: Sendable, Equatable {
        /// Writes the revision on the Deployment itself.
        case setRevision(String)
        case createSet(Object)
        /// Writes annotations (and what else differs in metadata) of a set.
        case annotateSet(Object)
        /// Writes a set with another number of replicas.
        case scaleSet(Object, from: Int)
        case deleteSet(Object)
        case updateStatus(JSON)
    }

    let deployment: Object
    let strategy: RolloutStrategy
    /// The pods of old sets, for Recreate: they must be gone before new ones come.
    let pods: [Object]
    let now: Timestamp

    var newSet: Object?
    var oldSets: [Object] = []
    var actions: [Action] = []
    var conditions: Conditions

    init(deployment: Object, sets: [Object], pods: [Object], now: Timestamp) {
        self.deployment = deployment
        strategy = RolloutStrategy(deployment)
        self.pods = pods
        self.now = now
        conditions = Conditions(deployment.status, now: now)
        let oldestFirst = sets.indices.sorted {
            (sets[$0].created, sets[$0].name) < (sets[$1].created, sets[$1].name)
        }.map { sets[$0] }
        newSet = Self.find(template, hash: templateHash, among: oldestFirst)
        oldSets = oldestFirst.filter { $0.uid != newSet?.uid }
    }

    var template: JSON { deployment.spec["template"] ?? .null }
    var templateHash: String {
        TemplateHash.text(template, collisionCount: deployment.statusCount("collisionCount"))
    }
    var allSets: [Object] { oldSets + (newSet.map { [$0] } ?? []) }
    var replicas: Int { deployment.desiredReplicas }

    /// The oldest set with this template; where the server defaulted the two differently, the one with its hash.
    private static func find(_ template: JSON, hash: String, among sets: [Object]) -> Object? {
        let plain = TemplateHash.plain(template)
        return sets.first { TemplateHash.plain($0.spec["template"] ?? .null) == plain }
            ?? sets.first { $0.labels[TemplateHash.label] == hash }
    }

    /// Everything to do now, in order; the status comes last.
    mutating func decide() -> [Action] {
        if deployment.isTerminating {
            updateStatus(isRollout: false)
            return actions
        }
        notePause()
        if deployment.isPaused {
            ensureNewSet(create: false)
            scaleProportionally()
            cleanUp()
            updateStatus(isRollout: false)
        } else if isScalingEvent {
            ensureNewSet(create: false)
            scaleProportionally()
            updateStatus(isRollout: false)
        } else if strategy.isRecreate {
            recreate()
            updateStatus(isRollout: true)
        } else {
            roll()
            updateStatus(isRollout: true)
        }
        return actions
    }

    /// Whether the Deployment's replicas changed since its sets were last scaled.
    private var isScalingEvent: Bool {
        allSets.contains { set in
            guard set.desiredReplicas > 0, let desired = set.annotations[DeploymentAnnotation.desiredReplicas] else {
                return false
            }
            return Int(desired) != replicas
        }
    }

    private mutating func notePause() {
        guard deployment.progressDeadlineSeconds != nil else { return }
        let reason = conditions["Progressing"]?["reason"]?.string
        if reason == "ProgressDeadlineExceeded" { return }
        if deployment.isPaused, reason != "DeploymentPaused" {
            conditions.set(
                "Progressing", "Unknown", reason: "DeploymentPaused", message: "Deployment is paused",
                hasUpdateTime: true)
        } else if !deployment.isPaused, reason == "DeploymentPaused" {
            conditions.set(
                "Progressing", "Unknown", reason: "DeploymentResumed", message: "Deployment is resumed",
                hasUpdateTime: true)
        }
    }

    // MARK: The new set

    /// Finds or creates the set of the current template and gives it the newest revision.
    mutating func ensureNewSet(create: Bool) {
        let revision = (oldSets.map(\.revision).max() ?? 0) + 1
        if var set = newSet {
            let before = set
            annotate(&set, revision: revision)
            set.spec["minReadySeconds"] = deployment.spec["minReadySeconds"]
            if set != before {
                actions.append(.annotateSet(set))
                newSet = set
            }
            noteRevision(set)
            if deployment.progressDeadlineSeconds != nil, conditions["Progressing"] == nil {
                setProgressing("True", "FoundNewReplicaSet", "Found new replica set \"\(set.name)\"")
            }
            return
        }
        if !create { return }
        var set = freshSet()
        set.spec["replicas"] = JSON(newSetReplicas())
        annotate(&set, revision: revision)
        setAnnotations(of: &set)
        actions.append(.createSet(set))
        newSet = set
        noteRevision(set)
        if deployment.progressDeadlineSeconds != nil {
            setProgressing("True", "NewReplicaSetCreated", "Created new replica set \"\(set.name)\"")
        }
    }

    private mutating func noteRevision(_ set: Object) {
        let revision = set.annotations[DeploymentAnnotation.revision] ?? ""
        let action = Action.setRevision(revision)
        if deployment.annotations[DeploymentAnnotation.revision] != revision, actions.first != action {
            actions.insert(action, at: 0)
        }
    }

    private func freshSet() -> Object {
        let hash = templateHash
        var set = Object(.replicaSets, namespace: deployment.namespace, name: "\(deployment.name)-\(hash)")
        var labels = template["metadata", "labels"]?.stringMap ?? [:]
        labels[TemplateHash.label] = hash
        set.labels = labels
        set.ownerReferences = [OwnerReference(controller: deployment)]
        var template = template
        template["metadata", "labels"] = JSON(stringMap: labels)
        var selector = deployment.spec["selector"] ?? [:]
        selector["matchLabels", TemplateHash.label] = .string(hash)
        var spec: JSON = ["replicas": 0]
        if let seconds = deployment.spec["minReadySeconds"] { spec["minReadySeconds"] = seconds }
        spec["selector"] = selector
        spec["template"] = template
        set.spec = spec
        return set
    }

    /// Copies the Deployment's annotations and moves the revision up; the ones it had go to the history.
    private func annotate(_ set: inout Object, revision: Int) {
        var annotations = set.annotations
        for (name, value) in deployment.annotations where !DeploymentAnnotation.notCopied.contains(name) {
            annotations[name] = value
        }
        let old = set.revision
        if old < revision {
            annotations[DeploymentAnnotation.revision] = String(revision)
            if old > 0 {
                var history = (annotations[DeploymentAnnotation.revisionHistory] ?? "").split(separator: ",")
                    .map(String.init)
                history.append(String(old))
                while history.joined(separator: ",").count > DeploymentAnnotation.historyLimit { history.removeFirst() }
                annotations[DeploymentAnnotation.revisionHistory] = history.joined(separator: ",")
            }
        }
        if annotations != set.annotations { set.annotations = annotations }
    }

    private func setAnnotations(of set: inout Object) {
        set.annotations[DeploymentAnnotation.desiredReplicas] = String(replicas)
        set.annotations[DeploymentAnnotation.maxReplicas] = String(replicas + strategy.maxSurge)
    }

    /// How many replicas the new set gets now: what the surge leaves room for.
    func newSetReplicas() -> Int {
        if strategy.isRecreate { return replicas }
        let current = newSet?.desiredReplicas ?? 0
        let total = allSets.map(\.desiredReplicas).reduce(0, +)
        let room = replicas + strategy.maxSurge - total
        if room <= 0 { return current }
        return current + min(room, replicas - current)
    }

    // MARK: Scaling

    /// Scales a set, also writing what it was scaled for. Answers whether the number changed.
    @discardableResult
    mutating func scale(_ set: Object, to count: Int) -> Bool {
        var scaled = set
        setAnnotations(of: &scaled)
        scaled.spec["replicas"] = JSON(count)
        if scaled == set { return false }
        actions.append(.scaleSet(scaled, from: set.desiredReplicas))
        if newSet?.name == set.name {
            newSet = scaled
        } else if let index = oldSets.firstIndex(where: { $0.name == set.name }) {
            oldSets[index] = scaled
        }
        return scaled.desiredReplicas != set.desiredReplicas
    }

    mutating func setProgressing(_ status: String, _ reason: String, _ message: String, refreshed: Bool = false) {
        conditions.set(
            "Progressing", status, reason: reason, message: message, hasUpdateTime: true, refreshed: refreshed)
    }
}
