// An API server over a store in a temporary directory, called in process or by the real kubectl over TLS.

import Access
import Formats
import Glibc
import HTTPTypes
import Logging
import Objects
import Storage
import Synchronization
import Testing
import Watching

@testable import APIServer

/// A directory of its own, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/mangrove-api-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/mangrove-api-none"
    }

    deinit { removeTree(path) }

    private func removeTree(_ path: String) {
        guard let directory = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            removeTree(path + "/" + name)
        }
        closedir(directory)
        rmdir(path)
    }
}

/// A node whose pods all say the same.
struct SpeakingNode: NodeAccess {
    func logs(namespace: String, pod: String, options: LogOptions) async throws(Problem) -> any APIChunks {
        LineChunks(["\(namespace)/\(pod)/\(options.container)\n", "tail \(options.tailLines ?? -1)\n"])
    }
}

final class LineChunks: APIChunks {
    private let lines: Mutex<[String]>

    init(_ lines: [String]) { self.lines = Mutex(lines) }

    func next() async throws -> [UInt8]? {
        lines.withLock { $0.isEmpty ? nil : Array($0.removeFirst().utf8) }
    }
}

/// The server under test.
final class Server: Sendable {
    let directory = TemporaryDirectory()
    let store: Store
    let hub: Hub
    let api: KubernetesAPI

    init(limits: APILimits = .init(), watches: WatchLimits = .init(), isBootstrapped: Bool = true) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        store = try Store.open(at: directory.path + "/store", logger: logger)
        hub = Hub(store: store, limits: watches)
        api = try KubernetesAPI(store: store, hub: hub, nodeAccess: SpeakingNode(), limits: limits, logger: logger)
        if isBootstrapped { try await api.bootstrap(endpointAddress: "127.0.0.1", port: 6443) }
    }

    deinit {
        hub.close()
        store.close()
    }

    /// An answer with its whole body read as JSON; text that is no JSON becomes a string.
    struct Reply {
        var code: Int
        var fields: HTTPFields
        var tree: JSON

        subscript(_ first: String, _ rest: String...) -> JSON? { tree.value(at: [first] + rest) }
        var reason: String? { tree["reason"]?.string }
        var message: String { tree["message"]?.string ?? "" }
        var object: Object { Object(tree) }
        var resourceVersion: String { object.resourceVersion }
        var items: [Object] { (tree["items"]?.array ?? []).map(Object.init) }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSON? = nil, type: String = "application/json",
        accept: String? = nil, identity: Identity = .component("test")
    ) async throws -> Reply {
        let answer = await raw(method, path, body?.bytes ?? [], type: type, accept: accept, identity: identity)
        var bytes: [UInt8] = []
        switch answer.body {
        case .bytes(let whole): bytes = whole
        case .stream(let chunks): while let chunk = try await chunks.next() { bytes += chunk }
        }
        let tree = (try? JSON(parsing: bytes)) ?? .string(String(decoding: bytes, as: UTF8.self))
        return Reply(code: answer.response.status.code, fields: answer.response.headerFields, tree: tree)
    }

    func raw(
        _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8] = [], type: String = "application/json",
        accept: String? = nil, identity: Identity = .component("test")
    ) async -> APIAnswer {
        var request = HTTPRequest(method: method, scheme: "https", authority: "test", path: path)
        if !body.isEmpty { request.headerFields[.contentType] = type }
        if let accept { request.headerFields[.accept] = accept }
        return await api.handle(request, body: body, identity: identity)
    }

    func get(_ path: String, accept: String? = nil) async throws -> Reply { try await send(.get, path, accept: accept) }

    func post(_ path: String, _ body: JSON) async throws -> Reply { try await send(.post, path, body) }

    /// Starts a watch; the lines come one by one.
    func watch(_ path: String, accept: String? = nil) async throws -> Lines {
        let answer = await raw(.get, path, accept: accept)
        guard case .stream(let chunks) = answer.body else {
            if case .bytes(let bytes) = answer.body {
                Issue.record("no stream: \(String(decoding: bytes, as: UTF8.self))")
            }
            throw Problem.badRequest("no stream")
        }
        return Lines(chunks)
    }

    /// The lines of a watch as trees.
    final class Lines: Sendable {
        private let chunks: any APIChunks
        private let waiting = Mutex<[JSON]>([])

        init(_ chunks: any APIChunks) { self.chunks = chunks }

        func next() async throws -> JSON? {
            while true {
                if let line = waiting.withLock({ $0.isEmpty ? JSON?.none : $0.removeFirst() }) { return line }
                guard let chunk = try await chunks.next() else { return nil }
                let lines = try chunk.split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
                waiting.withLock { $0 += lines }
            }
        }

        /// `ADDED web` and the like.
        func word() async throws -> String {
            guard let line = try await next() else { return "END" }
            return "\(line["type"]?.string ?? "") \(line["object", "metadata", "name"]?.string ?? "")"
        }

        /// The next events as a reader in this program gets them, written as lines.
        func values() async throws -> [JSON] {
            guard let events = try await chunks.events?.nextEvents() else { return [] }
            return events.map { event in
                switch event {
                case .added(let object): ["type": "ADDED", "object": object.tree]
                case .modified(let object): ["type": "MODIFIED", "object": object.tree]
                case .deleted(let object): ["type": "DELETED", "object": object.tree]
                case .bookmark(let revision):
                    ["type": "BOOKMARK", "object": ["metadata": ["resourceVersion": .string(revision)]]]
                }
            }
        }
    }
}

extension Server {
    /// Runs `body` while the server listens on a port of the loopback, over TLS with these credentials.
    func listening(_ body: @escaping @Sendable (Credentials, Int) async throws -> Void) async throws {
        let credentials = try Credentials.open(
            at: directory.path + "/pki", now: APIEnvironment.system.now().secondsSinceEpoch)
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let listener = try APIListener(api: api, credentials: credentials, host: "127.0.0.1", port: 0, logger: logger)
        let (ports, port) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run { port.yield($0) } }
            var iterator = ports.makeAsyncIterator()
            guard let bound = await iterator.next() else { return }
            try await body(credentials, bound)
            group.cancelAll()
        }
    }
}

/// Objects that tests begin with.
enum Sample {
    static func pod(_ name: String, labels: [String: String] = [:]) -> JSON {
        [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": JSON(stringMap: labels)],
            "spec": ["containers": [["name": "main", "image": "host", "command": ["sleep", "1"]]]],
        ]
    }

    static func deployment(_ name: String, replicas: Int? = nil) -> JSON {
        var spec: JSON = [
            "selector": ["matchLabels": ["app": .string(name)]],
            "template": [
                "metadata": ["labels": ["app": .string(name)], "creationTimestamp": .null],
                "spec": ["containers": [["name": "main", "image": "nginx:1.27", "ports": [["containerPort": 80]]]]],
            ],
        ]
        if let replicas { spec["replicas"] = JSON(replicas) }
        return ["apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": .string(name)], "spec": spec]
    }

    static func service(_ name: String, type: String? = nil) -> JSON {
        var spec: JSON = ["selector": ["app": .string(name)], "ports": [["port": 80, "targetPort": 8080]]]
        if let type { spec["type"] = .string(type) }
        return ["apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)], "spec": spec]
    }

    static func configMap(_ name: String, _ data: [String: String] = [:]) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": JSON(stringMap: data)]
    }
}
