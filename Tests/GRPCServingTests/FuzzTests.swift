// Mutated messages and heads.

import Fuzzing
import NIO
import NIOHPACK
import Testing

@testable import GRPCServing

@Suite struct GRPCFuzzTests {
    private static let fuzz = Fuzz(
        ["application/grpc", "identity", "1S", "99999999H", "POST", "/a/b"],
        bytes: [[0, 0, 0, 0, 0], [0, 0, 0, 0, 3], [1], [0, 0xFF, 0xFF, 0xFF, 0xFF]])

    /// The same messages come out, and the same refusal, whatever the pieces that bytes come in.
    @Test func piecesDoNotMatter() {
        let sample: [UInt8] = [0, 0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        let failure = Self.fuzz.failure(of: [sample]) { bytes, generator in
            let whole = Self.read([bytes[...]])
            var pieces: [ArraySlice<UInt8>] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 0...4, using: &generator))
                pieces.append(piece)
                rest = rest.dropFirst(piece.count)
            }
            guard Self.read(pieces) == whole else { throw Broken("\(pieces) are not \(whole)") }
        }
        #expect(failure == nil)
    }

    private static func read(_ pieces: [ArraySlice<UInt8>]) -> [String] {
        var reader = MessageReader(limit: 64)
        var found: [String] = []
        do throws(GRPCStatus) {
            for piece in pieces {
                reader.arrived(ByteBuffer(bytes: piece))
                while let message = try reader.next() { found.append("\(message)") }
            }
            found.append("\(reader.unfinishedBytes) left")
        } catch {
            found.append(error.message)
        }
        return found
    }

    @Test func heads() {
        let samples = ["application/grpc", "5S", "250m", "gzip", "/a/b"].map { Array($0.utf8) }
        for (round, bytes) in Self.fuzz.inputs(of: samples).enumerated() {
            let name = [":method", ":path", "content-type", "grpc-encoding", "grpc-timeout"][round % 5]
            let fields = HPACKHeaders([(name, String(decoding: bytes, as: UTF8.self))])
            _ = try? CallHead(fields)
        }
    }

    @Test(arguments: [
        ("1S", TimeAmount.seconds(1)), ("99999999H", .hours(100_000)), ("0n", .zero), ("20M", .minutes(20)),
        ("", nil), ("S", nil), ("-1S", nil), ("123456789S", nil), ("1", nil), ("1.5S", nil),
    ])
    func timeouts(text: String, time: TimeAmount?) {
        let head = try? CallHead([":method": "POST", "content-type": "application/grpc", "grpc-timeout": text])
        #expect(head?.timeout == time)
        #expect((head == nil) == (time == nil && !text.isEmpty))
    }
}
