// The process that holds one pod: a single-threaded loop around a `ShimMachine`, its containers and its socket.

import CLinux
import Formats
import Glibc
import Objects

/// Lives from `runSandbox` to `removeSandbox`, whatever happens to the platform meanwhile.
struct Shim {
    /// A client that does not read loses its connection when this much waits for it.
    static let clientBacklogLimit = 16 << 20

    private enum Source {
        case listener
        case client
        case containerReport(String)
        case containerOutput(String, isError: Bool)
        case containerEnd(String)
        case executionReport(Int)
        case executionOutput(Int, isError: Bool)
        case executionEnd(Int)

        /// What a process said comes before the news that it ended.
        var rank: Int {
            switch self {
            case .containerReport, .executionReport: 0
            case .containerOutput, .executionOutput: 1
            case .containerEnd, .executionEnd: 2
            case .client, .listener: 3
            }
        }
    }

    private struct Client {
        var frames = ShimFrames()
        var backlog: [UInt8] = []
    }

    private struct Process {
        var process: ContainerProcess
        var command: String
        var report: [UInt8] = []
        var hasReported = false
        var log: Int32 = -1
        var outputLines = LogLines(stream: "stdout")
        var errorLines = LogLines(stream: "stderr")
        var result = ExecResult(exitCode: 0)
    }

    private let sandbox: SandboxConfig
    private let directory: PodDirectory
    private let launcher: ContainerLauncher
    private var machine: ShimMachine
    private var sources: [Int32: Source] = [:]
    private var clients: [Int32: Client] = [:]
    private var containers: [String: Process] = [:]
    private var executions: [Int: Process] = [:]
    private var isEnding = false

    init(sandbox: SandboxConfig, launcher: ContainerLauncher, listener: Int32, firstClient: Int32) {
        self.sandbox = sandbox
        self.launcher = launcher
        directory = launcher.directory
        machine = ShimMachine(sandbox: sandbox)
        sources[listener] = .listener
        sources[firstClient] = .client
        clients[firstClient] = Client()
    }

    /// Serves until a client has asked to end.
    mutating func run() {
        while !isEnding || clients.values.contains(where: { !$0.backlog.isEmpty }) {
            let waiting = Set(clients.filter { !$0.value.backlog.isEmpty }.keys)
            let timeout = machine.nextDeadline.map { deadline in
                Int32(clamping: max(0, (deadline - now.monotonic + 999_999) / 1_000_000))
            }
            let ready = Descriptor.poll(Array(sources.keys), writing: waiting, timeoutMilliseconds: timeout)
            let ranked = ready.map { (sources[$0]?.rank ?? 9, $0) }.sorted { $0 < $1 }
            for (_, descriptor) in ranked { served(descriptor) }
            perform(machine.timePassed(to: now))
        }
    }

    private var now: ShimMachine.Moment {
        ShimMachine.Moment(wall: SystemTime.wall, monotonic: SystemTime.nanoseconds(CLOCK_MONOTONIC))
    }

    private mutating func served(_ descriptor: Int32) {
        switch sources[descriptor] {
        case .listener:
            let client = clinux_accept(descriptor)
            guard client >= 0 else { return }
            sources[client] = .client
            clients[client] = Client()
        case .client: serve(client: descriptor)
        case .containerReport(let id): readReport(ofContainer: id)
        case .containerOutput(let id, let isError): readOutput(ofContainer: id, isError, descriptor)
        case .containerEnd(let id): containerEnded(id)
        case .executionReport(let number): readReport(ofExecution: number)
        case .executionOutput(let number, let isError): readOutput(ofExecution: number, isError, descriptor)
        case .executionEnd(let number): executionEnded(number)
        case nil: return
        }
    }

    private mutating func forget(_ descriptor: Int32) {
        if sources.removeValue(forKey: descriptor) != nil { close(descriptor) }
    }

    // MARK: Clients

    private mutating func serve(client: Int32) {
        flush(client)
        switch Descriptor.read(client) {
        case .nothingYet: return
        case .end: drop(client)
        case .bytes(let bytes):
            do throws(Problem) {
                for message in try clients[client]?.frames.received(bytes) ?? [] { asked(message, by: client) }
            } catch {
                print("a client was dropped: \(error)")
                drop(client)
            }
        }
    }

