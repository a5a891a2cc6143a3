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
    enum Owner: Hashable {
        case container(String)
        case execution(Int)
    }

    enum Source {
        case listener
        case client
        case report(Owner)
        case output(Owner, isError: Bool)
        /// What a client sends to a container's program, and where it gets what the program says.
        case attachedInput(Int)
        case attachedOutput(Int, isError: Bool)
        /// The program's standard input, which is watched only while something waits to be written to it.
        case input(Owner)
        case end(Owner)

        /// What a process said comes before the news that it ended.
        var rank: Int {
            switch self {
            case .report: 0
            case .output, .input, .attachedInput, .attachedOutput: 1
            case .end: 2
            case .client, .listener: 3
            }
        }
    }

    struct Client {
        var frames = ShimFrames()
        var backlog: [UInt8] = []
        /// Sent along with a request, which takes them; what no request took is closed with the client.
        var descriptors: [Int32] = []
        /// It asked for streams and wants to hear of nothing else.
        var isQuiet = false
    }

    struct Process {
        var process: ContainerProcess
        var command: String
        /// The log file of a container; a command's output is kept in `result`, or is none of the shim's.
        var log: LogFile?
        /// For the program's standard input, until it takes it.
        var inputBacklog: [UInt8] = []
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

    let sandbox: SandboxConfig
    let directory: PodDirectory
    let launcher: ContainerLauncher
    var machine: ShimMachine
    var sources: [Int32: Source] = [:]
    var clients: [Int32: Client] = [:]
    var processes: [Owner: Process] = [:]
    private var hasBeenAsked = false
    private var isEnding = false
    /// By their client.
    var attachments: [Int: Attachment] = [:]
    /// The first process of the pod's shared pid namespace; -1 when the containers have their own.
    let sharedProcesses: Int32

    init(
        sandbox: SandboxConfig, launcher: ContainerLauncher, listener: Int32, firstClient: Int32, sharedProcesses: Int32
    ) {
        self.sharedProcesses = sharedProcesses
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
            let waiting = Set(clients.filter { !$0.value.backlog.isEmpty }.keys).union(writingStreams)
            let timeout = machine.nextDeadline.map { deadline in
                Int32(clamping: max(0, (deadline - now.monotonic + 999_999) / 1_000_000))
            }
            let held = heldInputs
            let watched = sources.keys.filter { !held.contains($0) }
            let ready = Descriptor.poll(watched, writing: waiting, timeoutMilliseconds: timeout)
            let ranked = ready.map { (sources[$0]?.rank ?? 9, $0) }.sorted { $0 < $1 }
            for (_, descriptor) in ranked { served(descriptor) }
            perform(machine.timePassed(to: now))
        }
    }

    var now: ShimMachine.Moment {
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
        case .attachedInput(let client): readInput(from: client)
        case .attachedOutput(let client, let isError): flushOutput(to: client, isError)
        case .input(let owner): flushInput(of: owner)
        case .end(let owner): ended(owner)
        case nil: return
        }
    }

    mutating func forget(_ descriptor: Int32) {
        if sources.removeValue(forKey: descriptor) != nil { close(descriptor) }
    }

    // MARK: Clients

    private mutating func serve(client: Int32) {
        flush(client)
        var descriptors: [Int32] = []
        let reading = Descriptor.receive(client, &descriptors)
        clients[client]?.descriptors += descriptors
        switch reading {
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
        for descriptor in clients.removeValue(forKey: client)?.descriptors ?? [] { close(descriptor) }
        forget(client)
        detach(client: Int(client))
        perform(machine.clientLeft(Int(client)))
        // Whoever started the shim died before it could make use of it, so nobody will ask for its end.
        if !hasBeenAsked { isEnding = true }
    }

    // MARK: Actions

    mutating func perform(_ actions: [ShimMachine.Action]) {
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
                launcher.groups?.remove(pod: sandbox.id, container: id)
                _ = clinux_remove_tree(directory.container(id))
                unlink(directory.statusFile(of: id))
            case .update(let id, let resources, let ticket): update(id, resources, for: ticket)
            case .execute(let number, let container, let command): execute(number, container, command)
            case .run(let number, let container, let command, let hasTerminal, let client):
                run(number, container, command, hasTerminal: hasTerminal, client: client)
            case .attach(let id, let client): attach(id, client: client)
            case .resize(let id, let columns, let rows):
                if let terminal = processes[.container(id)]?.process.terminal {
                    _ = clinux_resize(terminal, Int32(clamping: columns), Int32(clamping: rows))
                }
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
        for client in clients.keys where clients[client]?.isQuiet == false { say(.changed(status), to: client) }
    }
}
