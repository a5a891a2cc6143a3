// The calls of the client, one method per verb of the API.

import Formats
import HTTPTypes
import Objects

/// What happens to the dependants of a deleted object.
package enum Propagation: String, Sendable {
    case background = "Background"
    case foreground = "Foreground"
    case orphan = "Orphan"
}

extension KubernetesClient {
    /// The most bytes of an answer that a call other than a watch reads.
    package static let answerLimitBytes = 256 << 20
    /// How long a watch asks the server to keep it; the server ends it then and the watcher starts again.
    package static let watchSeconds = 300

    package func get(_ resource: Resource, _ key: ObjectKey, subresource: String? = nil) async throws -> Object {
        let path = resource.path(namespace: key.namespace, name: key.name, subresource: subresource)
        return Object(try await call(.get, path))
    }

    /// An object, or nil where there is none of that name.
    package func find(_ resource: Resource, _ key: ObjectKey) async throws -> Object? {
        do {
            return try await get(resource, key)
        } catch let problem as Problem where problem.code == 404 {
            return nil
        }
    }

    /// One page; without a limit the server gives everything at once.
    package func list(
        _ resource: Resource, _ selection: Selection = Selection(), limit: Int? = nil, continuation: String? = nil,
        resourceVersion: String? = nil
    ) async throws -> ObjectList {
        var query = selection.query
        if let limit { query.append(("limit", String(limit))) }
        if let continuation { query.append(("continue", continuation)) }
        if let resourceVersion { query.append(("resourceVersion", resourceVersion)) }
        let tree = try await call(.get, resource.path(namespace: selection.namespace), query: query)
        let objects = (tree["items"]?.array ?? []).map { item in
            // The items of a typed list carry no apiVersion and kind of their own; an object here always does.
            var item = item
            if item["kind"] == nil { item["kind"] = .string(resource.kind) }
            if item["apiVersion"] == nil { item["apiVersion"] = .string(resource.apiVersion) }
            return Object(item)
        }
        let token = tree["metadata", "continue"]?.string ?? ""
        return ObjectList(
            objects: objects, resourceVersion: tree["metadata", "resourceVersion"]?.string ?? "",
            continuation: token.isEmpty ? nil : token)
    }

    /// Creates an object in its own namespace. With a subresource (`binding`, `eviction`, `token`) it is posted to the
    /// object of its name.
    @discardableResult
    package func create(
        _ resource: Resource, _ object: Object, subresource: String? = nil
    ) async throws -> Object {
        let name = subresource == nil ? nil : object.name
        let path = resource.path(namespace: object.namespace, name: name, subresource: subresource)
        return Object(try await call(.post, path, query: manager, body: object.tree))
    }

    /// Replaces an object; with its `resourceVersion` set only that revision of it (409 Conflict otherwise).
    @discardableResult
    package func update(
        _ resource: Resource, _ object: Object, subresource: String? = nil
    ) async throws -> Object {
        let path = resource.path(namespace: object.namespace, name: object.name, subresource: subresource)
        return Object(try await call(.put, path, query: manager, body: object.tree))
    }

    @discardableResult
    package func patch(
        _ resource: Resource, _ key: ObjectKey, _ kind: PatchKind, _ patch: JSON, subresource: String? = nil
    ) async throws -> Object {
        let path = resource.path(namespace: key.namespace, name: key.name, subresource: subresource)
        return Object(try await call(.patch, path, query: manager, body: patch, contentType: kind.rawValue))
    }

    /// Deletes an object, only if it still has this uid and revision where they are given. Answers what the server
    /// answered: the object as it is now, or a Status.
    @discardableResult
    package func delete(
        _ resource: Resource, _ key: ObjectKey, gracePeriodSeconds: Int? = nil, propagation: Propagation? = nil,
        uid: String? = nil, resourceVersion: String? = nil
    ) async throws -> JSON {
        var options: JSON = ["kind": "DeleteOptions", "apiVersion": "v1"]
        if let gracePeriodSeconds { options["gracePeriodSeconds"] = JSON(gracePeriodSeconds) }
        if let propagation { options["propagationPolicy"] = .string(propagation.rawValue) }
        if let uid { options["preconditions", "uid"] = .string(uid) }
        if let resourceVersion { options["preconditions", "resourceVersion"] = .string(resourceVersion) }
        let path = resource.path(namespace: key.namespace, name: key.name)
        return try await call(.delete, path, body: options)
    }