    private mutating func asked(_ message: JSON, by client: Int32) {
        let ticket = ShimMachine.Ticket(client: Int(client), number: message["number"]?.integer ?? 0)
        do throws(Problem) {
            perform(machine.requested(try ShimRequest(json: message), by: ticket, at: now))
        } catch {
            perform([.refuse(ticket, error)])
        }
    }

    private mutating func say(_ message: ShimMessage, to client: Int32) {
        clients[client]?.backlog += ShimFrames.frame(message.json)
        flush(client)
        if (clients[client]?.backlog.count ?? 0) > Self.clientBacklogLimit { drop(client) }
    }

    private mutating func flush(_ client: Int32) {
        guard let backlog = clients[client]?.backlog, !backlog.isEmpty else { return }
        guard let sent = Descriptor.send(client, backlog[...]) else { return drop(client) }
        clients[client]?.backlog.removeFirst(sent)
    }

    private mutating func drop(_ client: Int32) {
        clients[client] = nil
        forget(client)
    }

    // MARK: Actions

    private mutating func perform(_ actions: [ShimMachine.Action]) {
        for action in actions {
            switch action {
            case .answer(let ticket, let answer):
                say(.answer(number: ticket.number, answer), to: Int32(ticket.client))
            case .refuse(let ticket, let problem):
                say(.refusal(number: ticket.number, problem), to: Int32(ticket.client))
            case .announce(let status): announce(status)
            case .launch(let id): launch(id)
            case .signal(let id, let number):
                if let container = containers[id] { _ = clinux_signal(container.process.pidfd, number) }
            case .discard(let id): _ = clinux_remove_tree(directory.container(id))
            case .execute(let number, let container, let command): execute(number, container, command)
            case .kill(let number):
                if let execution = executions[number] { _ = clinux_signal(execution.process.pidfd, SIGTERM) }
            case .end: isEnding = true
            }
        }
    }

    private mutating func announce(_ status: ContainerStatus) {
        do throws(Problem) {
            try Files.makeDirectory(directory.container(status.id), mode: 0o700)
            try Files.write(directory.statusFile(of: status.id), status.json.bytes)
        } catch {
            print("the state of container \(status.id) could not be written: \(error)")
        }
        for client in clients.keys { say(.changed(status), to: client) }
    }

    private mutating func launch(_ id: String) {
        guard let config = machine.config(of: id) else { return }
        let command = (config.command + config.arguments).first ?? ""
        do throws(Problem) {
            let log = try openLog(config)
            let made: ContainerProcess
            do throws(Problem) {
                made = try launcher.launch(id, config)
            } catch {
                close(log)
                throw error
            }
            var process = Process(process: made, command: command)
            process.log = log
            containers[id] = process
            sources[made.report] = .containerReport(id)
            sources[made.output] = .containerOutput(id, isError: false)
            sources[made.error] = .containerOutput(id, isError: true)
            sources[made.pidfd] = .containerEnd(id)
        } catch {
            machine.failed(id, error.message)
            perform(machine.ended(id, exitCode: 128, at: now))
        }
    }

    private func openLog(_ config: ContainerConfig) throws(Problem) -> Int32 {
        let path = config.logPath.hasPrefix("/") ? config.logPath : sandbox.logDirectory + "/" + config.logPath
        if let slash = path.lastIndex(of: "/") { try Files.makeDirectory(String(path[..<slash])) }
        let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard log >= 0 else { throw Problem(.internalError, "\(path): \(systemMessage(errno))") }
        return log
    }

    private mutating func execute(_ number: Int, _ container: String, _ command: [String]) {
        guard let config = machine.config(of: container), let home = containers[container] else {
            return perform(machine.executionFailed(number, "container \(container) is gone"))
        }
        do throws(Problem) {
            let made = try launcher.execute(command, config, in: home.process.pidfd)
            executions[number] = Process(process: made, command: command.first ?? "")
            sources[made.report] = .executionReport(number)
            sources[made.output] = .executionOutput(number, isError: false)
            sources[made.error] = .executionOutput(number, isError: true)
            sources[made.pidfd] = .executionEnd(number)
        } catch {
            perform(machine.executionFailed(number, error.message))
        }
    }

