// A command's streams over SPDY: each is a stream of its own, named by a header.

import Objects

/// Translates between SPDY's streams and the channels of `CommandChannels` (version 5), so that a session need not know
/// which of the two its client speaks.
///
/// Follows `v4.channel.k8s.io` over SPDY (upstream `k8s.io/client-go/tools/remotecommand/v4.go`): the client opens the
/// streams error, stdin, stdout, stderr and, with a terminal, resize; the end of the error stream ends the command.
package struct CommandStreams: Sendable {
    package static let subprotocol = "v4.channel.k8s.io"

    private var spdy = SPDYMachine()
    private var streams: [Int: CommandChannels.Channel] = [:]
    private var awaited: Set<CommandChannels.Channel>

    /// For a command of this request, which says what streams the client will open.
    package init(_ request: CommandRequest) {
        awaited = [.status]
        if request.wantsInput { awaited.insert(.input) }
        if request.wantsOutput { awaited.insert(.output) }
        if request.wantsError, !request.hasTerminal { awaited.insert(.error) }
    }

    /// Whether the client has opened every stream that the command needs; nothing can be sent on the others.
    package var isComplete: Bool { awaited.isEmpty }

    /// What these bytes, after all before them, say: messages of channels, and bytes to be sent back at once.
    package mutating func received(
        _ bytes: [UInt8]
    ) throws(Problem) -> (messages: [[UInt8]], answers: [UInt8]) {
        var messages: [[UInt8]] = []
        var answers: [UInt8] = []
        for event in try spdy.received(bytes) {
            switch event {
            case .answer(let bytes): answers += bytes
            case .opened(let stream, let headers): answers += opened(stream, headers["streamtype"] ?? "")
            case .data(let stream, let bytes):
                if let channel = streams[stream] { messages.append(CommandChannels.message(channel, bytes)) }
            case .finished(let stream), .reset(let stream):
                guard let channel = streams[stream] else { continue }
                messages.append(CommandChannels.message(.close, [channel.rawValue]))
                if case .reset = event { streams[stream] = nil }
            case .goneAway: break
            }
        }
        return (messages, answers)
    }

    private mutating func opened(_ stream: Int, _ type: String) -> [UInt8] {
        let channels: [String: CommandChannels.Channel] = [
            "stdin": .input, "stdout": .output, "stderr": .error, "error": .status, "resize": .resize,
        ]
        guard let channel = channels[type], !streams.values.contains(channel) else { return spdy.reset(stream) }
        streams[stream] = channel
        awaited.remove(channel)
        return spdy.reply(to: stream)
    }

    /// A message of a channel as frames; nothing when the client has not opened its stream.
    package mutating func frames(for message: [UInt8]) -> [UInt8] {
        guard message.count > 1, let channel = message.first.flatMap(CommandChannels.Channel.init(rawValue:)),
            let stream = streams.first(where: { $0.value == channel })?.key
        else { return [] }
        return spdy.data(Array(message.dropFirst()), on: stream)
    }

    /// The end of every stream, the one with the command's outcome last.
    package mutating func ended() -> [UInt8] {
        let outcome = streams.keys.filter { streams[$0] == .status }
        var frames: [UInt8] = []
        for stream in streams.keys.filter({ !outcome.contains($0) }).sorted() + outcome {
            frames += spdy.data([], on: stream, isFinal: true)
            spdy.streamClosed(stream)
        }
        streams = [:]
        return frames
    }
}
