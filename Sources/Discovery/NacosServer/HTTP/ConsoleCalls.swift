// What clients and consoles test a server with, the namespaces, and the cluster of one.

import Catalogue
import Formats

struct ConsoleCalls: Sendable {
    let backend: Backend

    /// The release of Nacos whose calls these are; clients and consoles look at it.
    static let nacosVersion = "3.0.3"

    func answer(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        if let answer = probe(request) { return answer }
        switch request.path {
        case "/nacos/v1/console/namespaces": return try await namespacesV1(request)
        case "/nacos/v2/console/namespace/list", "/nacos/v3/admin/core/namespace/list",
            "/nacos/v3/console/core/namespace/list":
            return .result(.array(shownNamespaces(publicID: NacosNames.publicNamespace)))
        case "/nacos/v2/console/namespace", "/nacos/v3/admin/core/namespace", "/nacos/v3/console/core/namespace":
            return try await namespace(request)
        case "/nacos/v3/admin/core/namespace/exist", "/nacos/v3/console/core/namespace/exist":
            let id = try request.required("customNamespaceId", "namespaceId")
            return .result(.bool(backend.namespaces.namespaces().contains { $0.id == id }))
        default: return nil
        }
    }

    /// The calls that only ask whether there is a server, and which.
    private func probe(_ request: OpenAPIRequest) -> OpenAPIResponse? {
        guard request.method == "GET" else { return nil }
        switch request.path {
        case "/nacos/v1/console/health/liveness": return .text("OK")
        case "/nacos/v1/console/health/readiness":
            return .text(isReady ? "OK" : "starting", status: isReady ? 200 : 500)
        case "/nacos/v2/console/health/liveness", "/nacos/v3/console/health/liveness",
            "/nacos/v3/admin/core/state/liveness":
            return .result("ok")
        case "/nacos/v2/console/health/readiness", "/nacos/v3/console/health/readiness",
            "/nacos/v3/admin/core/state/readiness":
            return isReady ? .result("ok") : .refusal(.starting, path: request.path)
        case "/nacos/actuator/health", "/actuator/health": return .json(["status": "UP"])
        case "/nacos/v1/console/server/state": return .json(state)
        case "/nacos/v3/admin/core/state", "/nacos/v3/console/server/state", "/nacos/v2/console/server/state":
            return .json(state)
        case "/nacos/serverlist": return .text((request.header("Host") ?? "") + "\n")
        case "/nacos/v1/core/cluster/nodes", "/nacos/v1/ns/operator/servers":
            return .restResult([member(request)])
        case "/nacos/v1/core/cluster/self": return .restResult(member(request))
        case "/nacos/v2/core/cluster/node/list", "/nacos/v3/admin/core/cluster/node/list",
            "/nacos/v3/console/core/cluster/nodes":
            return .result([member(request)])
        case "/nacos/v2/core/cluster/node/self", "/nacos/v3/admin/core/cluster/node/self":
            return .result(member(request))
        case "/nacos/v2/core/cluster/node/self/health", "/nacos/v3/admin/core/cluster/node/self/health":
            return .result("UP")
        default: return nil
        }
    }

    private var isReady: Bool { backend.catalogue.isComplete && backend.configurations.isComplete }

    private var state: JSON {
        [
            "version": .string(Self.nacosVersion), "standalone_mode": "standalone", "function_mode": .null,
            "startup_mode": "server", "auth_enabled": .bool(backend.accounts != nil), "server_port": "8848",
        ]
    }

    private func member(_ request: OpenAPIRequest) -> JSON {
        let address = request.header("Host") ?? ""
        let parts = address.split(separator: ":").map(String.init)
        return [
            "ip": .string(parts.first ?? ""), "port": JSON(parts.last.flatMap { Int($0) } ?? 8_848), "state": "UP",
            "address": .string(address), "failAccessCnt": 0,
            "extendInfo": ["version": .string(Self.nacosVersion), "readyToUpgrade": true],
        ]
    }

    // MARK: Namespaces

    private func shownNamespaces(publicID: String) -> [JSON] {
        backend.namespaces.namespaces().map { shown($0, publicID: publicID) }
    }

    private func shown(_ namespace: NacosNamespace, publicID: String) -> JSON {
        let isPublic = namespace.id == NacosNames.publicNamespace
        let held = backend.configurations.items(namespace: NacosNames.catalogueNamespace(namespace.id)).count
        return [
            "namespace": .string(isPublic ? publicID : namespace.id), "namespaceShowName": .string(namespace.title),
            "namespaceDesc": .string(namespace.summary), "quota": 200, "configCount": JSON(held),
            "type": isPublic ? 0 : 2,
        ]
    }

    private func namespacesV1(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        switch request.method {
        case "GET":
            if request.parameters.flag("checkNamespaceIdExist") == true {
                let id = request.parameter("customNamespaceId") ?? ""
                return .json(.bool(backend.namespaces.namespaces().contains { $0.id == id }))
            }
            if request.parameters["show"] == "all" { return .json(try found(request.namespace ?? "", publicID: "")) }
            return .restResult(.array(shownNamespaces(publicID: "")))
        case "POST", "PUT", "DELETE":
            try await write(request)
            return .text("true")
        default: return nil
        }
    }

    private func namespace(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        switch request.method {
        case "GET":
            return .result(try found(request.namespace ?? "", publicID: NacosNames.publicNamespace))
        case "POST", "PUT", "DELETE":
            try await write(request)
            return .result(true)
        default: return nil
        }
    }

    private func found(_ spoken: String, publicID: String) throws(NacosProblem) -> JSON {
        let id = spoken.isEmpty ? NacosNames.publicNamespace : spoken
        guard let found = backend.namespaces.namespaces().first(where: { $0.id == id }) else {
            throw NacosProblem(.unknown(id))
        }
        return shown(found, publicID: publicID)
    }

    private func write(_ request: OpenAPIRequest) async throws(NacosProblem) {
        do throws(NamespaceProblem) {
            switch request.method {
            case "POST": try await backend.namespaces.create(try created(request))
            case "PUT":
                let id = request.parameter("namespace", "namespaceId") ?? ""
                let title = request.parameter("namespaceShowName", "namespaceName") ?? id
                try await backend.namespaces.update(
                    NacosNamespace(
                        id: id, title: title, summary: request.parameters["namespaceDesc"] ?? "", isOwn: true))
            default: try await backend.namespaces.delete(request.parameter("namespaceId") ?? "")
            }
        } catch {
            throw NacosProblem(error)
        }
    }

    /// Without an id Nacos makes one up.
    private func created(_ request: OpenAPIRequest) throws(NamespaceProblem) -> NacosNamespace {
        let id = request.parameter("customNamespaceId", "namespaceId") ?? Self.freshID()
        guard id.utf8.count <= NacosNames.longestNamespace else { throw .refused("namespaceId is too long") }
        return NacosNamespace(
            id: id, title: request.parameter("namespaceName") ?? id,
            summary: request.parameters["namespaceDesc"] ?? "", isOwn: true)
    }

    private static func freshID() -> String {
        var source = SystemRandomNumberGenerator()
        let digits = (0..<2).map { _ in String(UInt64.random(in: .min ... .max, using: &source), radix: 16) }
        return "ns-" + digits.joined()
    }
}
