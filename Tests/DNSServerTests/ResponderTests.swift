// Answers by the book, wanted and unwanted.

import Formats
import NIO
import Objects
import Testing

@testable import DNSServer

@Suite struct ResponderTests {
    static let inside = Samples.service(
        "inside",
        [
            "type": "ExternalName", "externalName": "orders.shop.svc.cluster.local",
        ])
    static let loop = Samples.service("loop", ["type": "ExternalName", "externalName": "LOOP.shop.svc.cluster.local"])
    static let dangling = Samples.service(
        "dangling", ["type": "ExternalName", "externalName": "no.shop.svc.cluster.local"])
    static let zone = Samples.zone([
        (ZoneTests.orders, [ZoneTests.ordersSlice]), (ZoneTests.outside, []), (inside, []), (loop, []), (dangling, []),
    ])
    let responder = Responder(domain: Samples.domain, zone: Self.zone, canForward: true)

    private func ask(_ name: String, _ type: RecordType = .a) throws -> Message {
        try #require(try responder.ask(Samples.query(name, type)))
    }

    @Test func bytesOfAnAnswer() throws {
        let bytes = Samples.query("oRders.shop.svc.cluster.local", extension: Extension(payloadLimitBytes: 4096))
        guard case .query(let query) = Query.read(bytes),
            case .answer(let buffer, .success) = responder.resolve(query, limitBytes: 1232)
        else { return #expect(Bool(false), "no answer") }
        var expected: [UInt8] = [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 1]
        expected += [6, 0x6f, 0x52, 0x64, 0x65, 0x72, 0x73, 4, 0x73, 0x68, 0x6f, 0x70, 3, 0x73, 0x76, 0x63]
        expected += [7, 0x63, 0x6c, 0x75, 0x73, 0x74, 0x65, 0x72, 5, 0x6c, 0x6f, 0x63, 0x61, 0x6c, 0, 0, 1, 0, 1]
        expected += [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 0, 20]
        expected += [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]
        #expect(Array(buffer.readableBytesView) == expected)
    }

    @Test func whatThereIsNot() throws {
        let none = try ask("nothing.shop.svc.cluster.local")
        #expect(none.code == .noSuchName && none.isAuthoritative && none.answers.isEmpty)
        #expect(
            none.lines(none.authorities) == ["cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 5"])
        // The name exists, the type does not.
        let empty = try ask("orders.shop.svc.cluster.local", .mx)
        #expect(empty.code == .success && empty.answers.isEmpty && empty.authorities.count == 1)
        // Searched names of the world outside end here at once.
        #expect(try ask("www.example.com.shop.svc.cluster.local").code == .noSuchName)
        // A reverse name is its own zone.
        let reverse = try ask("20.0.96.10.in-addr.arpa", .a)
        #expect(reverse.code == .success && reverse.authorities.first?.name == DomainName("20.0.96.10.in-addr.arpa"))
    }

    @Test func aliases() throws {
        let name = "inside.shop.svc.cluster.local."
        #expect(
            try ask(name).answerLines == [
                "\(name) 5 CNAME orders.shop.svc.cluster.local.", "orders.shop.svc.cluster.local. 5 A 10.96.0.20",
            ])
        #expect(try ask(name, .cname).answerLines == ["\(name) 5 CNAME orders.shop.svc.cluster.local."])
        #expect(try ask("loop.shop.svc.cluster.local").code == .serverFailure)
        let dangling = try ask("dangling.shop.svc.cluster.local")
        #expect(dangling.code == .noSuchName && dangling.answers.count == 1)
        guard case .query(let query) = Query.read(Samples.query("outside.shop.svc.cluster.local", .aaaa)),
            case .follow(let chain) = responder.resolve(query, limitBytes: 512)
        else { return #expect(Bool(false), "it is not followed") }
        #expect(chain.target == DomainName("www.example.com") && chain.records.count == 1)
    }

