// Turns a pod's priority class into a number (upstream: plugin/pkg/admission/priority).

import Formats
import Objects

extension KubernetesAPI {
    func admitPriority(of pod: inout Object) throws {
        let name = pod["spec", "priorityClassName"]?.string ?? ""
        var value = 0
        var preemption: JSON = "PreemptLowerPriority"
        if let found = try priorityClass(name, of: pod) {
            value = found["value"]?.integer ?? 0
            preemption = found["preemptionPolicy"] ?? preemption
            pod["spec", "priorityClassName"] = .string(found.name)
        }
        if let given = pod["spec", "priority"]?.integer, given != value {
            throw Problem.forbidden(
                .pods, pod.name,
                "the integer value of priority (\(given)) must not be provided in pod spec; priority admission controller "
                    + "computed \(value) from the given PriorityClass name")
        }
        if let given = pod["spec", "preemptionPolicy"], given != preemption {
            throw Problem.forbidden(
                .pods, pod.name,
                "the string value of PreemptionPolicy (\(given.string ?? "")) must not be provided in pod spec; priority "
                    + "admission controller computed \(preemption.string ?? "") from the given PriorityClass name")
        }
        if pod["spec"] == nil { return }
        pod["spec", "priority"] = JSON(value)
        pod["spec", "preemptionPolicy"] = preemption
    }

    /// The class of this name, or the default one, which is the least of those that say so.
    private func priorityClass(_ name: String, of pod: Object) throws -> Object? {
        if name.isEmpty {
            return try stored(.priorityClasses).filter { $0["globalDefault"] == true }
                .min { ($0["value"]?.integer ?? 0) < ($1["value"]?.integer ?? 0) }
        }
        if let found = try records.get(.priorityClasses, namespace: "", name: name) { return found.object }
        throw Problem.forbidden(.pods, pod.name, "no PriorityClass with name \(name) was found")
    }

    /// The two classes that Kubernetes' own parts run in; to be called once at start.
    func ensureSystemPriorityClasses() async throws {
        for each in PriorityClassStrategy.system {
            var object = Object(.priorityClasses, name: each.name)
            object["value"] = JSON(each.value)
            object["description"] = .string(each.description)
            try await ensure(object, of: .priorityClasses)
        }
    }
}
