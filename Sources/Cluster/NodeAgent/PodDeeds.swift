// Does what a pod machine asks for: the one place where a pod's actions meet the runtime, the network and the API.

import Client
import ContainerRuntimes
import Formats
import Logging
import Objects
import PodNetwork
import Reconciling

/// What all pods of a node share.
struct NodeSurroundings: Sendable {
    let configuration: NodeConfiguration
    let client: KubernetesClient
    let runtime: any ContainerRuntime
    let network: any PodNetworking
    let withdrawn: @Sendable (String) async -> Void
    let prober: Prober
    let recorder: EventRecorder
    let view: RuntimeView
    /// The pods of this node.
    let pods: Informer
    let tokens: TokenSource
    let clock: WallClock
    let logger: Logger
}

/// The deeds for one pod; each returns its end.
struct PodDeeds: Sendable {
    let node: NodeSurroundings
    let specification: PodSpecification
    let paths: PodPaths

    init(_ node: NodeSurroundings, _ specification: PodSpecification) {
        self.node = node
        self.specification = specification
        paths = PodPaths(
            node.configuration, namespace: specification.key.namespace, name: specification.key.name,
            uid: specification.uid)
    }

    private func preparation(_ pod: Object, address: String) -> ContainerPreparation {
        ContainerPreparation(
            pod: pod, specification: specification, configuration: node.configuration, paths: paths, address: address)
    }

    private func container(_ name: String) -> ContainerSpecification? {
        specification.containers.first { $0.name == name }
    }

    // MARK: Sandbox

    func startSandbox(_ pod: Object, isAdopted: Bool) async -> PodResult {
        do {
            let address = try await isAdopted ? attach(pod, adoptedSandbox()) : makeSandbox(pod)
            await node.view.refresh()
            return .sandboxStarted(.success(address))
        } catch {
            await node.view.refresh()
            return .sandboxStarted(.failure(error))
        }
    }

    private func makeSandbox(_ pod: Object) async throws(StartFailure) -> String {
        for field in UnsupportedFields.names(in: pod) {
            report(pod, PodEvent(warning: true, "NotSupported", "\(field) has no effect on this node yet"))
        }
        let preparation = preparation(pod, address: "")
        // Volumes are made before the sandbox, so that a missing source costs nothing; the address is not known yet.
        let volumes = try await volumes(pod, preparation).made
        var config = preparation.sandbox
        config.memoryVolumes = volumes.inMemory
        do {
            try Files.makeDirectory(paths.root)
            try Files.makeDirectory(paths.logs)
            try await node.runtime.removeSandbox(specification.uid)
            let sandbox = try await node.runtime.runSandbox(config)
            return try await attach(pod, sandbox)
        } catch let failure as StartFailure {
            throw failure
        } catch {
            throw StartFailure("FailedCreatePodSandBox", "Failed to create pod sandbox: \(error)")
        }
    }

    /// Makes the pod's volumes, or brings them up to date.
    private func volumes(
        _ pod: Object, _ preparation: ContainerPreparation
    ) async throws(StartFailure) -> (sources: PodSources, made: PodVolumes) {
        let sources = try await PodSources.fetch(for: pod, client: node.client, tokens: node.tokens)
        let stamp = node.clock.now().rfc3339Nano.filter { $0.isNumber || $0 == "." }
        return (
            sources, try PodVolumes(of: pod, paths: paths, sources: sources, fields: preparation.fields, stamp: stamp)
        )
    }

    /// Brings the volumes of a pod that runs up to date with what they are made from.
    func refreshVolumes(_ pod: Object) async {
        guard Files.isDirectory(paths.root + "/volumes") else { return }
        do {
            let address = pod.status["podIP"]?.string ?? ""
            _ = try await volumes(pod, preparation(pod, address: address))
        } catch {
            report(pod, PodEvent(warning: true, error.reason.isEmpty ? "FailedMount" : error.reason, error.message))
        }
    }

