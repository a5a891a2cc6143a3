// Commands in containers and containers' own programs as streams: the platform makes the pipes and sends the shim their
// other ends, so that no byte passes through the shim and none is left when the platform dies.

import CLinux
import Formats
import Glibc
import NIO
import Objects
import RemoteStreams

extension ProcessRuntime {
    /// How long a port of a pod may take to accept a connection.
    static let connectMilliseconds: Int32 = 5000

    package func open(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        let pipes = try StreamPipes(hasTerminal: request.hasTerminal)
        let ask = ShimRequest.command(id: id, command: request.command, hasTerminal: request.hasTerminal)
        return try await start(ask, of: id, pipes, resize: nil)
    }

    package func attach(_ id: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess {
        let pipes = try StreamPipes(hasTerminal: false)
        let link = link(ofContainer: id)
        return try await start(.attach(id: id), of: id, pipes) { columns, rows in
            // A container without a terminal has no size; nobody is to be told.
            _ = try? await link?.ask(.resize(id: id, columns: columns, rows: rows))
        }
    }

    package func connect(sandbox id: String, port: Int) async throws(Problem) -> any RemoteConnection {
        guard let status = pods.withLock({ $0[id]?.status }), status.state == .ready else {
            throw Problem(.notFound, "sandbox \(id) is not ready")
        }
        let path = status.networkNamespace
        do {
            let socket = try await NIOThreadPool.singleton.runIfActive {
                clinux_connect_inside(path, Int32(port), Self.connectMilliseconds)
            }
            guard socket >= 0 else {
                throw Problem(
                    .internalError, "dial tcp 127.0.0.1:\(port): connect: \(systemMessage(-socket).lowercased())")
            }
            return try await PulledChannel.socket(socket)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.internalError, "port \(port): \(error)")
        }
    }

    private func start(
        _ ask: ShimRequest, of id: String, _ pipes: StreamPipes, resize: (@Sendable (Int, Int) async -> Void)?
    ) async throws(Problem) -> any RemoteProcess {
        let pod = pods.withLock { pods in pods.first { $0.value.containers[id]?.state == .running }?.key }
        guard let pod else {
            pipes.close()
            throw Problem(.notFound, "container \(id) is not running")
        }
        let socket = clinux_connect(PodDirectory(path: podPath(pod)).path, PodDirectory.socketName)
        let frame = ShimFrames.frame(ask.json(number: 1))
        let sent = socket < 0 ? socket : Descriptor.send(socket, frame, along: pipes.theirs)
        pipes.closeTheirs()
        guard sent >= 0 else {
            pipes.close()
            if socket >= 0 { Glibc.close(socket) }
            throw Problem(.serviceUnavailable, "the pod's shim does not answer: \(systemMessage(-sent))")
        }
        do {
            let answers = try await PulledChannel.socket(socket)
            let input =
                pipes.terminal >= 0
                ? try await PulledChannel.pipe(input: pipes.terminal, output: pipes.terminal)
                : try await PulledChannel.pipe(input: -1, output: pipes.input)
            let output = pipes.terminal >= 0 ? input : try await PulledChannel.pipe(input: pipes.output, output: -1)
            let errors = pipes.terminal >= 0 ? nil : try await PulledChannel.pipe(input: pipes.error, output: -1)
            return ProcessStreams(
                input: input, outputs: output, errors: errors, answers: answers, terminal: pipes.terminal,
                setSize: resize)
        } catch {
            throw Problem(.internalError, "the command's streams cannot be read: \(error)")
        }
    }
}

/// Fresh pipes, or a terminal, for one command: our ends and theirs.
private struct StreamPipes: Sendable {
    private(set) var input: Int32 = -1
    private(set) var output: Int32 = -1
    private(set) var error: Int32 = -1
    private(set) var terminal: Int32 = -1
    private(set) var theirs: [Int32] = []

    init(hasTerminal: Bool) throws(Problem) {
        do throws(Problem) {
            if hasTerminal {
                var program: Int32 = -1
                try checked(clinux_terminal(&terminal, &program), "making a terminal")
                theirs = [program]
            } else {
                var ends: [Int32] = [-1, -1, -1]
                try checked(clinux_pipe(&ends[0], &input), "pipe")
                theirs.append(ends[0])
                try checked(clinux_pipe(&output, &ends[1]), "pipe")
                theirs.append(ends[1])
                try checked(clinux_pipe(&error, &ends[2]), "pipe")
                theirs.append(ends[2])
            }
        } catch {
            closeTheirs()
            close()
            throw error
        }
    }

    func closeTheirs() { for descriptor in theirs { Glibc.close(descriptor) } }

    func close() {
        for descriptor in [input, output, error, terminal] where descriptor >= 0 { Glibc.close(descriptor) }
    }
}

/// A command or an attachment, from its start to its end.
private struct ProcessStreams: RemoteProcess {
    static let endOfTransmission: [UInt8] = [4]

    let input: PulledChannel
    let outputs: PulledChannel
    let errors: PulledChannel?
    let answers: PulledChannel
    /// -1 without one of its own.
    let terminal: Int32
    /// For a program whose terminal is the shim's.
    let setSize: (@Sendable (Int, Int) async -> Void)?

    func output() async throws -> [UInt8]? { try await outputs.next() }

    func errorOutput() async throws -> [UInt8]? { try await errors?.next() }

    func write(_ bytes: [UInt8]) async throws { try await input.write(bytes) }

    func endInput() async {
        if terminal >= 0 {
            try? await input.write(Self.endOfTransmission)
        } else {
            await input.close()
        }
    }

    func resize(columns: Int, rows: Int) async {
        if let setSize { return await setSize(columns, rows) }
        if terminal >= 0 { _ = clinux_resize(terminal, Int32(columns), Int32(rows)) }
    }

    func exitCode() async throws(Problem) -> Int32 {
        var frames = ShimFrames()
        do {
            while let bytes = try await answers.next() {
                for message in try frames.received(bytes) {
                    switch try ShimMessage(json: message) {
                    case .answer(_, let answer): return Int32(truncatingIfNeeded: answer["exitCode"]?.integer ?? 0)
                    case .refusal(_, let problem): throw problem
                    case .changed: continue
                    }
                }
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.internalError, "the pod's shim does not answer: \(error)")
        }
        throw Problem(.serviceUnavailable, "the pod's shim has gone")
    }

    func close() async {
        await input.close()
        await outputs.close()
        await errors?.close()
        await answers.close()
    }
}
