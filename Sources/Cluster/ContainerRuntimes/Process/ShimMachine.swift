// What a pod's shim knows and decides: its containers' states, who waits for what, and when to kill.

import Formats
import Objects

/// The containers of one pod, from created to removed.
///
/// Past-tense methods take what happened and return what is to be done, in order.
struct ShimMachine {
    /// Who is to get an answer.
    struct Ticket: Hashable {
        var client: Int
        var number: Int
    }

    /// A moment, on the wall for people and on the machine's clock for deadlines; both in nanoseconds.
    struct Moment {
        var wall: Int64
        var monotonic: Int64
    }

    enum Action: Equatable {
        case answer(Ticket, JSON)
        case refuse(Ticket, Problem)
        /// Tell everyone, and write it down.
        case announce(ContainerStatus)
        case launch(String)
        case signal(container: String, Int32)
        /// Remove the container's files.
        case discard(String)
        /// Set the container's limits, then tell `updated`.
        case update(String, ContainerConfig.Resources, Ticket)
        case execute(Int, container: String, command: [String])
        /// Run with the descriptors that this client sent along.
        case run(Int, container: String, command: [String], hasTerminal: Bool, client: Int)
        case kill(execution: Int)
        /// Copy the container's streams to the descriptors that this client sent along, until it leaves.
        case attach(container: String, client: Int)
        case resize(container: String, columns: Int, rows: Int)
        /// Nothing is left to do; exit once every answer is out.
        case end
    }

    private struct Container {
        var config: ContainerConfig
        var status: ContainerStatus
        var isStarting = false
        var starter: Ticket?
        var failure: String?
        var killAt: Int64?
        var stoppers: [Ticket] = []
        var attached: [Ticket] = []
        var removers: [Ticket] = []

        var isAlive: Bool { isStarting || status.state == .running }
    }

    private struct Execution {
        var ticket: Ticket
        var container: String
        var killAt: Int64?
        var timedOut = false
        /// Its output goes to the client's own descriptors, so only the exit code is told.
        var isStreamed = false
    }

    private enum Signals {
        static let terminate: Int32 = 15
        static let kill: Int32 = 9
    }

    private let sandbox: SandboxConfig
    private var containers: [String: Container] = [:]
    private var order: [String] = []
    private var executions: [Int: Execution] = [:]
    private var executionsMade = 0
    private var isStopped = false
    private var endings: [Ticket] = []
    private var allStoppers: [Ticket] = []

    init(sandbox: SandboxConfig) { self.sandbox = sandbox }

    func config(of id: String) -> ContainerConfig? { containers[id]?.config }

    /// When `timePassed` must be called next, on the monotonic clock.
    var nextDeadline: Int64? {
        (containers.values.compactMap(\.killAt) + executions.values.compactMap(\.killAt)).min()
    }

    // MARK: Requests

    mutating func requested(_ request: ShimRequest, by ticket: Ticket, at now: Moment) -> [Action] {
        switch request {
        case .list:
            let statuses = order.compactMap { containers[$0]?.status.json }
            return [.answer(ticket, ["stopped": .bool(isStopped), "containers": .array(statuses)])]
        case .create(let id, let config): return create(id, config, ticket, now)
        case .start(let id): return start(id, ticket)
        case .stop(let id, let timeout): return stop(id, timeoutMilliseconds: timeout, ticket, now)
        case .remove(let id): return remove(id, ticket)
        case .update(let id, let resources):
            guard containers[id]?.status.state == .running else {
                return [.refuse(ticket, Problem(.notFound, "container \(id) is not running"))]
            }
            return [.update(id, resources, ticket)]
        case .execute(let id, let command, let timeout):
            guard let container = containers[id], container.status.state == .running else {
                return [.refuse(ticket, Problem(.notFound, "container \(id) is not running"))]
            }
            guard !command.isEmpty else { return [.refuse(ticket, .badRequest("no command was given"))] }
            executionsMade += 1
            let killAt = now.monotonic + Int64(timeout) * 1_000_000
            executions[executionsMade] = Execution(ticket: ticket, container: id, killAt: killAt)
            return [.execute(executionsMade, container: id, command: command)]
        case .command(let id, let command, let hasTerminal):
            guard containers[id]?.status.state == .running else {
                return [.refuse(ticket, Problem(.notFound, "container \(id) is not running"))]
            }
            executionsMade += 1
            executions[executionsMade] = Execution(ticket: ticket, container: id, isStreamed: true)
            return [
                .run(executionsMade, container: id, command: command, hasTerminal: hasTerminal, client: ticket.client)
            ]
        case .attach(let id):
            guard containers[id]?.status.state == .running else {
                return [.refuse(ticket, Problem(.notFound, "container \(id) is not running"))]
            }
            containers[id]?.attached.append(ticket)
            return [.attach(container: id, client: ticket.client)]
        case .resize(let id, let columns, let rows):
            return [.resize(container: id, columns: columns, rows: rows), .answer(ticket, .null)]
        case .stopAll:
            isStopped = true
            allStoppers.append(ticket)
            return killAll() + settleWhenQuiet()
        case .end:
            isStopped = true
            endings.append(ticket)
            return killAll() + settleWhenQuiet()
        }
    }

