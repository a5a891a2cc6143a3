// The protocols of exec and port-forward against bytes that other implementations made.

import Formats
import Objects
import Testing

@testable import RemoteStreams

@Suite struct StreamTests {
    /// Two header blocks as zlib 1.2 compresses them with the dictionary of SPDY/3, each flushed.
    private static let first = bytes(
        "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c6061606100a4398b20d198094ade8c0600000000ffff")
    private static let second = bytes("c2aa19540e2512d60b000000ffff")

    private static func bytes(_ hex: String) -> [UInt8] {
        var digits = Substring(hex)
        var bytes: [UInt8] = []
        while !digits.isEmpty {
            bytes.append(UInt8(digits.prefix(2), radix: 16) ?? 0)
            digits = digits.dropFirst(2)
        }
        return bytes
    }

    private func open(_ stream: Int, _ block: [UInt8], flags: UInt8 = 0) -> [UInt8] {
        let payload = SPDYHeaders.number(stream) + [0, 0, 0, 0, 0, 0] + block
        return [0x80, 3, 0, 1, flags] + SPDYHeaders.number(payload.count).dropFirst() + payload
    }

    private func data(_ stream: Int, _ bytes: [UInt8], flags: UInt8 = 0) -> [UInt8] {
        SPDYHeaders.number(stream) + [flags] + SPDYHeaders.number(bytes.count).dropFirst() + bytes
    }

    @Test func headersOfSeveralStreamsShareOneCompression() throws {
        var reader = SPDYHeaderReader()
        #expect(try reader.read(Self.first) == ["streamtype": "error", "port": "8080", "requestid": "0"])
        #expect(try reader.read(Self.second) == ["streamtype": "data", "port": "8080", "requestid": "0"])
    }

    @Test func whatTheWriterWritesAnInflaterReads() throws {
        var writer = SPDYHeaderWriter()
        var reader = SPDYHeaderReader()
        #expect(try reader.read(writer.write([:])) == [:])
        #expect(try reader.read(writer.write(["a": "b", "c": "d"])) == ["a": "b", "c": "d"])
    }

