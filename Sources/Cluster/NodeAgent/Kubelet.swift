// Runs the pods that are bound to this node, and tells the API about them and about the node.

import Client
import ContainerRuntimes
import Formats
import Logging
import Objects
import PodNetwork
import Reconciling
import Synchronization
import Timing

/// The agent of one node (the kubelet's part): one worker per pod, one view of the runtime, one Node object.
package final class Kubelet: Sendable {
    private struct Entry {
        var worker: PodWorker
        /// The pod may come again under its name, but this one never does.
        var isVanished = false
    }

    private struct State {
        /// By uid.
        var entries: [String: Entry] = [:]
        var waiting: [PodWorker] = []
        var isStopping = false
    }

    private let node: NodeSurroundings
    private let informer: Informer
    private let upkeep: VolumeUpkeep
    private let registration: NodeRegistration
    private let state = Mutex(State())
    private let signal = Signal()

    /// `withdrawn` returns when the service proxy sends nothing to a pod's address any more.
    package init(
        configuration: NodeConfiguration, client: KubernetesClient, runtime: any ContainerRuntime,
        network: any PodNetworking, withdrawn: @escaping @Sendable (String) async -> Void, clock: WallClock = .system,
        logger: Logger
    ) {
        let recorder = EventRecorder(
            client: client, component: "kubelet", host: configuration.nodeName, clock: clock, logger: logger)
        informer = Informer(
            client: client, resource: .pods, selection: Selection(fields: "spec.nodeName=\(configuration.nodeName)"),
            logger: logger)
        node = NodeSurroundings(
            configuration: configuration, client: client, runtime: runtime, network: network, withdrawn: withdrawn,
            prober: Prober(runtime: runtime), recorder: recorder,
            view: RuntimeView(
                runtime: runtime, messages: TerminationMessages(podsDirectory: configuration.podsDirectory),
                logger: logger),
            pods: informer, tokens: TokenSource(clock: clock), clock: clock, logger: logger)
        upkeep = VolumeUpkeep(node: node)
        registration = NodeRegistration(configuration: configuration, client: client, clock: clock, logger: logger)
        informer.onChange { [weak self] change in self?.podChanged(change) }
    }

    /// Works until cancelled; the pods then keep running, and the next agent adopts them.
    package func run() async throws {
        try Files.makeDirectory(node.configuration.logsDirectory)
        try Files.makeDirectory(node.configuration.podsDirectory)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.node.recorder.run() }
            group.addTask { await self.node.view.run() }
            group.addTask { await self.node.view.listen() }
            group.addTask { await self.registration.run() }
            group.addTask { await self.informer.run() }
            group.addTask { await self.upkeep.run(pods: self.informer) }
            group.addTask { await self.watchStorage() }
            group.addTask { await self.removeOrphans() }
            group.addTask { await self.runWorkers() }
        }
        await node.prober.shutdown()
    }

    /// Stops every pod in its grace period and leaves it in the API; returns when all have stopped. Needs `run()`
    /// running.
    package func stopPods() async {
        let workers = state.withLock { state in
            state.isStopping = true
            return state.entries.values.map(\.worker)
        }
        for worker in workers { worker.inbox.post { $0.isNodeStopping = true } }
        for worker in workers { try? await worker.finished.wait() }
    }

    /// A container's log (`kubectl logs`). Throws NotFound or BadRequest in upstream's words when there is none.
    package func logs(
        namespace: String, pod name: String, options: LogReading
    ) async throws(Problem) -> LogStream {
        guard let pod = informer.get(ObjectKey(namespace: namespace, name: name)) else {
            throw .notFound(.pods, name)
        }
        let runtime = node.runtime
        return try PodLogs(directory: node.configuration.logsDirectory).open(pod, options) { container in
            let containers = (try? await runtime.containers()) ?? []
            return containers.contains { $0.sandboxID == pod.uid && $0.name == container && $0.state == .running }
        }
    }

    /// What reaches into running pods: commands, attachments and ports.
    package var access: PodAccess { PodAccess(informer: informer, runtime: node.runtime) }

    // MARK: Pods

    private func podChanged(_ change: Change) {
        let new = change.new
        if let old = change.old, old.uid != new?.uid { vanished(old.uid) }
        guard let new, new.spec["nodeName"]?.string == node.configuration.nodeName else { return }
        let inbox: PodInbox? = state.withLock { state in
            if let entry = state.entries[new.uid] { return entry.worker.inbox }
            guard !state.isStopping else { return nil }
            let worker = PodWorker(new, node)
            state.entries[new.uid] = Entry(worker: worker)
            state.waiting.append(worker)
            node.view.add(worker.inbox, uid: new.uid)
            return nil
        }
        inbox?.post { $0.sight = .shown(new) }
        upkeep.podChanged(from: change.old, to: new)
        signal.raise()
    }

    private func vanished(_ uid: String) {
        let worker = state.withLock { state in
            state.entries[uid]?.isVanished = true
            return state.entries[uid]?.worker
        }
        worker?.inbox.post { $0.sight = .vanished }
        signal.raise()
    }

    private func runWorkers() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let workers = state.withLock { state in
                    defer { state.waiting = [] }
                    // A worker that is done stays known until its pod is out of the API, so that it is not begun again.
                    for (uid, entry) in state.entries where entry.isVanished && entry.worker.finished.isOpen {
                        state.entries[uid] = nil
                        node.view.remove(uid: uid)
                    }
                    return state.waiting
                }
                for worker in workers {
                    group.addTask {
                        await worker.run()
                        self.signal.raise()
                    }
                }
                await signal.wait()
            }
            group.cancelAll()
        }
    }

    /// Ends pods that take more of the disk than they may, until cancelled.
    private func watchStorage() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: StorageLimits.period)
            for pod in informer.list() where pod.status["phase"]?.string == "Running" && !pod.isTerminating {
                let limits = StorageLimits(of: pod, paths: PodPaths(node.configuration, pod: pod))
                guard !limits.isEmpty,
                    let message = await limits.excess(written: { await node.runtime.writtenBytes(sandbox: pod.uid) })
                else { continue }
                state.withLock { $0.entries[pod.uid]?.worker }?.inbox.post {
                    $0.results.append(.evicted(message: message))
                }
            }
        }
    }

    /// Removes what pods left behind that went out of the API while no agent ran.
    private func removeOrphans() async {
        do {
            try await informer.waitUntilSynced()
            // First what is there, then who may have it: a pod is known before it has anything.
            let sandboxes = try await node.runtime.sandboxes()
            let pods = node.configuration.podsDirectory
            let logs = node.configuration.logsDirectory
            let (podNames, logNames) = (Files.names(in: pods), Files.names(in: logs))
            let known = Set(informer.list().map(\.uid))
            for sandbox in sandboxes where !known.contains(sandbox.id) {
                node.logger.info("removing a pod that is not in the API any more", metadata: ["pod": "\(sandbox.name)"])
                try await node.runtime.removeSandbox(sandbox.id)
                await node.network.detach(sandbox: sandbox.id)
            }
            for uid in podNames where !known.contains(uid) { Files.remove("\(pods)/\(uid)") }
            for name in logNames where !known.contains(PodLogs.uid(ofDirectory: name)) {
                Files.remove("\(logs)/\(name)")
            }
        } catch is CancellationError {
            return
        } catch {
            node.logger.warning("cannot remove what old pods left behind", metadata: ["error": "\(error)"])
        }
    }
}