    private mutating func create(_ id: String, _ config: ContainerConfig, _ ticket: Ticket, _ now: Moment) -> [Action] {
        guard !isStopped else { return [.refuse(ticket, Problem(.conflict, "the sandbox has been stopped"))] }
        guard containers[id] == nil else { return [.refuse(ticket, Problem(.alreadyExists, "container \(id) exists"))] }
        guard !(config.command + config.arguments).isEmpty else {
            return [.refuse(ticket, Problem(.invalid, "container \(config.name): image host needs a command"))]
        }
        let logPath = config.logPath.hasPrefix("/") ? config.logPath : sandbox.logDirectory + "/" + config.logPath
        let status = ContainerStatus(
            id: id, sandboxID: sandbox.id, name: config.name, attempt: config.attempt, createdAt: now.wall,
            logPath: logPath, labels: config.labels, annotations: config.annotations)
        containers[id] = Container(config: config, status: status)
        order.append(id)
        return [.announce(status), .answer(ticket, .null)]
    }

    private mutating func start(_ id: String, _ ticket: Ticket) -> [Action] {
        guard let container = containers[id] else { return [.refuse(ticket, unknown(id))] }
        guard container.status.state == .created, !container.isStarting, !isStopped else {
            return [.refuse(ticket, Problem(.conflict, "container \(id) is not in state created"))]
        }
        containers[id]?.isStarting = true
        containers[id]?.starter = ticket
        return [.launch(id)]
    }

    private mutating func stop(
        _ id: String, timeoutMilliseconds: Int, _ ticket: Ticket, _ now: Moment
    ) -> [Action] {
        guard let container = containers[id], container.isAlive else { return [.answer(ticket, .null)] }
        containers[id]?.stoppers.append(ticket)
        guard timeoutMilliseconds > 0 else { return [.signal(container: id, Signals.kill)] }
        let killAt = now.monotonic + Int64(timeoutMilliseconds) * 1_000_000
        containers[id]?.killAt = min(killAt, container.killAt ?? killAt)
        return [.signal(container: id, Signals.terminate)]
    }

    private mutating func remove(_ id: String, _ ticket: Ticket) -> [Action] {
        guard let container = containers[id] else { return [.answer(ticket, .null)] }
        guard container.isAlive else {
            forget(id)
            return [.discard(id), .answer(ticket, .null)]
        }
        containers[id]?.removers.append(ticket)
        return [.signal(container: id, Signals.kill)]
    }

    // MARK: What happened

    /// The container's program runs; `pid` is its init's.
    mutating func started(_ id: String, pid: Int32, at now: Moment) -> [Action] {
        guard var container = containers[id], container.isStarting else { return [] }
        container.isStarting = false
        container.status.state = .running
        container.status.pid = pid
        container.status.startedAt = now.wall
        let starter = container.starter
        container.starter = nil
        containers[id] = container
        return [.announce(container.status)] + (starter.map { [.answer($0, .null)] } ?? [])
    }

    /// The container's program could not be started; `ended` follows.
    mutating func failed(_ id: String, _ message: String) { containers[id]?.failure = message }