    // MARK: Containers

    private mutating func readReport(ofContainer id: String) {
        guard let process = containers[id], !process.hasReported else { return }
        switch Descriptor.read(process.process.report) {
        case .nothingYet: return
        case .bytes(let bytes): containers[id]?.report += bytes
        case .end:
            containers[id]?.hasReported = true
            forget(process.process.report)
            if process.report.isEmpty {
                perform(machine.started(id, pid: process.process.pid, at: now))
            } else {
                machine.failed(id, explanation(of: process))
            }
        }
    }

    private func explanation(of process: Process) -> String {
        let line = String(decoding: process.report.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return ContainerLauncher.explanation(ofReport: line, command: process.command)
    }

    /// Copies what the program wrote to its log; false when there is no more for now.
    @discardableResult
    private mutating func readOutput(ofContainer id: String, _ isError: Bool, _ descriptor: Int32) -> Bool {
        guard let log = containers[id]?.log, sources[descriptor] != nil else { return false }
        let moment = Timestamp(nanosecondsSinceEpoch: SystemTime.wall)
        switch Descriptor.read(descriptor) {
        case .nothingYet: return false
        case .bytes(let bytes):
            let lines =
                isError
                ? containers[id]?.errorLines.received(bytes, at: moment)
                : containers[id]?.outputLines.received(bytes, at: moment)
            Descriptor.write(log, lines ?? [])
            return true
        case .end:
            let lines =
                isError ? containers[id]?.errorLines.ended(at: moment) : containers[id]?.outputLines.ended(at: moment)
            Descriptor.write(log, lines ?? [])
            forget(descriptor)
            return false
        }
    }

    private mutating func containerEnded(_ id: String) {
        guard let process = containers[id]?.process else { return }
        // The pid namespace is empty, so every writing end is closed: this reads to the end.
        for _ in 0..<2 { readReport(ofContainer: id) }
        while readOutput(ofContainer: id, false, process.output) {}
        while readOutput(ofContainer: id, true, process.error) {}
        let code = clinux_reap(process.pid)
        for descriptor in [process.report, process.output, process.error, process.pidfd] { forget(descriptor) }
        if let log = containers.removeValue(forKey: id)?.log { close(log) }
        perform(machine.ended(id, exitCode: code, at: now))
    }

    // MARK: Commands in containers

    private mutating func readReport(ofExecution number: Int) {
        guard let process = executions[number], !process.hasReported else { return }
        switch Descriptor.read(process.process.report) {
        case .nothingYet: return
        case .bytes(let bytes): executions[number]?.report += bytes
        case .end:
            executions[number]?.hasReported = true
            forget(process.process.report)
        }
    }

    @discardableResult
    private mutating func readOutput(ofExecution number: Int, _ isError: Bool, _ descriptor: Int32) -> Bool {
        guard var result = executions[number]?.result, sources[descriptor] != nil else { return false }
        switch Descriptor.read(descriptor) {
        case .nothingYet: return false
        case .end:
            forget(descriptor)
            return false
        case .bytes(let bytes):
            if isError {
                result.standardError += bytes.prefix(ExecResult.outputLimit - result.standardError.count)
            } else {
                result.standardOutput += bytes.prefix(ExecResult.outputLimit - result.standardOutput.count)
            }
            executions[number]?.result = result
            return true
        }
    }

    private mutating func executionEnded(_ number: Int) {
        guard let process = executions[number]?.process else { return }
        for _ in 0..<2 { readReport(ofExecution: number) }
        while readOutput(ofExecution: number, false, process.output) {}
        while readOutput(ofExecution: number, true, process.error) {}
        let code = clinux_reap(process.pid)
        for descriptor in [process.report, process.output, process.error, process.pidfd] { forget(descriptor) }
        guard var execution = executions.removeValue(forKey: number) else { return }
        if !execution.report.isEmpty {
            perform(machine.executionFailed(number, explanation(of: execution)))
        } else {
            execution.result.exitCode = code
            perform(machine.executionEnded(number, execution.result))
        }
    }
}

extension Timestamp {
    init(nanosecondsSinceEpoch time: Int64) {
        self.init(secondsSinceEpoch: time / 1_000_000_000, nanoseconds: Int32(time % 1_000_000_000))
    }
}
