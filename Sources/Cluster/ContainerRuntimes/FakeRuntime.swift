// A runtime without processes, for tests of what uses one: containers run until the test ends them.

import Objects
import Synchronization

/// Keeps sandboxes and containers in memory and writes down every call.
///
/// A container stopped by `stopContainer` exits with 143 at once, or with 137 if the test made it stubborn.
package final class FakeRuntime: ContainerRuntime {
    private struct State {
        var sandboxes: [String: SandboxStatus] = [:]
        var containers: [String: ContainerStatus] = [:]
        var configs: [String: ContainerConfig] = [:]
        var order: [String] = []
        var calls: [String] = []
        var failures: [String: Problem] = [:]
        var executions: [String: ExecResult] = [:]
        var stubborn: Set<String> = []
        var made = 0
    }

    private let state = Mutex(State())
    private let events = EventQueue()
    private let now: @Sendable () -> Int64

    /// `now` gives nanoseconds since 1970 UTC.
    package init(now: @escaping @Sendable () -> Int64 = { 1_000_000_000 }) { self.now = now }

    // MARK: The test's side

    /// What was called, in order: `runSandbox uid`, `createContainer uid name`, `startContainer uid name`,
    /// `updateContainer uid name`,
    /// `stopContainer uid name`, `removeContainer uid name`, `stopSandbox uid`, `removeSandbox uid`,
    /// `execute uid name word word`.
    package var calls: [String] { state.withLock { $0.calls } }

    /// Makes every later call fail whose line in `calls` starts with this; nil mends it.
    package func fail(_ call: String, with problem: Problem?) { state.withLock { $0.failures[call] = problem } }

    /// What `execute` answers in containers of this name from now on; 0 and no output otherwise.
    package func answer(executionsIn container: String, with result: ExecResult) {
        state.withLock { $0.executions[container] = result }
    }

    /// Containers of this name ignore SIGTERM.
    package func makeStubborn(_ container: String) { state.withLock { _ = $0.stubborn.insert(container) } }

    /// The program of a running container ends by itself.
    package func exit(_ id: String, code: Int32) { finish(id, code: code) }

    /// The sandbox and all in it die, as when its namespaces' holder is killed.
    package func kill(sandbox id: String) {
        for container in running(in: id) { finish(container, code: 137) }
        state.withLock { $0.sandboxes[id]?.state = .notReady }
        events.add(.sandboxDied(id))
    }

    /// How a container was asked to be.
    package func config(of id: String) -> ContainerConfig? { state.withLock { $0.configs[id] } }

    // MARK: ContainerRuntime

    package func runSandbox(_ config: SandboxConfig) async throws(Problem) -> SandboxStatus {
        try record("runSandbox \(config.id)")
        let status = SandboxStatus(
            id: config.id, namespace: config.namespace, name: config.name, state: .ready, createdAt: now(),
            networkNamespace: config.hostNetwork ? nil : "/fake/\(config.id)/ns/net", pid: 1, labels: config.labels,
            annotations: config.annotations)
        state.withLock { $0.sandboxes[config.id] = status }
        return status
    }

    package func stopSandbox(_ id: String) async throws(Problem) {
        try record("stopSandbox \(id)")
        for container in running(in: id) { finish(container, code: 137) }
        state.withLock { $0.sandboxes[id]?.state = .notReady }
    }

    package func removeSandbox(_ id: String) async throws(Problem) {
        try record("removeSandbox \(id)")
        for container in running(in: id) { finish(container, code: 137) }
        state.withLock { state in
            state.sandboxes[id] = nil
            for container in state.order where state.containers[container]?.sandboxID == id {
                state.containers[container] = nil
            }
            state.order.removeAll { state.containers[$0] == nil }
        }
    }

    package func sandboxes() async throws(Problem) -> [SandboxStatus] {
        state.withLock { state in state.sandboxes.keys.sorted().compactMap { state.sandboxes[$0] } }
    }

    package func createContainer(sandbox: String, _ config: ContainerConfig) async throws(Problem) -> String {
        try record("createContainer \(sandbox) \(config.name)")
        let time = now()
        let id = state.withLock { state -> String? in
            guard state.sandboxes[sandbox]?.state == .ready else { return nil }
            state.made += 1
            let id = "fake-\(state.made)"
            state.containers[id] = ContainerStatus(
                id: id, sandboxID: sandbox, name: config.name, attempt: config.attempt, createdAt: time,
                logPath: config.logPath, labels: config.labels, annotations: config.annotations)
            state.configs[id] = config
            state.order.append(id)
            return id
        }
        guard let id else { throw Problem(.notFound, "sandbox \(sandbox) is not ready") }
        return id
    }

    package func startContainer(_ id: String) async throws(Problem) {
        try record("startContainer \(label(id))")
        let time = now()
        let status = state.withLock { state -> ContainerStatus? in
            guard state.containers[id]?.state == .created else { return nil }
            state.containers[id]?.state = .running
            state.containers[id]?.pid = 2
            state.containers[id]?.startedAt = time
            return state.containers[id]
        }
        guard let status else { throw Problem(.notFound, "container \(id) is not in state created") }
        events.add(.containerStarted(status))
    }

    package func stopContainer(_ id: String, timeout: Duration) async throws(Problem) {
        try record("stopContainer \(label(id))")
        let stubborn = state.withLock { $0.stubborn.contains($0.containers[id]?.name ?? "") }
        finish(id, code: stubborn || timeout <= .zero ? 137 : 143)
    }

    package func updateContainer(_ id: String, _ resources: ContainerConfig.Resources) async throws(Problem) {
        try record("updateContainer \(label(id))")
        state.withLock { $0.configs[id]?.resources = resources }
    }

    package func removeContainer(_ id: String) async throws(Problem) {
        try record("removeContainer \(label(id))")
        finish(id, code: 137)
        state.withLock { state in
            state.containers[id] = nil
            state.order.removeAll { $0 == id }
        }
    }

    package func containers() async throws(Problem) -> [ContainerStatus] {
        state.withLock { state in state.order.compactMap { state.containers[$0] } }
    }

    package func execute(_ id: String, command: [String], timeout: Duration) async throws(Problem) -> ExecResult {
        try record("execute \(label(id)) \(command.joined(separator: " "))")
        let (running, result) = state.withLock { state in
            (state.containers[id]?.state == .running, state.executions[state.containers[id]?.name ?? ""])
        }
        guard running else { throw Problem(.notFound, "container \(id) is not running") }
        return result ?? ExecResult(exitCode: 0)
    }

    package func nextEvents() async -> [RuntimeEvent] { await events.next() }

    // MARK: Inside

    private func record(_ call: String) throws(Problem) {
        let failure = state.withLock { state -> Problem? in
            state.calls.append(call)
            return state.failures.first { call.hasPrefix($0.key) }?.value
        }
        if let failure { throw failure }
    }

    private func label(_ id: String) -> String {
        state.withLock { state in state.containers[id].map { "\($0.sandboxID) \($0.name)" } ?? id }
    }

    private func running(in sandbox: String) -> [String] {
        state.withLock { state in
            state.order.filter {
                state.containers[$0]?.sandboxID == sandbox && state.containers[$0]?.state == .running
            }
        }
    }

    private func finish(_ id: String, code: Int32) {
        let time = now()
        let status = state.withLock { state -> ContainerStatus? in
            guard var status = state.containers[id], status.state == .running else { return nil }
            status.state = .exited
            status.pid = 0
            status.exitCode = code
            status.finishedAt = time
            status.reason = ContainerStatus.reason(exitCode: code)
            state.containers[id] = status
            return status
        }
        if let status { events.add(.containerExited(status)) }
    }
}