    @Test func elsewhere() throws {
        guard case .query(let query) = Query.read(Samples.query("www.example.com")),
            case .forward = responder.resolve(query, limitBytes: 512)
        else { return #expect(Bool(false), "it is not forwarded") }
        // No recursion wanted, so none done.
        #expect(try responder.ask(Samples.query("www.example.com", recursion: false))?.code == .refused)
        let alone = Responder(domain: Samples.domain, zone: Self.zone, canForward: false)
        let refused = try #require(try alone.ask(Samples.query("www.example.com")))
        #expect(refused.code == .refused && !refused.isRecursionAvailable)
    }

    @Test func nothingIsDeniedBeforeTheFirstPicture() throws {
        let early = Responder(domain: Samples.domain, zone: nil, canForward: true)
        #expect(try early.ask(Samples.query("orders.shop.svc.cluster.local"))?.code == .serverFailure)
        #expect(try early.ask(Samples.query("www.example.com")) == nil)
    }

    @Test func rotationSpreadsAndLosesNothing() throws {
        let endpoints = (1...5).map { Samples.endpoint("10.88.0.\($0)") }
        let zone = Samples.zone([(ZoneTests.pets, [Samples.slice(of: "pets", endpoints)])])
        let responder = Responder(domain: Samples.domain, zone: zone, canForward: false)
        var firsts: Set<String> = []
        for turn in 0..<5 {
            let lines = try #require(try responder.ask(Samples.query("pets.shop.svc.cluster.local"), rotation: turn))
                .answerLines
            #expect(Set(lines).count == 5)
            firsts.insert(lines[0])
        }
        #expect(firsts.count == 5)
    }

    @Test func whatDoesNotFitIsCut() throws {
        let endpoints = (1...200).map { Samples.endpoint("10.88.0.\($0)") }
        let zone = Samples.zone([(ZoneTests.pets, [Samples.slice(of: "pets", endpoints)])])
        let responder = Responder(domain: Samples.domain, zone: zone, canForward: false)
        let query = Samples.query("pets.shop.svc.cluster.local", extension: Extension(payloadLimitBytes: 1232))
        for limit in [512, 1232] {
            guard case .query(let read) = Query.read(query),
                case .answer(let buffer, _) = responder.resolve(read, limitBytes: limit)
            else { return #expect(Bool(false), "no answer") }
            #expect(buffer.readableBytes <= limit)
            let message = try MessageReader.message(Array(buffer.readableBytesView))
            #expect(message.isTruncated && message.extension != nil && message.answers.count > 20)
        }
        let whole = try #require(try responder.ask(query))
        #expect(!whole.isTruncated && whole.answers.count == 200)
    }

    @Test func strangeQuestions() throws {
        func refusal(_ bytes: [UInt8]) -> ResponseCode? {
            if case .refused(let code, _, _) = Query.read(bytes) { code } else { nil }
        }
        var update = Samples.query("cluster.local")
        update[2] = 5 << 3
        #expect(refusal(update) == .notImplemented)
        var two = Samples.query("cluster.local")
        two[5] = 2
        #expect(refusal(two) == .formatError)
        let pointer: [UInt8] = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]
        #expect(refusal(pointer) == .formatError)
        #expect(refusal(Samples.query("a.b", extension: Extension(payloadLimitBytes: 512, version: 1))) == .badVersion)
        #expect(refusal(Array(Samples.query("a.b").dropLast())) == .formatError)
        // A cookie (RFC 7873) is read over, half a cookie is not.
        var cookie = Samples.query("a.b", extension: Extension(payloadLimitBytes: 512))
        cookie.removeLast(2)
        cookie += [0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]
        if case .query(let query) = Query.read(cookie) {
            #expect(query.extension?.payloadLimitBytes == 512)
        } else {
            Issue.record("a cookie is no fault")
        }
        #expect(refusal(Array(cookie.dropLast(9))) == .formatError)
        // Answers and scraps get silence.
        let scraps: [[UInt8]] = [[], Array(repeating: 0, count: 11), [0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
        for bytes in scraps {
            if case .nothing = Query.read(bytes) { continue }
            Issue.record("\(bytes) is answered")
        }
        #expect(try responder.ask(Samples.query("cluster.local", .axfr))?.code == .refused)
        var chaos = Samples.query("version.bind", .txt)
        chaos[chaos.count - 1] = 3
        #expect(try responder.ask(chaos)?.code == .refused)
    }
}
