// An API server that knows its callers, with people who are not masters.

import Access
import Formats
import HTTPTypes
import Logging
import Objects
import Storage
import Watching

@testable import APIServer

/// A server with credentials of its own, called in process as anybody.
final class GuardedServer: Sendable {
    static let admin = Identity.component("test")
    static let jane = Identity(name: "jane", groups: ["dev", Identity.authenticatedGroup])

    let directory = TemporaryDirectory()
    let store: Store
    let hub: Hub
    let api: KubernetesAPI
    let credentials: Credentials
    let authenticator: Authenticator

    init() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        store = try Store.open(at: directory.path + "/store", logger: logger)
        hub = Hub(store: store)
        credentials = try Credentials.open(
            at: directory.path + "/pki", now: APIEnvironment.system.now().secondsSinceEpoch)
        authenticator = try Authenticator(credentials)
        api = try KubernetesAPI(
            store: store, hub: hub, nodeAccess: SpeakingNode(), authenticator: authenticator, logger: logger)
        try await api.bootstrap(endpointAddress: "127.0.0.1", port: 6443)
        _ = try await post("/api/v1/namespaces/default/serviceaccounts", ["metadata": ["name": "default"]])
    }

    deinit {
        hub.close()
        store.close()
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSON? = nil, type: String = "application/json",
        as identity: Identity = GuardedServer.admin, fields: [(String, String)] = []
    ) async throws -> Server.Reply {
        var request = HTTPRequest(method: method, scheme: "https", authority: "test", path: path)
        if body != nil { request.headerFields[.contentType] = type }
        for (name, value) in fields {
            if let name = HTTPField.Name(name) { request.headerFields.append(HTTPField(name: name, value: value)) }
        }
        let answer = await api.handle(request, body: body?.bytes ?? [], identity: identity)
        var bytes: [UInt8] = []
        switch answer.body {
        case .bytes(let whole): bytes = whole
        case .stream(let chunks): while let chunk = try await chunks.next() { bytes += chunk }
        }
        let tree = (try? JSON(parsing: bytes)) ?? .string(String(decoding: bytes, as: UTF8.self))
        return Server.Reply(code: answer.response.status.code, fields: answer.response.headerFields, tree: tree)
    }

    func get(_ path: String, as identity: Identity = GuardedServer.admin) async throws -> Server.Reply {
        try await send(.get, path, as: identity)
    }

    @discardableResult
    func post(
        _ path: String, _ body: JSON, as identity: Identity = GuardedServer.admin
    ) async throws -> Server.Reply {
        try await send(.post, path, body, as: identity)
    }

    /// Whoever shows this token.
    func identity(token: String) throws -> Identity {
        try api.identify(by: authenticator, certificate: nil, authorization: "Bearer \(token)")
    }

    static let roles = "/apis/rbac.authorization.k8s.io/v1"

    func give(_ object: Object, as identity: Identity = GuardedServer.admin) async throws -> Server.Reply {
        let kind = object.kind.lowercased() + "s"
        let place = object.namespace.isEmpty ? "" : "/namespaces/\(object.namespace)"
        return try await post("\(Self.roles)\(place)/\(kind)", object.tree, as: identity)
    }
}
