// Clients that share in a container's standard streams, as `kubectl attach` does.

import CLinux
import Glibc
import Objects

extension Shim {
    /// What a client that does not read misses beyond this: it is let go.
    static let attachmentBacklogLimit = 1 << 20

    /// The ends of pipes that a client sent along, and what waits to be written to them.
    struct Attachment {
        var container: String
        var input: Int32
        var output: Int32
        var error: Int32
        var outputBacklog: [UInt8] = []
        var errorBacklog: [UInt8] = []
    }

    mutating func attach(_ id: String, client: Int) {
        let streams = takeDescriptors(of: client)
        guard streams.count == 3 else {
            for descriptor in streams { close(descriptor) }
            return
        }
        for descriptor in streams { _ = clinux_set_nonblocking(descriptor) }
        attachments[client] = Attachment(container: id, input: streams[0], output: streams[1], error: streams[2])
        sources[streams[0]] = .attachedInput(client)
        sources[streams[1]] = .attachedOutput(client, isError: false)
        sources[streams[2]] = .attachedOutput(client, isError: true)
    }

    mutating func detach(client: Int) {
        guard let attachment = attachments.removeValue(forKey: client) else { return }
        for descriptor in [attachment.input, attachment.output, attachment.error] { forget(descriptor) }
    }

    /// The container has ended; what its clients have not read yet is still in their pipes.
    mutating func detachAll(from id: String) {
        for client in attachments.keys where attachments[client]?.container == id {
            flushOutput(to: client, false)
            flushOutput(to: client, true)
            detach(client: client)
        }
    }

    // MARK: Output

    /// Copies what the container said to whoever is attached.
    mutating func show(_ bytes: [UInt8], _ isError: Bool, of id: String) {
        for client in attachments.keys where attachments[client]?.container == id {
            if isError {
                attachments[client]?.errorBacklog += bytes
            } else {
                attachments[client]?.outputBacklog += bytes
            }
            flushOutput(to: client, isError)
            let waiting = attachments[client].map { max($0.outputBacklog.count, $0.errorBacklog.count) } ?? 0
            if waiting > Self.attachmentBacklogLimit { detach(client: client) }
        }
    }

    mutating func flushOutput(to client: Int, _ isError: Bool) {
        guard let attachment = attachments[client] else { return }
        let backlog = isError ? attachment.errorBacklog : attachment.outputBacklog
        guard let written = Descriptor.writeSome(isError ? attachment.error : attachment.output, backlog) else {
            return detach(client: client)
        }
        if isError {
            attachments[client]?.errorBacklog.removeFirst(written)
        } else {
            attachments[client]?.outputBacklog.removeFirst(written)
        }
    }

    /// Descriptors of streams that something waits to be written to.
    var writingStreams: Set<Int32> {
        var waiting: Set<Int32> = []
        for attachment in attachments.values {
            if !attachment.outputBacklog.isEmpty { waiting.insert(attachment.output) }
            if !attachment.errorBacklog.isEmpty { waiting.insert(attachment.error) }
        }
        for process in processes.values where !process.inputBacklog.isEmpty { waiting.insert(process.process.input) }
        return waiting
    }

    // MARK: Input

    /// Inputs that are not read for now, because the program has not taken what was read before.
    var heldInputs: Set<Int32> {
        var held: Set<Int32> = []
        for attachment in attachments.values
        where processes[.container(attachment.container)]?.inputBacklog.isEmpty == false {
            held.insert(attachment.input)
        }
        return held
    }

    mutating func readInput(from client: Int) {
        guard let attachment = attachments[client] else { return }
        let owner = Owner.container(attachment.container)
        switch Descriptor.read(attachment.input) {
        case .nothingYet: return
        case .end:
            forget(attachment.input)
            attachments[client]?.input = -1
            if machine.config(of: attachment.container)?.inputEndsOnce == true,
                processes[owner]?.process.terminal == nil
            {
                closeInput(of: owner)
            }
        case .bytes(let bytes):
            guard let input = processes[owner]?.process.input, input >= 0 else { return }
            processes[owner]?.inputBacklog += bytes
            flushInput(of: owner)
        }
    }

    mutating func flushInput(of owner: Owner) {
        guard let process = processes[owner], process.process.input >= 0 else { return }
        guard let written = Descriptor.writeSome(process.process.input, process.inputBacklog) else {
            return closeInput(of: owner)
        }
        processes[owner]?.inputBacklog.removeFirst(written)
        if processes[owner]?.inputBacklog.isEmpty == true {
            sources[process.process.input] = nil
        } else {
            sources[process.process.input] = .input(owner)
        }
    }

    mutating func closeInput(of owner: Owner) {
        guard let input = processes[owner]?.process.input, input >= 0 else { return }
        sources[input] = nil
        close(input)
        processes[owner]?.process.input = -1
        processes[owner]?.inputBacklog = []
    }
}
