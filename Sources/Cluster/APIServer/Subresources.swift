// Binding, finalize and log.

import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    /// `POST pods/<name>/binding`: gives the pod to a node, once.
    func bind(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .post else { throw call.methodNotAllowed }
        let binding = try call.decodedObject(kind: ("v1", "Binding")).object
        let node = binding["target", "name"]?.string ?? ""
        let kind = binding["target", "kind"]?.string ?? "Node"
        if node.isEmpty || !(kind.isEmpty || kind == "Node") {
            let resource = Resource(group: "", version: "v1", kind: "Binding", plural: "bindings")
            throw Problem.invalid(resource, call.name ?? "", [.required("target.name")])
        }
        let now = environment.now()
        _ = try await change(
            call.resource, namespace: call.namespace, name: call.name ?? "", isDryRun: try call.isDryRun()
        ) { old in
            if !binding.uid.isEmpty {
                try checkPreconditions(call.resource, old, uid: binding.uid, resourceVersion: nil)
            }
            if old.isTerminating {
                throw Problem.conflict(
                    .pods, old.name, "pod \(old.name) is being deleted, cannot be assigned to a host")
            }
            if let given = old["spec", "nodeName"]?.string, !given.isEmpty {
                throw Problem.conflict(.pods, old.name, "pod \(old.name) is already assigned to node \"\(given)\"")
            }
            var new = old
            new["spec", "nodeName"] = .string(node)
            for (key, value) in binding.annotations { new.annotations[key] = value }
            new["status", "conditions"] = Conditions.setting(
                "PodScheduled", to: "True", in: old["status", "conditions"], at: now)
            return .replaced(new)
        }
        let presentation = try Negotiation.presentation(accept: call.accept, query: call.query, hasProtobuf: true)
        return .rendered(
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201], presentation,
            code: 201)
    }

    /// `PUT namespaces/<name>/finalize`: the only way to change `spec.finalizers`.
    func finalize(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .put else { throw call.methodNotAllowed }
        let wanted = try call.decodedObject().object
        let tracking = try fieldTracking(call, subresource: "finalize")
        try checkNames(wanted, call)
        let changed = try await change(
            call.resource, namespace: "", name: call.name ?? "", isDryRun: try call.isDryRun()
        ) {
            old in
            try checkPreconditions(call.resource, old, uid: wanted.uid, resourceVersion: wanted.resourceVersion)
            var new = old
            new["spec", "finalizers"] = wanted["spec", "finalizers"]
            tracking.account(for: &new, from: old, sent: nil)
            return settle(old, new, of: call.served)
        }
        return try call.answer(with: changed.object, api: self)
    }

    /// `GET pods/<name>/log`; a pod that no node has yet has an empty log.
    func log(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .get else { throw call.methodNotAllowed }
        let (pod, _) = try existing(call)
        var options = LogOptions(container: try KubernetesAPI.container(of: pod, asked: call.query["container"]))
        options.follow = call.query.flag("follow")
        options.previous = call.query.flag("previous")
        options.timestamps = call.query.flag("timestamps")
        options.sinceSeconds = try call.query.integer("sinceSeconds")
        options.sinceTime = call.query["sinceTime"]
        options.tailLines = try call.query.integer("tailLines")
        options.limitBytes = try call.query.integer("limitBytes")
        try checkLogOptions(options)
        if let stream = call.query["stream"], stream != "All" {
            throw Problem(.notImplemented, "pods/log serves only the joined stream (stream=All)")
        }
        if (pod["spec", "nodeName"]?.string ?? "").isEmpty { return .text("") }
        let chunks = try await nodeAccess.logs(namespace: pod.namespace, pod: pod.name, options: options)
        return .stream(chunks, contentType: "text/plain")
    }

    /// What `validation.ValidatePodLogOptions` refuses, in its words.
    private func checkLogOptions(_ options: LogOptions) throws(Problem) {
        let kind = Resource(group: "", version: "v1", kind: "PodLogOptions", plural: "podlogoptions")
        func refuse(_ field: String, _ value: Int, _ words: String) -> Problem {
            .invalid(kind, "", [.invalid(field, JSON(value), words)])
        }
        if let lines = options.tailLines, lines < 0 {
            throw refuse("tailLines", lines, "must be greater than or equal to 0")
        }
        if let bytes = options.limitBytes, bytes < 1 { throw refuse("limitBytes", bytes, "must be greater than 0") }
        if let seconds = options.sinceSeconds {
            if seconds < 1 { throw refuse("sinceSeconds", seconds, "must be greater than 0") }
            if options.sinceTime != nil {
                throw Problem.badRequest("at most one of `sinceTime` or `sinceSeconds` may be specified")
            }
        }
        if let time = options.sinceTime, Timestamp(rfc3339: time) == nil {
            throw Problem.badRequest("parsing time \"\(time)\": it is no RFC 3339 time (parameter sinceTime)")
        }
    }

    /// The container that a log is asked of; the only one where none is named.
    static func container(of pod: Object, asked: String?) throws(Problem) -> String {
        let regular = (pod["spec", "containers"]?.array ?? []).compactMap { $0["name"]?.string }
        let initial = (pod["spec", "initContainers"]?.array ?? []).compactMap { $0["name"]?.string }
        let ephemeral = (pod["spec", "ephemeralContainers"]?.array ?? []).compactMap { $0["name"]?.string }
        if let asked, !asked.isEmpty {
            if (regular + initial + ephemeral).contains(asked) { return asked }
            throw .badRequest("container \(asked) is not valid for pod \(pod.name)")
        }
        if regular.count == 1 { return regular[0] }
        var message =
            "a container name must be specified for pod \(pod.name), choose one of: [\(regular.joined(separator: " "))]"
        if !initial.isEmpty { message += " or one of the init containers: [\(initial.joined(separator: " "))]" }
        throw .badRequest(message)
    }
}

/// Lists of conditions.
enum Conditions {
    /// The list with this condition set, its transition time new if its status is.
    static func setting(_ type: String, to status: String, in list: JSON?, at now: Timestamp) -> JSON {
        var conditions = list?.array ?? []
        let fresh: JSON = [
            "type": .string(type), "status": .string(status), "lastProbeTime": .null,
            "lastTransitionTime": .string(now.rfc3339),
        ]
        if let position = conditions.firstIndex(where: { $0["type"]?.string == type }) {
            if conditions[position]["status"]?.string != status { conditions[position] = fresh }
        } else {
            conditions.append(fresh)
        }
        return .array(conditions)
    }
}