    @Test func streamsOpenCarryDataAndEnd() throws {
        var machine = SPDYMachine()
        let bytes = open(1, Self.first, flags: 1) + open(3, Self.second) + data(3, [1, 2, 3]) + data(3, [], flags: 1)
        var events: [SPDYMachine.Event] = []
        // Bytes may come in any pieces.
        for byte in bytes { events += try machine.received([byte]) }
        #expect(
            events == [
                .opened(stream: 1, headers: ["streamtype": "error", "port": "8080", "requestid": "0"]),
                .finished(stream: 1),
                .opened(stream: 3, headers: ["streamtype": "data", "port": "8080", "requestid": "0"]),
                .data(stream: 3, [1, 2, 3]), .finished(stream: 3),
            ])
        #expect(machine.data([9], on: 3, isFinal: true) == [0, 0, 0, 3, 1, 0, 0, 1, 9])
        #expect(machine.data([], on: 1, isFinal: true) == [0, 0, 0, 1, 1, 0, 0, 0])
        #expect(machine.reset(3) == [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 6])
        #expect(machine.data([9], on: 3) == [], "a closed stream takes nothing")
        #expect(try machine.received(data(3, [1])) == [], "and what crosses with its end is dropped")
    }

    @Test func pingsAreSentBackAndTheRestIsLetPass() throws {
        var machine = SPDYMachine()
        let ping: [UInt8] = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7]
        #expect(try machine.received(ping) == [.answer(ping)])
        #expect(try machine.received([0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0]) == [])
        #expect(try machine.received([0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]) == [.goneAway])
        #expect(throws: Problem.self) { try machine.received([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7]) }
        #expect(throws: Problem.self) { try machine.received([0, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF]) }
    }

    @Test func noBytesCrashTheDecoders() {
        var random = SystemRandomNumberGenerator()
        for round in 0..<3000 {
            var bytes = round % 2 == 0 ? Self.first : open(1, Self.first) + open(3, Self.second)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if round % 3 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            var reader = SPDYHeaderReader()
            _ = try? reader.read(bytes)
            var machine = SPDYMachine()
            _ = try? machine.received(bytes)
        }
    }

    @Test func aFewBytesCannotGrowWithoutEnd() {
        // A fixed block: the literal 0, then its longest repetition over and over.
        var inflater = Inflater(outputLimit: 1000)
        let bomb: [UInt8] = [0x78, 0x01, 0x63, 0x60, 0xA0, 0x3D, 0xA0, 0x3D, 0xA0, 0x3D]
        do {
            let output = try inflater.inflate(bomb + [UInt8](repeating: 0xA0, count: 4000))
            #expect(output.count <= 1000)
        } catch {
            #expect(error.reason == .requestEntityTooLarge || error.reason == .badRequest)
        }
    }

    @Test func messagesOfACommandNameTheirStream() {
        #expect(CommandChannels.Version.chosen(from: ["v4.channel.k8s.io", "v5.channel.k8s.io"]) == .v5)
        #expect(CommandChannels.Version.chosen(from: ["channel.k8s.io"]) == nil)
        var channels = CommandChannels(.v5)
        #expect(channels.received([0, 104, 105], isFirst: true, isLast: false) == [.bytes([104, 105])])
        #expect(channels.received([33], isFirst: false, isLast: true) == [.bytes([33])], "a message in two frames")
        #expect(channels.received([255, 0], isFirst: true, isLast: true) == [.inputEnded])
        let size = Array("{\"Width\":80,\"Height\":24}".utf8)
        #expect(channels.received([4] + size[..<9], isFirst: true, isLast: false) == [])
        #expect(channels.received(Array(size[9...]), isFirst: false, isLast: true) == [.resized(columns: 80, rows: 24)])
        #expect(channels.received([1, 2], isFirst: true, isLast: true) == [], "output is not the client's to send")
        #expect(channels.received([], isFirst: true, isLast: true) == [])
        var old = CommandChannels(.v4)
        #expect(old.received([255, 0], isFirst: true, isLast: true) == [])
    }

    @Test func theStreamsOfACommandBecomeChannels() throws {
        var streams = CommandStreams(CommandRequest(container: "main", wantsInput: true))
        var writer = SPDYHeaderWriter()
        let begun = try streams.received(
            open(1, writer.write(["streamtype": "error"])) + open(3, writer.write(["streamType": "stdin"]))
                + open(5, writer.write(["streamtype": "other"])) + open(7, writer.write(["streamtype": "stdin"])))
        #expect(begun.messages.isEmpty && begun.answers.starts(with: [0x80, 3, 0, 2]) && !streams.isComplete)
        #expect(begun.answers.suffix(8) == [0, 0, 0, 7, 0, 0, 0, 6], "a second input is refused")
        _ = try streams.received(
            open(9, writer.write(["streamtype": "stdout"])) + open(11, writer.write(["streamtype": "stderr"])))
        #expect(streams.isComplete)
        let said = try streams.received(data(3, [1, 2]) + data(3, [], flags: 1))
        #expect(said.messages == [[0, 1, 2], [255, 0]] && said.answers.isEmpty)
        #expect(streams.frames(for: [1, 65]) == [0, 0, 0, 9, 0, 0, 0, 1, 65])
        #expect(streams.frames(for: [1]) == [], "a greeting of the WebSocket form")
        #expect(streams.frames(for: [4, 65]) == [], "nobody opened that")
        #expect(streams.ended().suffix(8) == [0, 0, 0, 1, 1, 0, 0, 0], "the outcome ends last")
        #expect(streams.ended().isEmpty)
    }

    @Test func aTerminalHasNoStreamOfErrors() throws {
        var streams = CommandStreams(CommandRequest(container: "main", hasTerminal: true))
        var writer = SPDYHeaderWriter()
        _ = try streams.received(
            open(1, writer.write(["streamtype": "error"])) + open(3, writer.write(["streamtype": "stdout"])))
        #expect(streams.isComplete)
        let size = Array("{}".utf8)
        let resized = try streams.received(open(5, writer.write(["streamtype": "resize"])) + data(5, size))
        #expect(resized.messages == [[4] + size])
    }

    @Test func theEndSaysTheExitCode() {
        #expect(CommandStatus.ended(exitCode: 0)["status"] == "Success")
        let failed = CommandStatus.ended(exitCode: 3)
        #expect(failed["reason"] == "NonZeroExitCode")
        #expect(failed["details", "causes"]?.array?[0]["message"] == "3")
    }
}
