// Turns a served HTTP/1.1 connection into SPDY/3.1, as kubectl before 1.31 and other clients of its time speak it.

import NIO
import Objects
import RemoteStreams
import Synchronization

/// The bytes of one upgraded connection. There are no messages: each read stands for itself.
struct SPDYLink: FrameLink {
    private let connection: UpgradedConnection<ByteBuffer>

    /// Answers 101 and takes the connection over. Throws when it is no HTTP/1.1 connection over TLS.
    static func upgrade(_ channel: any Channel, subprotocol: String) async throws -> SPDYLink {
        let head = "Upgrade: SPDY/3.1\r\nConnection: Upgrade\r\nX-Stream-Protocol-Version: \(subprotocol)\r\n"
        return SPDYLink(connection: try await UpgradedConnection.take(channel, head: head) { [] })
    }

    func next() async throws -> MessagePart? {
        try await connection.next().map { MessagePart(Array($0.readableBytesView)) }
    }

    func send(_ bytes: [UInt8]) async throws {
        try await connection.send(connection.channel.allocator.buffer(bytes: bytes))
    }

    /// SPDY's streams end one by one; the connection has nothing more to say.
    func sendClose(_ problem: Problem?) async {}

    func close() async { await connection.close() }
}

/// The streams of a command over SPDY, in the form in which a WebSocket carries them: numbered channels.
final class SPDYCommandLink: FrameLink {
    /// How long the client has for opening its streams (upstream: DefaultStreamCreationTimeout).
    static let openingSeconds: Int64 = 30

    private struct State {
        var machine: CommandStreams
        /// What one read brought beyond what was asked for.
        var ready: [MessagePart] = []
    }

    private let link: any FrameLink
    private let state: Mutex<State>

    init(_ link: any FrameLink, streams: CommandStreams) {
        self.link = link
        state = Mutex(State(machine: streams))
    }

    /// Returns when the client has opened every stream that the command has; false when it does not.
    func opened() async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                while !self.state.withLock({ $0.machine.isComplete }) {
                    guard let parts = try? await self.parts() else { return false }
                    self.state.withLock { $0.ready += parts }
                }
                return true
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(Self.openingSeconds))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    func next() async throws -> MessagePart? {
        while true {
            if let part = state.withLock({ $0.ready.isEmpty ? nil : $0.ready.removeFirst() }) { return part }
            guard let parts = try await parts() else { return nil }
            state.withLock { $0.ready += parts }
        }
    }

    private func parts() async throws -> [MessagePart]? {
        guard let part = try await link.next() else { return nil }
        let (messages, answers) = try state.withLock { state throws(Problem) in
            try state.machine.received(part.bytes)
        }
        if !answers.isEmpty { try await link.send(answers) }
        return messages.map { MessagePart($0) }
    }

    func send(_ bytes: [UInt8]) async throws {
        let frames = state.withLock { $0.machine.frames(for: bytes) }
        if !frames.isEmpty { try await link.send(frames) }
    }

    func sendClose(_ problem: Problem?) async {
        let frames = state.withLock { $0.machine.ended() }
        if !frames.isEmpty { try? await link.send(frames) }
    }

    func close() async { await link.close() }
}
