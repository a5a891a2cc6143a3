// Carries a command's streams over a link, both ways, until the command or the client ends.

import Formats
import Objects
import RemoteStreams

/// One `exec` or `attach`.
struct CommandSession: Sendable {
    /// How long the end of a session waits for the client to close too.
    static let partingSeconds: Int64 = 5

    let request: CommandRequest
    let version: CommandChannels.Version
    let process: any RemoteProcess

    /// Returns when the client has been told the end, or has gone.
    func serve(_ link: any FrameLink) async {
        // Some clients take the first message as the sign that they are connected.
        try? await link.send(CommandChannels.message(request.wantsOutput ? .output : .error, []))
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await read(link)
                return true
            }
            group.addTask {
                await tell(link)
                return false
            }
            if await group.next() == true {
                // The client went first.
                await process.close()
                group.cancelAll()
            } else {
                // What the client still sends is read until it closes: closing over unread bytes would cut off the end.
                group.addTask {
                    try? await Task.sleep(for: .seconds(Self.partingSeconds))
                    return true
                }
                _ = await group.next()
                group.cancelAll()
            }
        }
        await process.close()
    }

    /// Input and resizes, until the client has gone.
    private func read(_ link: any FrameLink) async {
        var channels = CommandChannels(version)
        do {
            while let part = try await link.next() {
                for input in channels.received(part.bytes, isFirst: part.isFirst, isLast: part.isLast) {
                    switch input {
                    // A program that does not read any more is no reason to stop listening to the client.
                    case .bytes(let bytes): if request.wantsInput { try? await process.write(bytes) }
                    case .inputEnded: await process.endInput()
                    case .resized(let columns, let rows): await process.resize(columns: columns, rows: rows)
                    }
                }
            }
        } catch {
            // The connection broke: the same as gone.
        }
    }

    private func tell(_ link: any FrameLink) async {
        let process = process
        async let output: Void = pump(link, .output, isWanted: request.wantsOutput) { try await process.output() }
        async let errors: Void = pump(link, .error, isWanted: request.wantsError && !request.hasTerminal) {
            try await process.errorOutput()
        }
        _ = await (output, errors)
        var status: JSON
        do throws(Problem) {
            status = CommandStatus.ended(exitCode: try await process.exitCode())
        } catch {
            status = CommandStatus.failed(error)
        }
        if Task.isCancelled { return }
        try? await link.send(CommandChannels.message(.status, status.bytes))
        await link.sendClose(nil)
    }

    private func pump(
        _ link: any FrameLink, _ channel: CommandChannels.Channel, isWanted: Bool,
        _ next: @Sendable () async throws -> [UInt8]?
    ) async {
        do {
            while let bytes = try await next() {
                if isWanted { try await link.send(CommandChannels.message(channel, bytes)) }
            }
        } catch {
            // The client has gone; the reading side ends the session.
        }
    }
}
