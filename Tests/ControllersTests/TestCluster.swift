// A whole cluster in this process: the API over a store, every controller, the scheduler, and a node that only
// pretends.

import Access
import APIServer
import Client
import Formats
import Glibc
import HTTPTypes
import Objects
import Reconciling
import Scheduling
import Storage
import Testing
import Watching

@testable import Controllers

/// What pods of the test node do is in their annotations: `test/ends` names the phase they end in, `test/broken` keeps
/// them from becoming ready.
struct TestCluster: Sendable {
    let client: KubernetesClient
    private let api: KubernetesAPI
    private let pods: Informer

    /// Runs a cluster for the time of a test; nothing of it is left afterwards.
    static func run(_ body: @escaping @Sendable (TestCluster) async throws -> Void) async throws {
        var template = Array("/tmp/mangrove-control-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            Issue.record("no directory")
            return
        }
        let directory = String(cString: made)
        let store = try Store.open(at: directory + "/store", logger: quiet)
        let hub = Hub(store: store)
        defer {
            hub.close()
            store.close()
            for name in ["store.db", "store.db-wal", "store.db-shm", "lock", "format"] {
                unlink("\(directory)/store/\(name)")
            }
            rmdir(directory + "/store")
            rmdir(directory)
        }
        let api = try KubernetesAPI(
            store: store, hub: hub, nodeAccess: NoLogs(), usageSource: BusyPods(), logger: quiet)
        try await api.bootstrap(endpointAddress: "127.0.0.1", port: 6443)
        let cluster = TestCluster(api: api)
        try await cluster.client.create(.nodes, Thing.node("here").fresh)
        var node = try await cluster.client.get(.nodes, ObjectKey(name: "here"))
        node.status = Thing.node("here").status
        try await cluster.client.update(.nodes, node, subresource: "status")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await ControlLoops(client: cluster.client, volumeStore: NoDirectories(), logger: quiet).run()
            }
            group.addTask { try await Scheduler(client: cluster.client, logger: quiet).run() }
            group.addTask { await cluster.runNode() }
            group.addTask { try await body(cluster) }
            // Everything but the body runs until it is cancelled; a failure of any of them ends the test.
            try await group.next()
            group.cancelAll()
            while let outcome = await group.nextResult() {
                if case .failure(let error) = outcome, !(error is CancellationError) { throw error }
            }
        }
    }

    private init(api: KubernetesAPI) {
        self.api = api
        client = KubernetesClient(transport: Direct(api: api), name: "test")
        pods = Informer(client: client, resource: .pods, logger: quiet)
    }

    /// Waits until an object is as wanted, by its changes, not by the clock. Nil stands for an object that is gone.
    @discardableResult
    func until(
        _ resource: Resource, _ name: String, in namespace: String = "default", is wanted: (Object?) -> Bool
    ) async throws -> Object? {
        let selection = Selection(namespace: resource.isNamespaced ? namespace : "", fields: "metadata.name=\(name)")
        let list = try await client.list(resource, selection)
        if wanted(list.objects.first) { return list.objects.first }
        let watch = try await client.watch(resource, selection, from: list.resourceVersion)
        while let event = try await watch.next() {
            switch event {
            case .added(let object), .modified(let object): if wanted(object) { return object }
            case .deleted: if wanted(nil) { return nil }
            case .bookmark: continue
            }
        }
        Issue.record("\(resource.plural) \(name) did not become as wanted")
        return nil
    }

    /// Creates an object from a kind and its spec in the namespace `default`.
    @discardableResult
    func create(_ resource: Resource, _ name: String, _ spec: JSON) async throws -> Object {
        var object = Object(resource, namespace: "default", name: name)
        object.spec = spec
        return try await client.create(resource, object)
    }

    func list(_ resource: Resource) async throws -> [Object] {
        try await client.list(resource, Selection(namespace: "default")).objects
    }

    /// Events about an object, as `Reason: message`.
    func events(about name: String) async throws -> [String] {
        try await list(.events).filter { $0["involvedObject", "name"]?.string == name }
            .map { "\($0["reason"]?.string ?? ""): \($0["message"]?.string ?? "")" }
    }

    // MARK: The node

    private func runNode() async {
        let queue = Reconciler<ObjectKey>(name: "test-node", logger: quiet, reconcile: reconcile)
        pods.onChange { queue.enqueue($0.key) }
        await withDiscardingTaskGroup { group in
            group.addTask { await pods.run() }
            group.addTask { await queue.run() }
        }
    }

    private func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let pod = pods.get(key), pod.spec["nodeName"]?.string == "here" else { return .done }
        if pod.isTerminating {
            if pod["metadata", "deletionGracePeriodSeconds"]?.integer == 0 { return .done }
            do {
                try await client.delete(.pods, key, gracePeriodSeconds: 0, uid: pod.uid)
            } catch let problem as Problem where problem.code == 404 { return .done }
            return .done
        }
        guard pod.podPhase == "Pending" else { return .done }
        var status: JSON = ["phase": "Running", "podIP": "10.0.0.9", "podIPs": [["ip": "10.0.0.9"]]]
        var isReady = pod.annotations["test/broken"] == nil
        if let phase = pod.annotations["test/ends"] {
            status["phase"] = .string(phase)
            isReady = false
        }
        let since = Timestamp(secondsSinceEpoch: WallClock.system.now().secondsSinceEpoch)
        status["conditions"] = [
            [
                "type": "Ready", "status": isReady ? "True" : "False",
                "lastTransitionTime": .string(since.rfc3339),
            ]
        ]
        try await client.patch(.pods, key, .strategicMerge, ["status": status], subresource: "status")
        return .done
    }
}

extension Object {
    /// Without what only the server gives.
    fileprivate var fresh: Object {
        var fresh = self
        for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
            fresh.tree["metadata", field] = nil
        }
        return fresh
    }
}

private struct NoLogs: NodeAccess {
    func logs(namespace: String, pod: String, options: LogOptions) async throws(Problem) -> any APIChunks {
        throw Problem(.notImplemented, "this node keeps no logs")
    }
}

/// Every pod of the Deployment `busy` uses a tenth of a processor.
private struct BusyPods: UsageSource {
    func usage() -> UsageReport? {
        let now = Timestamp(secondsSinceEpoch: WallClock.system.now().secondsSinceEpoch)
        let usage = Usage(cpuNanocores: 100_000_000, memoryBytes: 64 << 20)
        let pods = (0..<9).map {
            UsageReport.Pod(key: ObjectKey(namespace: "default", name: "busy-\($0)"), containers: ["main": usage])
        }
        return UsageReport(node: "here", total: usage, pods: pods, time: now, windowSeconds: 10)
    }
}

/// Volumes whose directories nobody looks at.
private struct NoDirectories: VolumeStore {
    func make(_ name: String) async throws(Problem) -> String { "/nowhere/\(name)" }
    func remove(_ name: String) async throws(Problem) {}
}

private struct Direct: Transport {
    let api: KubernetesAPI

    func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer {
        let answer = await api.handle(request, body: body, identity: .component("test"))
        switch answer.body {
        case .bytes(let bytes): return Answer(response: answer.response, body: .bytes(bytes))
        case .stream(let chunks): return Answer(response: answer.response, body: .stream(Stream(source: chunks)))
        }
    }

    private struct Stream: ByteStream {
        let source: any APIChunks
        func next() async throws -> [UInt8]? { try await source.next() }
        var events: (any EventStream)? { source.events.map(Events.init) }
    }

    private struct Events: EventStream {
        let source: any APIEvents
        func nextEvents() async throws -> [WatchEvent]? { try await source.nextEvents() }
    }
}
