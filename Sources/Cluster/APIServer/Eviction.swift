// `POST pods/<name>/eviction`: a delete that disruption budgets may refuse (upstream: core/pod/storage/eviction.go).

import Formats
import HTTPTypes
import Objects

/// What a disruption budget says to one eviction; pure.
struct EvictionMachine: Sendable {
    /// Pods whose eviction a budget remembers until its controller has seen them go.
    static let disruptedPodsLimit = 2000
    static let retrySeconds = 10

    enum Verdict: Sendable, Equatable {
        /// The pod goes without a budget's leave: it is done, not running yet, going, or not healthy anyway.
        case free
        /// The pod goes when the budget has taken this in.
        case charged(Object)
        case refused(Problem)
    }

    let pod: Object
    let now: Timestamp

    /// Whether budgets do not count the pod.
    var isUncounted: Bool {
        pod.isTerminating || ["Succeeded", "Failed", "Pending"].contains(pod.status["phase"]?.string ?? "")
    }

    /// The budgets of the pod's namespace that select it.
    func matching(_ budgets: [Object]) -> [Object] {
        budgets.filter { budget in
            guard let selector = budget["spec", "selector"], !selector.isNull else { return false }
            return (try? LabelSelector(selector))?.matches(pod.labels) ?? false
        }
    }

    func verdict(of budget: Object) -> Verdict {
        let status = budget.status
        func count(_ field: String) -> Int { status[field]?.integer ?? 0 }
        if !pod.isTrue("Ready") {
            if budget["spec", "unhealthyPodEvictionPolicy"] == "AlwaysAllow" { return .free }
            if count("desiredHealthy") > 0, count("currentHealthy") >= count("desiredHealthy") { return .free }
        }
        if count("observedGeneration") < budget.generation {
            return .refused(
                refusal("The disruption budget \(budget.name) is still being processed by the server.", true))
        }
        if count("disruptionsAllowed") < 0 {
            return .refused(.forbidden(.budgets, budget.name, "pdb disruptions allowed is negative"))
        }
        if (status["disruptedPods"]?.object?.count ?? 0) > Self.disruptedPodsLimit {
            return .refused(
                .forbidden(
                    .budgets, budget.name,
                    "DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
        }
        if count("disruptionsAllowed") == 0 {
            return .refused(
                refusal(
                    "The disruption budget \(budget.name) needs \(count("desiredHealthy")) healthy pods and has "
                        + "\(count("currentHealthy")) currently", false))
        }
        return .charged(charge(budget))
    }

    private func charge(_ budget: Object) -> Object {
        var budget = budget
        let left = (budget.status["disruptionsAllowed"]?.integer ?? 0) - 1
        budget["status", "disruptionsAllowed"] = JSON(left)
        budget["status", "disruptedPods", pod.name] = .string(now.rfc3339)
        if left == 0 {
            var conditions = (budget.status["conditions"]?.array ?? []).filter {
                $0["type"]?.string != "DisruptionAllowed"
            }
            conditions.append([
                "type": "DisruptionAllowed", "status": "False", "observedGeneration": JSON(budget.generation),
                "lastTransitionTime": .string(now.rfc3339), "reason": "InsufficientPods", "message": "",
            ])
            budget["status", "conditions"] = .array(conditions)
        }
        return budget
    }

    /// 429 with the cause that `kubectl drain` waits on.
    private func refusal(_ why: String, _ isSoon: Bool) -> Problem {
        var problem = Problem(
            .tooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.")
        problem.causes = [.init(reason: "DisruptionBudget", message: why, field: "")]
        problem.retryAfterSeconds = isSoon ? Self.retrySeconds : 0
        return problem
    }
}

extension Resource {
    static let budgets = Resource(
        group: "policy", version: "v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets")
}

extension KubernetesAPI {
    func evict(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .post else { throw call.methodNotAllowed }
        let eviction = try call.decodedObject(kind: ("policy/v1", "Eviction")).object
        let name = call.name ?? ""
        if !eviction.name.isEmpty, eviction.name != name {
            throw Problem.badRequest("name in URL does not match name in Eviction object")
        }
        var options = try DeleteOptions(tree: eviction["deleteOptions"] ?? [:], call)
        let (pod, _) = try existing(call)
        let machine = EvictionMachine(pod: pod, now: environment.now())
        if !machine.isUncounted {
            let budgets = try matchingBudgets(machine, namespace: call.namespace)
            guard budgets.count <= 1 else {
                throw Problem(
                    .internalError,
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
            }
            if let budget = budgets.first {
                try await charge(budget, for: machine, isDryRun: options.isDryRun)
            }
        } else if options.resourceVersion == nil {
            // The phase that freed the pod from its budgets must still be its phase when it goes.
            options.resourceVersion = pod.resourceVersion
        }
        if !options.isDryRun, !pod.isTerminating { try await announceDisruption(of: pod, call, &options) }
        _ = try await remove(call, name: name, options)
        return .rendered(
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201], code: 201)
    }

    private func matchingBudgets(_ machine: EvictionMachine, namespace: String) throws -> [Object] {
        let prefix = ObjectRecords.prefix(.budgets, namespace: namespace)
        let page = try records.store.page(prefix: prefix, after: nil, limit: nil, at: nil)
        return machine.matching(try page.records.map { Object(try JSON(parsing: $0.bytes)) })
    }

    /// Takes one disruption from the budget, in whatever state it is then.
    private func charge(_ budget: Object, for machine: EvictionMachine, isDryRun: Bool) async throws {
        _ = try await change(.budgets, namespace: budget.namespace, name: budget.name, isDryRun: isDryRun) { budget in
            switch machine.verdict(of: budget) {
            case .free: return .unchanged
            case .charged(let charged): return .replaced(charged)
            case .refused(let problem): throw problem
            }
        }
    }

    /// Says on the pod why it goes, before it goes.
    private func announceDisruption(of pod: Object, _ call: APICall, _ options: inout DeleteOptions) async throws {
        let now = environment.now()
        let wanted = options
        let changed = try await change(call.resource, namespace: call.namespace, name: pod.name) { old in
            try checkPreconditions(call.resource, old, uid: wanted.uid, resourceVersion: wanted.resourceVersion)
            var new = old
            var conditions = (old.status["conditions"]?.array ?? []).filter { $0["type"]?.string != "DisruptionTarget" }
            conditions.append([
                "type": "DisruptionTarget", "status": "True", "lastTransitionTime": .string(now.rfc3339),
                "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
            ])
            new["status", "conditions"] = .array(conditions)
            return .replaced(new)
        }
        if options.resourceVersion != nil { options.resourceVersion = changed.object.resourceVersion }
    }
}
