// `metrics.k8s.io/v1beta1`: what pods and nodes use now, for `kubectl top` and autoscalers. Nothing of it is stored.

import Formats
import HTTPTypes
import Objects

/// What was measured, as an average over a window that ended at `time`.
package struct Usage: Sendable, Hashable {
    package var cpuNanocores: Int64
    package var memoryBytes: Int64

    package init(cpuNanocores: Int64, memoryBytes: Int64) {
        self.cpuNanocores = cpuNanocores
        self.memoryBytes = memoryBytes
    }
}

/// Everything that a node measured at one time.
package struct UsageReport: Sendable, Hashable {
    package struct Pod: Sendable, Hashable {
        package var key: ObjectKey
        /// By the name of the container.
        package var containers: [String: Usage]

        package init(key: ObjectKey, containers: [String: Usage]) {
            self.key = key
            self.containers = containers
        }
    }

    package var node: String
    package var total: Usage
    package var pods: [Pod]
    package var time: Timestamp
    package var windowSeconds: Int

    package init(node: String, total: Usage, pods: [Pod], time: Timestamp, windowSeconds: Int) {
        self.node = node
        self.total = total
        self.pods = pods
        self.time = time
        self.windowSeconds = windowSeconds
    }
}

/// The API server's way to whoever measures.
package protocol UsageSource: Sendable {
    /// The newest report; nil before the first window is over, and where no node runs.
    func usage() -> UsageReport?
}

/// For a server that no node is connected to.
package struct NoUsage: UsageSource {
    package init() {}
    package func usage() -> UsageReport? { nil }
}

/// The resources of the group and how they look.
enum UsageAPI {
    static let group = "metrics.k8s.io"
    static let nodes = Resource(
        group: group, version: "v1beta1", kind: "NodeMetrics", plural: "nodes", singular: "", isNamespaced: false,
        verbs: ["get", "list"])
    static let pods = Resource(
        group: group, version: "v1beta1", kind: "PodMetrics", plural: "pods", singular: "", verbs: ["get", "list"])
    static let resources = [nodes, pods]

    /// For OpenAPI documents; nil for a resource of another group (upstream: k8s.io/metrics/pkg/apis/metrics/v1beta1).
    static func schema(of resource: Resource, metadata: JSON) -> OpenAPISchema? {
        guard resource.group == group else { return nil }
        let usage: JSON = [
            "description": "The memory usage is the memory working set.",
            "type": "object", "additionalProperties": ["type": "string"],
        ]
        var properties: JSON = [
            "apiVersion": ["type": "string"], "kind": ["type": "string"], "metadata": metadata,
            "timestamp": [
                "description": "The end of the time over which was measured.", "type": "string", "format": "date-time",
            ],
            "window": ["description": "How long was measured, up to the timestamp.", "type": "string"],
        ]
        if resource == nodes {
            properties["usage"] = usage
        } else {
            properties["containers"] = [
                "description": "All containers of the pod, measured over the same time.", "type": "array",
                "items": [
                    "type": "object", "required": ["name", "usage"],
                    "properties": ["name": ["type": "string"], "usage": usage],
                ],
            ]
        }
        let required: JSON =
            resource == nodes ? ["timestamp", "window", "usage"] : ["timestamp", "window", "containers"]
        return OpenAPISchema(
            name: "io.k8s.metrics.pkg.apis.metrics.v1beta1.\(resource.kind)",
            tree: ["type": "object", "required": required, "properties": properties])
    }

    static func tree(_ usage: Usage) -> JSON {
        [
            "cpu": .string(Quantity(nanos: Int128(usage.cpuNanocores)).text),
            "memory": .string("\(usage.memoryBytes / 1024)Ki"),
        ]
    }

    /// The metrics of one object, which lend their name and labels.
    static func metrics(of object: Object, _ resource: Resource, _ report: UsageReport) -> Object {
        var metrics = Object(resource, namespace: object.namespace, name: object.name)
        metrics.labels = object.labels
        metrics.tree["metadata", "creationTimestamp"] = .string(report.time.rfc3339)
        metrics["timestamp"] = .string(report.time.rfc3339)
        metrics["window"] = .string("\(report.windowSeconds)s")
        return metrics
    }
}

extension KubernetesAPI {
    /// GET of `nodes` and `pods` of the group: all, those of a namespace, or one.
    func usage(_ call: APICall) throws -> APIAnswer {
        guard call.request.method == .get, !call.query.flag("watch") else { throw call.methodNotAllowed }
        guard let report = usageSource.usage() else {
            throw Problem(.serviceUnavailable, "metrics are not available yet")
        }
        let all = try measured(call.resource, report)
        if let name = call.name {
            guard let one = all.first(where: { $0.name == name && $0.namespace == call.namespace }) else {
                throw Problem.notFound(call.resource, name)
            }
            return try call.answer(with: one, api: self)
        }
        let options = try ListOptions(call.query, selectable: [])
        let chosen = all.filter {
            (call.namespace.isEmpty || $0.namespace == call.namespace) && options.matches($0, by: PlainStrategy())
        }
        let presentation = try call.presentation()
        if case .table(let include) = presentation.representation {
            return .rendered(
                call.served.printer.table(of: chosen, metadata: [:], include: include, now: environment.now()),
                presentation)
        }
        return .rendered(
            [
                "kind": .string(call.resource.kind + "List"), "apiVersion": .string(call.resource.apiVersion),
                "metadata": [:], "items": .array(chosen.map(\.tree)),
            ], presentation)
    }

    private func measured(_ resource: Resource, _ report: UsageReport) throws -> [Object] {
        if resource == UsageAPI.nodes {
            guard let node = try records.get(.nodes, namespace: "", name: report.node)?.object else { return [] }
            var metrics = UsageAPI.metrics(of: node, resource, report)
            metrics["usage"] = UsageAPI.tree(report.total)
            return [metrics]
        }
        return try report.pods.sorted { $0.key < $1.key }.compactMap { each in
            guard let pod = try records.get(.pods, namespace: each.key.namespace, name: each.key.name)?.object else {
                return nil
            }
            var metrics = UsageAPI.metrics(of: pod, resource, report)
            metrics["containers"] = .array(
                each.containers.keys.sorted().map { name in
                    ["name": .string(name), "usage": each.containers[name].map(UsageAPI.tree) ?? [:]]
                })
            return metrics
        }
    }
}
