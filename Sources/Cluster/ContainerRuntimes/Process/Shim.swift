// The process that holds one pod: a single-threaded loop around a `ShimMachine`, its containers and its socket.

import CLinux
import Formats
import Glibc
import Objects

/// Lives from `runSandbox` to `removeSandbox`, whatever happens to the platform meanwhile.
struct Shim {
    /// A client that does not read loses its connection when this much waits for it.
    static let clientBacklogLimit = 16 << 20

    /// Whose process it is.
    private enum Owner: Hashable {
        case container(String)
        case execution(Int)
    }

    private enum Source {
        case listener
        case client
        case report(Owner)
        case output(Owner, isError: Bool)
        case end(Owner)

        /// What a process said comes before the news that it ended.
        var rank: Int {
            switch self {
            case .report: 0
            case .output: 1
            case .end: 2
            case .client, .listener: 3
            }
        }
    }

    private struct Client {
        var frames = ShimFrames()
        var backlog: [UInt8] = []
    }

    fileprivate struct Process {
        var process: ContainerProcess
        var command: String
        /// The log file of a container; a command's output is kept in `result`.
        var log: Int32?
        var report: [UInt8] = []
        var hasReported = false
        var outputLines = LogLines(stream: "stdout")
        var errorLines = LogLines(stream: "stderr")
        var result = ExecResult(exitCode: 0)

        /// Why the program could not be executed; nil when it could.
        var failure: String? {
            guard !report.isEmpty else { return nil }
            let line = String(decoding: report.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
            return ContainerLauncher.explanation(ofReport: line, command: command)
        }
    }

    private let sandbox: SandboxConfig
    private let directory: PodDirectory
    private let launcher: ContainerLauncher
    private var machine: ShimMachine
    private var sources: [Int32: Source] = [:]
    private var clients: [Int32: Client] = [:]
    private var processes: [Owner: Process] = [:]
    private var hasBeenAsked = false
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
        case .report(let owner): readReport(of: owner)
        case .output(let owner, let isError): readOutput(of: owner, isError, descriptor)
        case .end(let owner): ended(owner)
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
        hasBeenAsked = true
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
        // Whoever started the shim died before it could make use of it, so nobody will ask for its end.
        if !hasBeenAsked { isEnding = true }
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
                if let pidfd = processes[.container(id)]?.process.pidfd { _ = clinux_signal(pidfd, number) }
            case .discard(let id):
                _ = clinux_remove_tree(directory.container(id))
                unlink(directory.statusFile(of: id))
            case .execute(let number, let container, let command): execute(number, container, command)
            case .kill(let number):
                if let pidfd = processes[.execution(number)]?.process.pidfd { _ = clinux_signal(pidfd, SIGTERM) }
            case .end: isEnding = true
            }
        }
    }

    private mutating func announce(_ status: ContainerStatus) {
        do throws(Problem) {
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
            track(.container(id), Process(process: made, command: command, log: log))
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
        guard let config = machine.config(of: container), let home = processes[.container(container)] else {
            return perform(machine.executionFailed(number, "container \(container) is gone"))
        }
        do throws(Problem) {
            let made = try launcher.execute(command, config, in: home.process.pidfd)
            track(.execution(number), Process(process: made, command: command.first ?? ""))
        } catch {
            perform(machine.executionFailed(number, error.message))
        }
    }

    private mutating func track(_ owner: Owner, _ process: Process) {
        processes[owner] = process
        sources[process.process.report] = .report(owner)
        sources[process.process.output] = .output(owner, isError: false)
        sources[process.process.error] = .output(owner, isError: true)
        sources[process.process.pidfd] = .end(owner)
    }

    // MARK: Processes

    private mutating func readReport(of owner: Owner) {
        guard let process = processes[owner], !process.hasReported else { return }
        switch Descriptor.read(process.process.report) {
        case .nothingYet: return
        case .bytes(let bytes): processes[owner]?.report += bytes
        case .end:
            processes[owner]?.hasReported = true
            forget(process.process.report)
            guard case .container(let id) = owner else { return }
            if let failure = process.failure {
                machine.failed(id, failure)
            } else {
                perform(machine.started(id, pid: process.process.pid, at: now))
            }
        }
    }

    /// Takes what the process wrote; false when there is no more for now.
    @discardableResult
    private mutating func readOutput(of owner: Owner, _ isError: Bool, _ descriptor: Int32) -> Bool {
        guard sources[descriptor] != nil else { return false }
        switch Descriptor.read(descriptor) {
        case .nothingYet: return false
        case .bytes(let bytes):
            processes[owner]?.wrote(bytes, isError, at: Timestamp(nanosecondsSinceEpoch: SystemTime.wall))
            return true
        case .end:
            processes[owner]?.closed(isError, at: Timestamp(nanosecondsSinceEpoch: SystemTime.wall))
            forget(descriptor)
            return false
        }
    }

    private mutating func ended(_ owner: Owner) {
        guard let process = processes[owner]?.process else { return }
        // Of a container nothing runs any more, so this reads to the end; of a command, what is there now.
        for _ in 0..<2 { readReport(of: owner) }
        while readOutput(of: owner, false, process.output) {}
        while readOutput(of: owner, true, process.error) {}
        let code = clinux_reap(process.pid)
        for descriptor in [process.report, process.output, process.error, process.pidfd] { forget(descriptor) }
        guard var ended = processes.removeValue(forKey: owner) else { return }
        if let log = ended.log { close(log) }
        switch owner {
        case .container(let id): perform(machine.ended(id, exitCode: code, at: now))
        case .execution(let number):
            ended.result.exitCode = code
            let failure = ended.failure
            perform(
                failure.map { machine.executionFailed(number, $0) } ?? machine.executionEnded(number, ended.result))
        }
    }
}

extension Shim.Process {
    fileprivate mutating func wrote(_ bytes: [UInt8], _ isError: Bool, at moment: Timestamp) {
        if let log {
            let lines = isError ? errorLines.received(bytes, at: moment) : outputLines.received(bytes, at: moment)
            Descriptor.write(log, lines)
        } else if isError {
            result.standardError += bytes.prefix(ExecResult.outputLimit - result.standardError.count)
        } else {
            result.standardOutput += bytes.prefix(ExecResult.outputLimit - result.standardOutput.count)
        }
    }

    fileprivate mutating func closed(_ isError: Bool, at moment: Timestamp) {
        guard let log else { return }
        Descriptor.write(log, isError ? errorLines.ended(at: moment) : outputLines.ended(at: moment))
    }
}

extension Timestamp {
    init(nanosecondsSinceEpoch time: Int64) {
        self.init(secondsSinceEpoch: time / 1_000_000_000, nanoseconds: Int32(time % 1_000_000_000))
    }
}
