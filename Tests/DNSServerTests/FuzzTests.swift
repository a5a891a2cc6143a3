// Packets as anybody may send them: whatever the bytes, there is an answer by the book or silence, and reading them ends.
//
// MANGROVE_FUZZ_ROUNDS and MANGROVE_FUZZ_SEED say how many and which; the same seed gives the same rounds again.

import Glibc
import NIO
import Testing

@testable import DNSServer

/// SplitMix64: a small generator whose whole state is its seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

private struct Broken: Error, CustomStringConvertible {
    var description: String
}

@Suite struct FuzzTests {
    static let rounds = number("MANGROVE_FUZZ_ROUNDS") ?? 2000
    static let seed = UInt64(number("MANGROVE_FUZZ_SEED") ?? 20_261_126)

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    private static let codes: [[UInt8]] = [
        [0], [0xff], [0xc0, 0x0c], [0xc0, 0xff], [0x3f], [0x40], [0, 41, 4, 208, 0, 0, 0, 0, 0, 0], [0xc0], [0, 1, 0, 1],
    ]

    private static func mutated(_ samples: [[UInt8]], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = samples.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            let position = Int.random(in: 0...bytes.count, using: &generator)
            let end = min(bytes.count, position + Int.random(in: 0...12, using: &generator))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0 where position < bytes.count: bytes[position] = UInt8.random(in: .min ... .max, using: &generator)
            case 1 where position < bytes.count: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: bytes.removeSubrange(position..<end)
            case 3: bytes.insert(contentsOf: codes.randomElement(using: &generator) ?? [], at: position)
            case 4: bytes.removeSubrange(position...)
            default: bytes.insert(contentsOf: bytes[position..<end], at: position)
            }
        }
        return bytes
    }

    private func run(_ samples: [[UInt8]], _ body: ([UInt8]) throws -> Void) {
        for round in 0..<Self.rounds {
            let seed = Self.seed &+ UInt64(round)
            var generator = SeededGenerator(state: seed)
            let input = Self.mutated(samples, using: &generator)
            do {
                try body(input)
            } catch {
                Issue.record("MANGROVE_FUZZ_SEED=\(seed) MANGROVE_FUZZ_ROUNDS=1: \(error) for \(input)")
                return
            }
        }
    }

    static let queries: [[UInt8]] = [
        Samples.query("orders.shop.svc.cluster.local"), Samples.query("inside.shop.svc.cluster.local", .aaaa),
        Samples.query("_http._tcp.pets.shop.svc.cluster.local", .srv, extension: Extension(payloadLimitBytes: 1232)),
        Samples.query("10-88-0-5.shop.pod.cluster.local", .any, extension: Extension(payloadLimitBytes: 0, wantsSecurity: true)),
        Samples.query("20.0.96.10.in-addr.arpa", .ptr), Samples.query("."), Samples.query("www.example.com", .mx),
    ]

    @Test func queriesOfAllKinds() {
        let responder = Responder(
            domain: Samples.domain,
            zone: Samples.zone([
                (ZoneTests.orders, [ZoneTests.ordersSlice]), (ZoneTests.pets, ZoneTests.petSlices),
                (ResponderTests.inside, []), (ResponderTests.loop, []), (ZoneTests.outside, []),
            ]), canForward: true)
        run(Self.queries) { input in
            let written: ByteBuffer
            switch Query.read(input) {
            case .nothing: return
            case .refused(let code, let end, let opt):
                var writer = AnswerWriter(to: input, questionEnd: end, extension: opt, limitBytes: 512)
                written = writer.finish(to: input, code: code, flags: 0)
            case .query(let query):
                guard case .answer(let buffer, _) = responder.resolve(query, limitBytes: 512, rotation: input.count) else {
                    // What goes elsewhere must be a question that can be put to another.
                    let question = QuestionKey(query).question
                    guard question.name == query.domainName, question.type == query.type else {
                        throw Broken(description: "the key reads otherwise")
                    }
                    return
                }
                written = buffer
            }
            guard written.readableBytes <= 512 else { throw Broken(description: "\(written.readableBytes) bytes") }
            let answer = try MessageReader.message(Array(written.readableBytesView))
            guard answer.isResponse, answer.id == UInt16(input[0]) << 8 | UInt16(input[1]) else {
                throw Broken(description: "no answer to this")
            }
        }
    }

    @Test func answersOfOtherServers() throws {
        let soa = Zone.startOfAuthority(of: DomainName("example.com")!, serial: 3)
        let name = DomainName("www.example.com")!
        func message(_ answers: [RecordData], _ authorities: [RecordData] = []) -> [UInt8] {
            MessageWriter.bytes(
                Message(
                    id: 7, isResponse: true, questions: [Question(name: name, type: .a)],
                    answers: answers.map { ResourceRecord(name: name, timeToLiveSeconds: 300, data: $0) },
                    authorities: authorities.map { ResourceRecord(name: name, timeToLiveSeconds: 300, data: $0) },
                    extension: Extension(payloadLimitBytes: 1232)))
        }
        let samples = [
            message([.address(.v4(1)), .cname(DomainName("a.example.com")!), .address(.v6(high: 1, low: 2))]),
            message([], [soa, .ns(name)]), message([.txt([[1, 2, 3], []]), .srv(priority: 1, weight: 2, port: 3, target: name)]),
            message([.other(.mx, [0, 1] + name.wire), .other(RecordType(rawValue: 35), [0, 1, 0, 1, 0, 0, 0] + name.wire), .ptr(name)]),
        ]
        guard case .query(let query) = Query.read(Samples.query("www.example.com", extension: Extension(payloadLimitBytes: 512))) else {
            throw Broken(description: "no query")
        }
        run(samples) { input in
            guard let message = try? MessageReader.message(input) else { return }
            guard try MessageReader.message(MessageWriter.bytes(message)) == message || message.isTruncated else {
                throw Broken(description: "what is written reads otherwise")
            }
            var kept = message
            kept.questions = [Question(name: name, type: .a)]
            let answer = StoredAnswer(kept)
            for limit in [512, 1232] {
                let buffer = answer.written(to: query, ageSeconds: 1, isStale: false, flags: 0, limitBytes: limit)
                guard buffer.readableBytes <= limit else { throw Broken(description: "\(buffer.readableBytes) bytes") }
                _ = try MessageReader.message(Array(buffer.readableBytesView))
            }
            _ = answer.message(ageSeconds: 400, isStale: true)
        }
    }
}
