// A shim's processes: making them, hearing what they say and how they end.

import CLinux
import Formats
import Glibc
import Objects

extension Shim {
    mutating func launch(_ id: String) {
        guard let config = machine.config(of: id) else { return }
        let command = (config.command + config.arguments).first ?? ""
        do throws(Problem) {
            let path = config.logPath.hasPrefix("/") ? config.logPath : sandbox.logDirectory + "/" + config.logPath
            let log = try LogFile(path: path)
            let made: ContainerProcess
            do throws(Problem) {
                made = try launcher.launch(id, config, processes: try processes(of: config))
            } catch {
                log.close()
                throw error
            }
            track(.container(id), Process(process: made, command: command, log: log))
        } catch {
            machine.failed(id, error.message)
            perform(machine.ended(id, exitCode: 128, at: now))
        }
    }

    /// What `clinux_spec_processes` takes for the container's view of processes.
    private func processes(of config: ContainerConfig) throws(Problem) -> Int32 {
        switch config.processes {
        case .own: return -1
        case .host: return -2
        case .pod:
            guard sharedProcesses >= 0 else { throw Problem(.internalError, "the pod shares no processes") }
            return sharedProcesses
        case .container(let id):
            guard let target = processes[.container(id)] else {
                throw Problem(.notFound, "container \(id), whose processes are asked for, does not run")
            }
            return target.process.pidfd
        }
    }

    mutating func update(_ id: String, _ resources: ContainerConfig.Resources, for ticket: ShimMachine.Ticket) {
        var failure: Problem?
        do throws(Problem) {
            guard let groups = launcher.groups else {
                throw Problem(.serviceUnavailable, "no control groups can be written here, so no limits can be kept")
            }
            let old = machine.config(of: id)?.resources ?? .init()
            try groups.update(pod: sandbox.id, container: id, from: old, to: resources)
        } catch {
            failure = error
        }
        perform(machine.updated(id, resources, for: ticket, failure: failure))
    }

    mutating func execute(_ number: Int, _ container: String, _ command: [String]) {
        guard let config = machine.config(of: container), let home = processes[.container(container)] else {
            return perform(machine.executionFailed(number, "container \(container) is gone"))
        }
        do throws(Problem) {
            let made = try launcher.execute(command, in: container, config, home.process.pidfd)
            track(.execution(number), Process(process: made, command: command.first ?? ""))
        } catch {
            perform(machine.executionFailed(number, error.message))
        }
    }

    /// Runs a command on the descriptors that its client sent along.
    mutating func run(_ number: Int, _ container: String, _ command: [String], hasTerminal: Bool, client: Int) {
        let streams = takeDescriptors(of: client)
        defer { for descriptor in streams { close(descriptor) } }
        guard let config = machine.config(of: container), let home = processes[.container(container)] else {
            return perform(machine.executionFailed(number, "container \(container) is gone"))
        }
        guard streams.count == (hasTerminal ? 1 : 3) else {
            return perform(machine.executionFailed(number, "the command's streams did not come along"))
        }
        do throws(Problem) {
            let made = try launcher.execute(
                command, in: container, config, home.process.pidfd, streams: streams, hasTerminal: hasTerminal)
            track(.execution(number), Process(process: made, command: command.first ?? ""))
        } catch {
            perform(machine.executionFailed(number, error.message))
        }
    }

    /// A client that sent streams along wants to hear of nothing but them.
    mutating func takeDescriptors(of client: Int) -> [Int32] {
        let descriptors = clients[Int32(client)]?.descriptors ?? []
        clients[Int32(client)]?.descriptors = []
        clients[Int32(client)]?.isQuiet = true
        return descriptors
    }

    mutating func track(_ owner: Owner, _ process: Process) {
        processes[owner] = process
        sources[process.process.report] = .report(owner)
        if process.process.output >= 0 { sources[process.process.output] = .output(owner, isError: false) }
        if process.process.error >= 0 { sources[process.process.error] = .output(owner, isError: true) }
        sources[process.process.pidfd] = .end(owner)
    }

    // MARK: What they say

    mutating func readReport(of owner: Owner) {
        guard let process = processes[owner], !process.hasReported else { return }
        switch Descriptor.read(process.process.report) {
        case .nothingYet: return
        case .bytes(let bytes): processes[owner]?.report += bytes
        case .end:
            processes[owner]?.hasReported = true
            forget(process.process.report)
            // The number may soon be another descriptor's.
            processes[owner]?.process.report = -1
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
    mutating func readOutput(of owner: Owner, _ isError: Bool, _ descriptor: Int32) -> Bool {
        guard sources[descriptor] != nil else { return false }
        switch Descriptor.read(descriptor) {
        case .nothingYet: return false
        case .bytes(let bytes):
            processes[owner]?.wrote(bytes, isError, at: Timestamp(nanosecondsSinceEpoch: SystemTime.wall))
            if case .container(let id) = owner { show(bytes, isError, of: id) }
            return true
        case .end:
            processes[owner]?.closed(isError, at: Timestamp(nanosecondsSinceEpoch: SystemTime.wall))
            forget(descriptor)
            if isError { processes[owner]?.process.error = -1 } else { processes[owner]?.process.output = -1 }
            return false
        }
    }

    mutating func ended(_ owner: Owner) {
        guard let process = processes[owner]?.process else { return }
        // Of a container nothing runs any more, so this reads to the end; of a command, what is there now.
        for _ in 0..<2 { readReport(of: owner) }
        while readOutput(of: owner, false, process.output) {}
        while readOutput(of: owner, true, process.error) {}
        let code = clinux_reap(process.pid)
        if let rest = processes[owner]?.process {
            for descriptor in [rest.report, rest.output, rest.error, rest.pidfd] { forget(descriptor) }
        }
        closeInput(of: owner)
        guard var ended = processes.removeValue(forKey: owner) else { return }
        ended.log?.close()
        if case .container(let id) = owner { detachAll(from: id) }
        switch owner {
        case .container(let id):
            let isOutOfMemory = launcher.groups?.hasRunOutOfMemory(pod: sandbox.id, container: id) ?? false
            launcher.groups?.remove(pod: sandbox.id, container: id)
            perform(machine.ended(id, exitCode: code, isOutOfMemory: isOutOfMemory, at: now))
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
        if log != nil {
            log?.write(
                isError ? errorLines.received(bytes, at: moment) : outputLines.received(bytes, at: moment), at: moment)
        } else if isError {
            result.standardError += bytes.prefix(ExecResult.outputLimit - result.standardError.count)
        } else {
            result.standardOutput += bytes.prefix(ExecResult.outputLimit - result.standardOutput.count)
        }
    }

    fileprivate mutating func closed(_ isError: Bool, at moment: Timestamp) {
        log?.write(isError ? errorLines.ended(at: moment) : outputLines.ended(at: moment), at: moment)
    }
}

extension Timestamp {
    init(nanosecondsSinceEpoch time: Int64) {
        self.init(secondsSinceEpoch: time / 1_000_000_000, nanoseconds: Int32(time % 1_000_000_000))
    }
}