    private func adoptedSandbox() async throws(StartFailure) -> SandboxStatus {
        do throws(Problem) {
            let sandboxes = try await node.runtime.sandboxes()
            if let sandbox = sandboxes.first(where: { $0.id == specification.uid }) { return sandbox }
        } catch {
            throw StartFailure("FailedCreatePodSandBox", "Failed to find pod sandbox: \(error)")
        }
        throw StartFailure("FailedCreatePodSandBox", "Failed to find pod sandbox: it is gone")
    }

    private func attach(_ pod: Object, _ sandbox: SandboxStatus) async throws(StartFailure) -> String {
        if specification.isOnHostNetwork { return node.configuration.nodeAddress }
        do throws(Problem) {
            guard let namespace = sandbox.networkNamespace else {
                throw Problem(.internalError, "the sandbox has no network namespace")
            }
            let address = try await node.network.attach(sandbox: specification.uid, namespacePath: namespace)
            try Files.makeDirectory(paths.root)
            let hosts = preparation(pod, address: address).hosts
            try Files.write(Array(hosts.utf8), to: paths.hosts, mode: 0o644)
            return address
        } catch {
            throw StartFailure("FailedCreatePodSandBox", "Failed to set up the pod's network: \(error)")
        }
    }

    func removeSandbox() async -> PodResult {
        var failure: Problem?
        do throws(Problem) {
            try await node.runtime.removeSandbox(specification.uid)
            if !specification.isOnHostNetwork { await node.network.detach(sandbox: specification.uid) }
        } catch {
            failure = error
        }
        await node.view.refresh()
        return .sandboxRemoved(failure: failure)
    }

    /// Removes the pod's files; nothing of it is left on the node then.
    func forget() {
        Files.remove(paths.root)
        Files.remove(paths.logs)
    }

    // MARK: Containers

    func startContainer(
        _ pod: Object, _ name: String, attempt: Int, replacing replaced: String?, address: String
    ) async -> PodResult {
        guard let container = container(name) else { return .containerStarted(name, failure: nil) }
        var failure: StartFailure?
        do {
            if let replaced { try await node.runtime.removeContainer(replaced) }
            let preparation = preparation(pod, address: address)
            let (sources, volumes) = try await volumes(pod, preparation)
            let config = try preparation.container(
                container, attempt: attempt, sources: sources, volumes: volumes, target: try await target(of: container)
            )
            let id = try await node.runtime.createContainer(sandbox: specification.uid, config)
            report(pod, PodEvent("Created", "Created container: \(name)", container: name))
            await start(pod, container, id: id, address: address)
        } catch let caught as StartFailure {
            failure = caught
        } catch {
            failure = StartFailure("CreateContainerError", "\(error)")
        }
        await node.view.refresh()
        return .containerStarted(name, failure: failure)
    }

    /// The id of the container whose processes an ephemeral one is to see.
    private func target(of container: ContainerSpecification) async throws -> String? {
        guard container.role == .ephemeral, let name = container.tree["targetContainerName"]?.string, !name.isEmpty
        else { return nil }
        let runs = try await node.runtime.containers().filter {
            $0.sandboxID == specification.uid && $0.name == name && $0.state == .running
        }
        guard let run = runs.first else {
            throw StartFailure("CreateContainerError", "unable to find target container \"\(name)\": it does not run")
        }
        return run.id
    }

    /// A container that cannot be started is in the runtime's list as one that ended; it is started again like any
    /// other.
    private func start(_ pod: Object, _ container: ContainerSpecification, id: String, address: String) async {
        do throws(Problem) {
            try await node.runtime.startContainer(id)
        } catch {
            report(pod, PodEvent(warning: true, "Failed", "Error: \(error.message)", container: container.name))
            return
        }
        report(pod, PodEvent("Started", "Started container \(container.name)", container: container.name))
        guard let hook = LifecycleHook("postStart", of: container) else { return }
        let limit = Duration.seconds(specification.gracePeriodSeconds)
        guard case .failure(let message) = await run(hook, id: id, address: address, limit: limit) else { return }
        let words = "PostStartHook failed: \(message)"
        report(pod, PodEvent(warning: true, "FailedPostStartHook", words, container: container.name))
        do throws(Problem) {
            try await node.runtime.stopContainer(id, timeout: limit)
        } catch {
            report(pod, PodEvent(warning: true, "FailedKillPod", error.message, container: container.name))
        }
    }

