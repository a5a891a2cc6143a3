// Packets as anybody may send them: whatever the bytes, there is an answer by the book or silence, and reading them
// ends.

import Fuzzing
import NIO
import Testing

@testable import DNSServer

@Suite struct FuzzTests {
    private static let fuzz = Fuzz(
        bytes: [
            [0], [0xff], [0xc0, 0x0c], [0xc0, 0xff], [0x3f], [0x40], [0, 41, 4, 208, 0, 0, 0, 0, 0, 0], [0xc0],
            [0, 1, 0, 1],
        ], rounds: 2000)

    private func run(_ samples: [[UInt8]], _ body: ([UInt8]) throws -> Void) {
        #expect(Self.fuzz.failure(of: samples) { input, _ in try body(input) } == nil)
    }

    static let queries: [[UInt8]] = [
        Samples.query("orders.shop.svc.cluster.local"), Samples.query("inside.shop.svc.cluster.local", .aaaa),
        Samples.query("_http._tcp.pets.shop.svc.cluster.local", .srv, extension: Extension(payloadLimitBytes: 1232)),
        Samples.query(
            "10-88-0-5.shop.pod.cluster.local", .any, extension: Extension(payloadLimitBytes: 0, wantsSecurity: true)),
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
                guard case .answer(let buffer, _) = responder.resolve(query, limitBytes: 512, rotation: input.count)
                else {
                    // What goes elsewhere must be a question that can be put to another.
                    let question = QuestionKey(query).question
                    guard question.name == query.domainName, question.type == query.type else {
                        throw Broken("the key reads otherwise")
                    }
                    return
                }
                written = buffer
            }
            guard written.readableBytes <= 512 else { throw Broken("\(written.readableBytes) bytes") }
            let answer = try MessageReader.message(Array(written.readableBytesView))
            guard answer.isResponse, answer.id == UInt16(input[0]) << 8 | UInt16(input[1]) else {
                throw Broken("no answer to this")
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
            message([], [soa, .ns(name)]),
            message([.txt([[1, 2, 3], []]), .srv(priority: 1, weight: 2, port: 3, target: name)]),
            message([
                .other(.mx, [0, 1] + name.wire), .other(RecordType(rawValue: 35), [0, 1, 0, 1, 0, 0, 0] + name.wire),
                .ptr(name),
            ]),
        ]
        guard
            case .query(let query) = Query.read(
                Samples.query("www.example.com", extension: Extension(payloadLimitBytes: 512)))
        else {
            throw Broken("no query")
        }
        run(samples) { input in
            guard let message = try? MessageReader.message(input) else { return }
            guard try MessageReader.message(MessageWriter.bytes(message)) == message || message.isTruncated else {
                throw Broken("what is written reads otherwise")
            }
            var kept = message
            kept.questions = [Question(name: name, type: .a)]
            let answer = StoredAnswer(kept)
            for limit in [512, 1232] {
                let buffer = answer.written(to: query, ageSeconds: 1, isStale: false, flags: 0, limitBytes: limit)
                guard buffer.readableBytes <= limit else { throw Broken("\(buffer.readableBytes) bytes") }
                _ = try MessageReader.message(Array(buffer.readableBytesView))
            }
            _ = answer.message(ageSeconds: 400, isStale: true)
        }
    }
}