    /// Starts a watch of everything after a revision. Throws at once where the server refuses it (410 when the revision
    /// is too old).
    package func watch(
        _ resource: Resource, _ selection: Selection = Selection(), from resourceVersion: String
    ) async throws -> WatchStream {
        var query = selection.query
        query.append(("watch", "true"))
        query.append(("allowWatchBookmarks", "true"))
        query.append(("timeoutSeconds", String(Self.watchSeconds)))
        if !resourceVersion.isEmpty { query.append(("resourceVersion", resourceVersion)) }
        let answer = try await send(.get, resource.path(namespace: selection.namespace), query: query)
        return WatchStream(answer.body)
    }

    /// A GET of any path, for what is no object: `/version`, `/readyz`, discovery, logs.
    package func raw(_ path: String, query: [(String, String)] = []) async throws -> Answer {
        try await send(.get, path, query: query)
    }

    private var manager: [(String, String)] { [("fieldManager", name)] }

    private func call(
        _ method: HTTPRequest.Method, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        contentType: String = "application/json"
    ) async throws -> JSON {
        let answer = try await send(method, path, query: query, body: body, contentType: contentType)
        let bytes = try await answer.body.collect(limitBytes: Self.answerLimitBytes)
        return try JSON(parsing: bytes)
    }

    /// Sends a request and turns any answer that is not a success into a problem.
    private func send(
        _ method: HTTPRequest.Method, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        contentType: String = "application/json"
    ) async throws -> Answer {
        var request = HTTPRequest(
            method: method, scheme: "https", authority: "kubernetes", path: path + QueryString.encode(query))
        request.headerFields[.accept] =
            readsMetadataOnly && method == .get
            ? "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json" : "application/json"
        request.headerFields[.userAgent] = name
        if body != nil { request.headerFields[.contentType] = contentType }
        let answer = try await transport.send(request, body: body?.bytes ?? [])
        if answer.response.status.kind == .successful { return answer }
        throw await Self.problem(answer)
    }

    /// The most bytes of an error answer that are read.
    static let problemLimitBytes = 1 << 20

    private static func problem(_ answer: Answer) async -> Problem {
        let code = answer.response.status.code
        let bytes = (try? await answer.body.collect(limitBytes: problemLimitBytes)) ?? []
        var problem: Problem
        if let tree = try? JSON(parsing: bytes), tree["kind"]?.string == "Status" {
            problem = Problem(status: tree, code: code)
        } else {
            // A proxy or an unknown path answers with plain text.
            let text = String(decoding: bytes.prefix(200), as: UTF8.self)
            problem = Problem(.unknown, "the server answered with status \(code): \(text)", code: code)
        }
        if problem.retryAfterSeconds == nil, let seconds = answer.response.headerFields[.retryAfter] {
            problem.retryAfterSeconds = Int(seconds)
        }
        return problem
    }
}

extension Selection {
    fileprivate var query: [(String, String)] {
        var query: [(String, String)] = []
        if !labels.isEmpty { query.append(("labelSelector", labels)) }
        if !fields.isEmpty { query.append(("fieldSelector", fields)) }
        return query
    }
}

extension Answer.Body {
    /// The whole body; a longer one than the limit is a problem.
    package func collect(limitBytes: Int) async throws -> [UInt8] {
        switch self {
        case .bytes(let bytes):
            return bytes
        case .stream(let stream):
            var all: [UInt8] = []
            while let chunk = try await stream.next() {
                all += chunk
                if all.count > limitBytes {
                    throw Problem(.requestEntityTooLarge, "the answer is longer than \(limitBytes) bytes")
                }
            }
            return all
        }
    }
}
