// The server's side of a SPDY/3.1 connection: bytes in, streams and their data out.

import Objects

/// One connection on which the client opens streams.
///
/// Follows SPDY/3.1 as far as Kubernetes uses it (moby/spdystream): streams with headers, data both ways, half close,
/// reset, ping, go-away. Neither side keeps flow-control windows, since the only client there is does not.
package struct SPDYMachine: Sendable {
    package enum Event: Sendable, Hashable {
        case opened(stream: Int, headers: [String: String])
        case data(stream: Int, [UInt8])
        /// The client sends nothing more on this stream.
        case finished(stream: Int)
        /// The client wants nothing more of this stream.
        case reset(stream: Int)
        /// To be sent back at once.
        case answer([UInt8])
        /// The client opens no more streams.
        case goneAway
    }

    /// A longer frame ends the connection; clients write at most 32 KiB of data at once.
    package static let frameLimitBytes = 1 << 20
    /// Streams that are open at one time; further ones are refused.
    package static let streamLimit = 1000

    private enum Kind {
        static let synStream = 1, synReply = 2, reset = 3, ping = 6, goAway = 7
    }

    private var pending: [UInt8] = []
    private var reader = SPDYHeaderReader()
    private var writer = SPDYHeaderWriter()
    /// Open streams, and whether the client still sends on them.
    private var streams: [Int: Bool] = [:]
    private var newest = 0

    package init() {}

    // MARK: In

    /// What these bytes, after all before them, say. Throws when they are no SPDY; the connection is then of no use.
    package mutating func received(_ bytes: some Collection<UInt8>) throws(Problem) -> [Event] {
        pending += bytes
        var events: [Event] = []
        var start = 0
        defer { pending.removeFirst(start) }
        while pending.count - start >= 8 {
            let head = pending[start..<start + 8].map(Int.init)
            let length = head[5] << 16 | head[6] << 8 | head[7]
            guard length <= Self.frameLimitBytes else {
                throw Problem(
                    .requestEntityTooLarge, "a SPDY frame of \(length) bytes; the limit is \(Self.frameLimitBytes)")
            }
            guard pending.count - start - 8 >= length else { break }
            let payload = Array(pending[start + 8..<start + 8 + length])
            start += 8 + length
            if head[0] & 0x80 == 0 {
                let stream = head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3]
                events += data(stream, payload, isFinal: head[4] & 1 != 0)
            } else {
                guard head[0] & 0x7F == 0, head[1] == 3 else { throw .badRequest("a SPDY frame of another version") }
                events += try control(head[2] << 8 | head[3], flags: head[4], payload)
            }
        }
        return events
    }

    private mutating func data(_ stream: Int, _ payload: [UInt8], isFinal: Bool) -> [Event] {
        // Data may cross with our own reset; it is for nobody then.
        guard streams[stream] == true else { return [] }
        var events: [Event] = payload.isEmpty ? [] : [.data(stream: stream, payload)]
        if isFinal {
            streams[stream] = false
            events.append(.finished(stream: stream))
        }
        return events
    }

    private mutating func control(_ kind: Int, flags: Int, _ payload: [UInt8]) throws(Problem) -> [Event] {
        var frame = ByteReader(bytes: payload)
        switch kind {
        case Kind.synStream:
            let stream = try frame.number() & 0x7FFF_FFFF
            _ = try frame.number()
            guard frame.rest.count >= 2 else { throw .badRequest("a SPDY frame ends too early") }
            // Read in any case: the headers of all later streams depend on it.
            let headers = try reader.read(Array(frame.rest.dropFirst(2)))
            guard stream % 2 == 1, stream > newest else { throw .badRequest("a SPDY stream with a wrong number") }
            newest = stream
            guard streams.count < Self.streamLimit else { return [.answer(Self.resetFrame(stream, status: 3))] }
            streams[stream] = flags & 1 == 0
            let opened = Event.opened(stream: stream, headers: headers)
            return flags & 1 == 0 ? [opened] : [opened, .finished(stream: stream)]
        case Kind.reset:
            let stream = try frame.number() & 0x7FFF_FFFF
            return streams.removeValue(forKey: stream) == nil ? [] : [.reset(stream: stream)]
        case Kind.ping:
            let number = try frame.number()
            return number % 2 == 1 ? [.answer(Self.frame(Kind.ping, SPDYHeaders.number(number)))] : []
        case Kind.goAway:
            return [.goneAway]
        default:
            // Settings, window updates and replies to what was never asked mean nothing here.
            return []
        }
    }

    // MARK: Out

    /// Accepts a stream.
    package mutating func reply(to stream: Int) -> [UInt8] {
        Self.frame(Kind.synReply, SPDYHeaders.number(stream) + writer.write([:]))
    }

    /// Data for a stream, cut into frames; `isFinal` says that no more follows.
    package mutating func data(_ bytes: [UInt8], on stream: Int, isFinal: Bool = false) -> [UInt8] {
        guard streams[stream] != nil else { return [] }
        var frames: [UInt8] = []
        var start = 0
        repeat {
            let end = min(bytes.count, start + 65_536)
            let flag: UInt8 = isFinal && end == bytes.count ? 1 : 0
            let length = SPDYHeaders.number(end - start)
            frames += SPDYHeaders.number(stream) + [flag, length[1], length[2], length[3]] + bytes[start..<end]
            start = end
        } while start < bytes.count
        return frames
    }

    /// Ends a stream at once, both ways; `streamClosed` is not needed after it.
    package mutating func reset(_ stream: Int) -> [UInt8] {
        guard streams.removeValue(forKey: stream) != nil else { return [] }
        return Self.resetFrame(stream, status: 6)
    }

    /// Both sides are through with this stream.
    package mutating func streamClosed(_ stream: Int) { streams[stream] = nil }

    private static func resetFrame(_ stream: Int, status: Int) -> [UInt8] {
        frame(Kind.reset, SPDYHeaders.number(stream) + SPDYHeaders.number(status))
    }

    private static func frame(_ kind: Int, _ payload: [UInt8]) -> [UInt8] {
        let length = SPDYHeaders.number(payload.count)
        return [0x80, 3, 0, UInt8(kind), 0, length[1], length[2], length[3]] + payload
    }
}