    /// Nothing of the container runs any more and its log is complete.
    mutating func ended(_ id: String, exitCode: Int32, isOutOfMemory: Bool = false, at now: Moment) -> [Action] {
        guard var container = containers[id], container.isAlive else { return [] }
        var actions: [Action] = []
        container.isStarting = false
        container.killAt = nil
        container.status.state = .exited
        container.status.pid = 0
        container.status.finishedAt = now.wall
        container.status.exitCode = exitCode
        container.status.reason = ContainerStatus.reason(exitCode: exitCode)
        // A program that came to a good end all the same has only lost a child.
        if isOutOfMemory, exitCode != 0 { container.status.reason = "OOMKilled" }
        if let failure = container.failure {
            container.status.exitCode = 128
            container.status.reason = "StartError"
            container.status.message = failure
        }
        actions.append(.announce(container.status))
        if let starter = container.starter {
            let message = container.failure ?? "the container was stopped before its program started"
            actions.append(.refuse(starter, Problem(.internalError, message)))
        }
        actions += container.stoppers.map { .answer($0, .null) }
        actions += container.attached.map { .answer($0, ["exitCode": JSON(Int(container.status.exitCode))]) }
        container.attached = []
        let removers = container.removers
        container.starter = nil
        container.stoppers = []
        container.removers = []
        containers[id] = container
        if !removers.isEmpty {
            forget(id)
            actions.append(.discard(id))
            actions += removers.map { .answer($0, .null) }
        }
        return actions + settleWhenQuiet()
    }

    /// The container's limits were set, or could not be.
    mutating func updated(_ id: String, _ resources: ContainerConfig.Resources, for ticket: Ticket, failure: Problem?)
        -> [Action]
    {
        if let failure { return [.refuse(ticket, failure)] }
        containers[id]?.config.resources = resources
        return [.answer(ticket, .null)]
    }

    mutating func executionEnded(_ number: Int, _ result: ExecResult) -> [Action] {
        guard let execution = executions.removeValue(forKey: number) else { return [] }
        if execution.timedOut {
            return [.refuse(execution.ticket, Problem(.timeout, "the command took longer than it may and was killed"))]
        }
        if execution.isStreamed { return [.answer(execution.ticket, ["exitCode": JSON(Int(result.exitCode))])] }
        return [.answer(execution.ticket, result.json)]
    }

    /// Nobody is left to hear of what this client asked for: its streamed commands end, its attachments are over.
    mutating func clientLeft(_ client: Int) -> [Action] {
        for id in order { containers[id]?.attached.removeAll { $0.client == client } }
        let orphans = executions.filter { $0.value.isStreamed && $0.value.ticket.client == client }
        return orphans.keys.sorted().map { .kill(execution: $0) }
    }

    mutating func executionFailed(_ number: Int, _ message: String) -> [Action] {
        guard let execution = executions.removeValue(forKey: number) else { return [] }
        return [.refuse(execution.ticket, Problem(.internalError, message))]
    }

    mutating func timePassed(to now: Moment) -> [Action] {
        var actions: [Action] = []
        for id in order {
            guard let killAt = containers[id]?.killAt, killAt <= now.monotonic else { continue }
            containers[id]?.killAt = nil
            actions.append(.signal(container: id, Signals.kill))
        }
        for number in executions.keys.sorted() {
            guard let killAt = executions[number]?.killAt, killAt <= now.monotonic else { continue }
            executions[number]?.killAt = nil
            executions[number]?.timedOut = true
            actions.append(.kill(execution: number))
        }
        return actions
    }

    // MARK: Inside

    private func killAll() -> [Action] {
        order.filter { containers[$0]?.isAlive == true }.map { .signal(container: $0, Signals.kill) }
    }

    private mutating func settleWhenQuiet() -> [Action] {
        guard !containers.values.contains(where: \.isAlive) else { return [] }
        var actions: [Action] = (allStoppers + endings).map { .answer($0, .null) }
        allStoppers = []
        if !endings.isEmpty { actions.append(.end) }
        return actions
    }

    private mutating func forget(_ id: String) {
        containers[id] = nil
        order.removeAll { $0 == id }
    }

    private func unknown(_ id: String) -> Problem { Problem(.notFound, "container \(id) does not exist") }
}
