// Services and EndpointSlices for tests, and a transport that serves them to informers.

import Client
import Formats
import HTTPTypes
import Objects
import Reconciling
import Synchronization

enum Picture {
    static func service(
        _ name: String, ip: String, ports: [JSON] = [["name": "http", "port": 80, "protocol": "TCP"]],
        spec extra: [String: JSON] = [:]
    ) -> Object {
        var service = Object(.services, namespace: "shop", name: name)
        service.spec = ["clusterIP": .string(ip), "type": "ClusterIP", "ports": .array(ports)]
        for (key, value) in extra { service.tree["spec", key] = value }
        return service
    }

    enum Endpoint {
        case ready(String)
        case unready(String)
        case leaving(String, isServing: Bool)

        var tree: JSON {
            switch self {
            case .ready(let address):
                ["addresses": [.string(address)], "conditions": ["ready": true, "serving": true]]
            case .unready(let address):
                ["addresses": [.string(address)], "conditions": ["ready": false, "serving": false]]
            case .leaving(let address, let isServing):
                [
                    "addresses": [.string(address)],
                    "conditions": ["ready": false, "serving": .bool(isServing), "terminating": true],
                ]
            }
        }
    }

    static func slice(
        _ name: String, of service: String, ports: [JSON] = [["name": "http", "port": 8080, "protocol": "TCP"]],
        _ endpoints: [Endpoint]
    ) -> Object {
        var slice = Object(.endpointSlices, namespace: "shop", name: name)
        slice.labels = ["kubernetes.io/service-name": service]
        slice["addressType"] = "IPv4"
        slice["ports"] = .array(ports)
        slice["endpoints"] = .array(endpoints.map(\.tree))
        return slice
    }
}

/// Serves lists of objects and lets the test push watch events.
final class PictureAPI: Transport {
    private struct State {
        var revision = 1
        var objects: [String: [Object]] = [:]
        var streams: [String: EventStream] = [:]
    }

    private let state = Mutex(State())

    init(services: [Object], slices: [Object]) {
        state.withLock { state in
            state.objects = [Resource.services.path(): services, Resource.endpointSlices.path(): slices]
            for path in state.objects.keys { state.streams[path] = EventStream() }
        }
    }

    var client: KubernetesClient { KubernetesClient(transport: self, name: "test") }

    func modify(_ resource: Resource, _ object: Object) {
        let (stream, revision) = state.withLock { state in
            state.revision += 1
            return (state.streams[resource.path()], state.revision)
        }
        var object = object
        object.resourceVersion = "\(revision)"
        stream?.push(["type": "MODIFIED", "object": object.tree])
    }

    func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer {
        let parts = (request.path ?? "").split(separator: "?", maxSplits: 1).map(String.init)
        let isWatch = parts.count > 1 && parts[1].contains("watch=")
        return state.withLock { state in
            if isWatch, let stream = state.streams[parts[0]] {
                return Answer(response: HTTPResponse(status: .ok), body: .stream(stream))
            }
            let items = (state.objects[parts[0]] ?? []).map { object in
                var object = object
                object.resourceVersion = "1"
                return object.tree
            }
            let list: JSON = ["kind": "List", "metadata": ["resourceVersion": "1"], "items": .array(items)]
            return Answer(response: HTTPResponse(status: .ok), body: .bytes(list.bytes))
        }
    }

    private final class EventStream: ByteStream {
        private let lines = Mutex<[UInt8]>([])
        private let signal = Signal()

        func push(_ event: JSON) {
            lines.withLock { $0 += event.bytes + [UInt8(ascii: "\n")] }
            signal.raise()
        }

        func next() async throws -> [UInt8]? {
            while !Task.isCancelled {
                let bytes = lines.withLock { lines in
                    defer { lines = [] }
                    return lines
                }
                if !bytes.isEmpty { return bytes }
                await signal.wait()
            }
            throw CancellationError()
        }
    }
}