    func stopContainer(_ pod: Object, _ name: String, id: String, grace: Duration, address: String) async -> PodResult {
        let least = Duration.seconds(PodMachine.leastStopSeconds)
        let began = ContinuousClock.now
        if let container = container(name), let hook = LifecycleHook("preStop", of: container) {
            if case .failure(let message) = await run(hook, id: id, address: address, limit: grace) {
                let words = "PreStopHook failed: \(message)"
                report(pod, PodEvent(warning: true, "FailedPreStopHook", words, container: name))
            }
        }
        do throws(Problem) {
            try await node.runtime.stopContainer(id, timeout: max(least, grace - (ContinuousClock.now - began)))
        } catch {
            report(
                pod, PodEvent(warning: true, "FailedKillPod", "error killing pod: \(error.message)", container: name))
        }
        await node.view.refresh()
        return .containerStopped(name)
    }

    private func run(_ hook: LifecycleHook, id: String, address: String, limit: Duration) async -> ProbeResult {
        switch hook {
        case .sleep(let seconds):
            try? await Task.sleep(for: min(.seconds(seconds), limit))
            return .success
        case .check(let check):
            return await node.prober.ask(check, address: address, id: id, timeout: limit)
        }
    }

    func judgeResize(_ containers: [JSON]) -> PodResult {
        let room = ResizeRoom(
            processors: Int64(NodeSize.processors) * 1000,
            memoryBytes: max(0, NodeSize.memoryBytes - NodeDescription.leastFreeMemoryBytes),
            others: node.pods.list().filter { $0.uid != specification.uid })
        return .resizeJudged(containers, room.verdict(on: containers))
    }

    func resizeContainer(_ name: String, id: String, to resources: JSON) async -> PodResult {
        var failure: String?
        do {
            try await node.runtime.updateContainer(id, ContainerPreparation.amounts(of: resources))
        } catch let caught as StartFailure {
            failure = caught.message
        } catch {
            failure = (error as? Problem)?.message ?? "\(error)"
        }
        return .containerResized(name, to: resources, failure: failure)
    }

    func removeContainer(id: String) async {
        do throws(Problem) {
            try await node.runtime.removeContainer(id)
        } catch {
            node.logger.debug("an old container stays", metadata: ["container": "\(id)", "error": "\(error)"])
        }
    }

    func probe(_ name: String, id: String, kind: ProbeKind, address: String) async -> PodResult {
        guard let probe = container(name)?.probes[kind] else {
            return .probed(container: name, id: id, kind: kind, .success)
        }
        let result = await node.prober.ask(
            probe.check, address: address, id: id, timeout: .seconds(probe.timeoutSeconds))
        return .probed(container: name, id: id, kind: kind, result)
    }

    // MARK: API

    func awaitWithdrawal(_ address: String) async -> PodResult {
        await node.withdrawn(address)
        return .proxyWithdrew
    }

    func writeStatus(_ status: JSON) async -> PodResult {
        let patch: JSON = ["metadata": ["uid": .string(specification.uid)], "status": status]
        do {
            _ = try await node.client.patch(.pods, specification.key, .strategicMerge, patch, subresource: "status")
            return .statusWritten(failure: nil)
        } catch {
            return .statusWritten(failure: Self.problem(error))
        }
    }

    func deletePod() async -> PodResult {
        do {
            _ = try await node.client.delete(
                .pods, specification.key, gracePeriodSeconds: 0, uid: specification.uid)
            return .podDeleted(failure: nil)
        } catch {
            return .podDeleted(failure: Self.problem(error))
        }
    }

    func report(_ pod: Object, _ event: PodEvent) {
        // Items of a list carry no kind of their own.
        var about = pod
        about["apiVersion"] = .string(Resource.pods.apiVersion)
        about["kind"] = .string(Resource.pods.kind)
        node.recorder.record(
            about, event.isWarning ? .warning : .normal, reason: event.reason, message: event.message,
            fieldPath: container(event.container)?.fieldPath ?? "")
    }

    private static func problem(_ error: any Error) -> Problem {
        error as? Problem ?? Problem(.serviceUnavailable, "\(error)")
    }
}
