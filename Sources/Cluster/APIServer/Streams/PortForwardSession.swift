// Carries connections into a pod: over SPDY (kubectl), or over a WebSocket with a pair of channels per port.

import Formats
import Objects
import RemoteStreams
import Synchronization

/// One `port-forward` over a SPDY/3.1 connection, whose bytes come as they are or, from kubectl 1.31 and newer, in the
/// messages of a WebSocket (KEP-4006).
///
/// For each connection the client opens an error stream and a data stream with the headers `streamtype`, `port` and
/// `requestid`; what stands on the error stream when it ends is why the connection failed.
final class PortForwardTunnel: Sendable {
    static let subprotocol = "SPDY/3.1+portforward.k8s.io"
    /// Where the connection itself is SPDY, as kubectl before 1.31 speaks.
    static let spdySubprotocol = "portforward.k8s.io"

    private struct State {
        var spdy = SPDYMachine()
        /// By request; each comes before its data stream.
        var errorStreams: [String: Int] = [:]
        /// By data stream.
        var connections: [Int: any RemoteConnection] = [:]
    }

    private let link: any FrameLink
    private let connect: @Sendable (Int) async throws(Problem) -> any RemoteConnection
    private let state = Mutex(State())

    /// `connect` opens a connection to a port inside the pod.
    init(_ link: any FrameLink, connect: @escaping @Sendable (Int) async throws(Problem) -> any RemoteConnection) {
        self.link = link
        self.connect = connect
    }

    func serve() async {
        await withDiscardingTaskGroup { group in
            do {
                while let part = try await link.next() {
                    for event in try received(part.bytes) { try await took(event, &group) }
                }
            } catch {
                await link.sendClose(error as? Problem)
            }
            for connection in state.withLock({ Array($0.connections.values) }) { await connection.close() }
            group.cancelAll()
        }
    }

    private func received(_ bytes: [UInt8]) throws(Problem) -> [SPDYMachine.Event] {
        try state.withLock { state throws(Problem) in try state.spdy.received(bytes) }
    }

    private func took(_ event: SPDYMachine.Event, _ group: inout DiscardingTaskGroup) async throws {
        switch event {
        case .answer(let bytes): try await link.send(bytes)
        case .opened(let stream, let headers): try await opened(stream, headers, &group)
        case .data(let stream, let bytes):
            // Holds up this client's other connections while this one's server does not read: SPDY here has no windows.
            try? await state.withLock { $0.connections[stream] }?.write(bytes)
        case .finished(let stream): await state.withLock { $0.connections[stream] }?.endInput()
        case .reset(let stream): await state.withLock { $0.connections.removeValue(forKey: stream) }?.close()
        case .goneAway: return
        }
    }

    private func opened(_ stream: Int, _ headers: [String: String], _ group: inout DiscardingTaskGroup) async throws {
        let request = headers["requestid"] ?? headers["port"] ?? ""
        switch (headers["streamtype"], headers["port"].flatMap(Int.init)) {
        case ("error", _):
            state.withLock { $0.errorStreams[request] = stream }
            try await link.send(state.withLock { $0.spdy.reply(to: stream) })
        case ("data", .some(let port)) where (1...65_535).contains(port):
            let errors = state.withLock { $0.errorStreams.removeValue(forKey: request) }
            // Data may follow the reply at once, so the connection comes first.
            do throws(Problem) {
                let connection = try await connect(port)
                state.withLock { $0.connections[stream] = connection }
                group.addTask { await self.pump(connection, stream, errors: errors) }
                try? await link.send(state.withLock { $0.spdy.reply(to: stream) })
            } catch {
                try? await link.send(state.withLock { $0.spdy.reply(to: stream) })
                await end(stream, errors: errors, "error forwarding port \(port) to pod: \(error.message)")
            }
        default:
            try await link.send(state.withLock { $0.spdy.reset(stream) })
        }
    }

    /// What the pod's side says, to its end.
    private func pump(_ connection: any RemoteConnection, _ stream: Int, errors: Int?) async {
        do {
            while let bytes = try await connection.next() {
                try await link.send(state.withLock { $0.spdy.data(bytes, on: stream) })
            }
        } catch {
            // Either side broke off; both streams end below.
        }
        await end(stream, errors: errors, "")
        await state.withLock { $0.connections.removeValue(forKey: stream) }?.close()
    }

    private func end(_ stream: Int, errors: Int?, _ message: String) async {
        let frames = state.withLock { state -> [UInt8] in
            var frames: [UInt8] = []
            if let errors {
                frames += state.spdy.data(Array(message.utf8), on: errors, isFinal: true)
                state.spdy.streamClosed(errors)
            }
            frames += state.spdy.data([], on: stream, isFinal: true)
            state.spdy.streamClosed(stream)
            return frames
        }
        if !frames.isEmpty { try? await link.send(frames) }
    }
}

/// One `port-forward` with the ports in the query: channel 2n carries the data of the nth port, 2n+1 its errors, and
/// each begins with the port's number in two bytes (upstream `pkg/kubelet/../portforward/websocket.go`; the Python
/// client).
struct PortForwardChannels: Sendable {
    static let subprotocols = ["v4.channel.k8s.io", "portforward.k8s.io"]
    /// Two channels each, and a channel's number is one byte.
    static let portLimit = 100

    let ports: [Int]
    let connections: [any RemoteConnection]

    func serve(_ link: any FrameLink) async {
        await withDiscardingTaskGroup { group in
            for (position, port) in ports.enumerated() {
                let name = [UInt8(port & 0xFF), UInt8(port >> 8)]
                try? await link.send([UInt8(2 * position)] + name)
                try? await link.send([UInt8(2 * position + 1)] + name)
                group.addTask { await pump(connections[position], position, link) }
            }
            await read(link)
            for connection in connections { await connection.close() }
            group.cancelAll()
        }
    }

    private func read(_ link: any FrameLink) async {
        var current: Int?
        do {
            while let part = try await link.next() {
                var bytes = part.bytes[...]
                if part.isFirst { current = bytes.popFirst().map(Int.init) }
                guard let current, current % 2 == 0, current / 2 < connections.count, !bytes.isEmpty else { continue }
                try? await connections[current / 2].write(Array(bytes))
            }
        } catch {
            // The connection broke: the same as gone.
        }
    }

    private func pump(_ connection: any RemoteConnection, _ position: Int, _ link: any FrameLink) async {
        do {
            while let bytes = try await connection.next() { try await link.send([UInt8(2 * position)] + bytes) }
            // The protocol has no end for one port: the whole connection ends with it, as upstream's does.
            await link.sendClose(nil)
        } catch {
            // The client has gone; the reading side ends the session.
        }
    }
}
