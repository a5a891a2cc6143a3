// Keeps a copy of a resource's objects true by listing once and watching from there.

import Client
import Logging
import Objects
import Synchronization
import Timing

/// A cache of the objects of one resource (or a selection of them) with change notices.
///
/// Promises: the cache is the state of some revision, never older than one it showed before within one run of the
/// server; handlers are called in order, after the cache shows the change, by one task. Needs `run()` to be running.
package final class Informer: Sendable {
    /// Objects asked for in one page of a list.
    static let pageLimit = 500
    /// Between failures; the jitter keeps many informers from coming back together.
    static let backoff = Backoff(initial: .milliseconds(100), limit: .seconds(15), jitter: 1)

    package let resource: Resource
    private let client: KubernetesClient
    private let selection: Selection
    private let admits: @Sendable (Object) -> Bool
    private let logger: Logger
    private let machine: Mutex<InformerMachine>
    private let handlers = Mutex<[@Sendable (Change) -> Void]>([])
    private let synced = Gate()

    /// What `admits` refuses is not held, as if it did not exist; for what no selector of the API can say.
    package init(
        client: KubernetesClient, resource: Resource, selection: Selection = Selection(),
        indexes: [String: Indexer] = [:], logger: Logger, admits: @escaping @Sendable (Object) -> Bool = { _ in true }
    ) {
        self.client = client
        self.resource = resource
        self.selection = selection
        self.admits = admits
        var logger = logger
        logger[metadataKey: "resource"] = .string(resource.qualifiedName)
        self.logger = logger
        machine = Mutex(InformerMachine(indexers: indexes))
    }

    /// Adds a handler; call it before `run()`. Handlers must be quick and must not block: they put keys on queues.
    package func onChange(_ handler: @escaping @Sendable (Change) -> Void) { handlers.withLock { $0.append(handler) } }

    /// Whether the first list is in.
    package var isSynced: Bool { machine.withLock { $0.isSynced } }

    /// Returns when the first list is in and its handlers have been called; throws only when cancelled.
    package func waitUntilSynced() async throws { try await synced.wait() }

    package func get(_ key: ObjectKey) -> Object? { machine.withLock { $0.cache[key] } }

    /// All objects, or those of one namespace, in the order of their keys.
    package func list(namespace: String? = nil) -> [Object] { machine.withLock { $0.cache.list(namespace: namespace) } }

    /// The objects that a named index files under a value.
    package func indexed(_ index: String, _ value: String) -> [Object] {
        machine.withLock { $0.cache.indexed(index, value) }
    }

    /// Lists and watches until cancelled; failures are logged and tried again with growing delay.
    package func run() async {
        while !Task.isCancelled {
            do {
                switch machine.withLock({ $0.step }) {
                case .list: try await list()
                case .watch(let revision): try await watch(from: revision)
                }
            } catch {
                if Task.isCancelled { return }
                await failed(error)
            }
        }
    }

    private func list() async throws {
        var objects: [Object] = []
        var continuation: String?
        var revision = ""
        repeat {
            let page = try await client.list(
                resource, selection, limit: Self.pageLimit, continuation: continuation)
            objects += page.objects.filter(admits)
            revision = page.resourceVersion
            continuation = page.continuation
        } while continuation != nil
        let changes = machine.withLock { $0.listed(objects, resourceVersion: revision) }
        notify(changes)
        synced.open()
    }

    private func watch(from revision: String) async throws {
        let started = ContinuousClock.now
        let stream = try await client.watch(resource, selection, from: revision)
        while let event = try await stream.next() {
            let change = machine.withLock { machine -> Change? in
                switch event {
                case .added(let object), .modified(let object):
                    machine.received(admits(object) ? .put(object) : .removed(object))
                case .deleted(let object): machine.received(.removed(object))
                case .bookmark(let revision): machine.received(.reached(resourceVersion: revision))
                }
            }
            if let change { notify([change]) }
        }
        // A server that ends watches at once must not be asked again at once.
        let lasted = ContinuousClock.now - started
        if lasted < .seconds(1) { try await Task.sleep(for: .seconds(1) - lasted) }
    }

    private func notify(_ changes: [Change]) {
        let handlers = handlers.withLock { $0 }
        for change in changes {
            for handler in handlers { handler(change) }
        }
    }

    private func failed(_ error: any Error) async {
        let problem = error as? Problem
        let failures = machine.withLock { machine in
            machine.failed(problem)
            return machine.failures
        }
        let delay = Self.backoff.delay(afterFailures: failures, random: Double.random(in: 0..<1))
        let level: Logger.Level = problem?.code == 410 ? .debug : .warning
        logger.log(
            level: level, "list or watch failed",
            metadata: [
                "error": "\(error)", "retryIn": "\(delay)",
            ])
        try? await Task.sleep(for: delay)
    }
}
