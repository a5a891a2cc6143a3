// `pods/<name>/proxy`, `services/<name>/proxy` and `nodes/<name>/proxy`: requests handed on to programs of the cluster.

import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    /// Hands a request on and its answer back, as a stream; a request to upgrade becomes a tunnel.
    func proxy(_ call: APICall) async throws -> APIAnswer {
        let place = "invalid \(call.resource.plural.dropLast()) request \"\(call.name ?? "")\""
        guard let name = ProxyName(call.name ?? "") else { throw Problem.badRequest(place) }
        var named = call
        named.name = name.name
        let object = try existing(named).object
        let rest = call.proxyRest ?? ""
        // Relative links in what is shown would otherwise lead astray.
        if rest.isEmpty, [.get, .head].contains(call.request.method), !call.request.wantsUpgrade {
            return Self.redirect(call.request)
        }
        let target: ProxyTarget
        switch call.resource {
        case .pods: target = try ProxyTarget(pod: object, name)
        case .services:
            let slices = try stored(.endpointSlices, namespace: object.namespace).filter {
                $0.labels["kubernetes.io/service-name"] == object.name
            }
            let random = environment.random
            target = try ProxyTarget(service: object, slices: slices, name) { Int(random() % UInt64($0)) }
        default:
            guard let port = Int(name.port) else { return try nodePage(object, rest) }
            target = try ProxyTarget(node: object, port: port, isSecure: name.isSecure)
        }
        let request = ProxiedRequest(call.request, to: target, rest: rest)
        if call.request.wantsUpgrade { return try await tunnel(request) }
        return try await ProxyClient.send(request, body: call.body)
    }

    private static func redirect(_ request: HTTPRequest) -> APIAnswer {
        let parts = (request.path ?? "/").split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var answer = APIAnswer.text("", code: 301)
        answer.response.headerFields[.location] = parts[0] + "/" + (parts.count > 1 ? "?" + parts[1] : "")
        return answer
    }

    /// Connects both sides and lets them speak as they like.
    private func tunnel(_ request: ProxiedRequest) async throws -> APIAnswer {
        let connection = try await ProxyClient.connect(to: request.target)
        var answer = APIAnswer.problem(.badRequest("Upgrade request required"))
        answer.tunnel = { link in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    do {
                        try await connection.write(request.head)
                        while let bytes = try await link.next() { try await connection.write(bytes) }
                        await connection.endInput()
                    } catch {
                        // Either side has gone; so does the other.
                        await connection.close()
                    }
                }
                do {
                    while let bytes = try await connection.next() { try await link.write(bytes) }
                } catch {
                    // The client has gone.
                }
                group.cancelAll()
                await connection.close()
                await link.close()
            }
        }
        return answer
    }

    /// What a node answers itself, where a kubelet has a port for it.
    private func nodePage(_ node: Object, _ rest: String) throws -> APIAnswer {
        switch rest.prefix(while: { $0 != "?" }) {
        case "/healthz": return .text("ok")
        case "/pods", "/pods/":
            let pods = try stored(.pods).filter { $0["spec", "nodeName"]?.string == node.name }
            return .rendered([
                "kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": .array(pods.map(\.tree)),
            ])
        case "/stats/summary": return .rendered(usageSummary(of: node))
        default: return .text("404 page not found: this node serves /healthz, /pods and /stats/summary\n", code: 404)
        }
    }

    /// The parts of `stats/v1alpha1 Summary` that are measured.
    private func usageSummary(of node: Object) -> JSON {
        guard let report = usageSource.usage(), report.node == node.name else {
            return ["node": ["nodeName": .string(node.name)], "pods": []]
        }
        func cpu(_ usage: Usage) -> JSON {
            ["time": .string(report.time.rfc3339), "usageNanoCores": .integer(usage.cpuNanocores)]
        }
        func memory(_ usage: Usage) -> JSON {
            ["time": .string(report.time.rfc3339), "workingSetBytes": .integer(usage.memoryBytes)]
        }
        let pods = report.pods.map { pod -> JSON in
            let containers = pod.containers.keys.sorted().compactMap { name in
                pod.containers[name].map { ["name": .string(name), "cpu": cpu($0), "memory": memory($0)] as JSON }
            }
            return [
                "podRef": ["name": .string(pod.key.name), "namespace": .string(pod.key.namespace)],
                "containers": .array(containers),
            ]
        }
        return [
            "node": ["nodeName": .string(node.name), "cpu": cpu(report.total), "memory": memory(report.total)],
            "pods": .array(pods),
        ]
    }
}

extension HTTPField.Name {
    /// `Upgrade`, which HTTPTypes leaves out because HTTP/2 has none; the spelling is right, so this cannot be nil.
    static let upgradeTo = HTTPField.Name("Upgrade") ?? .accept
}

extension HTTPRequest {
    /// Whether the client wants the connection for something else than HTTP.
    var wantsUpgrade: Bool {
        guard headerFields[.upgradeTo] != nil, let connection = HTTPField.Name("Connection") else { return false }
        return headerFields[values: connection].contains { $0.lowercased().contains("upgrade") }
    }
}
