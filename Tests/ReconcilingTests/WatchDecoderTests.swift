// Watch bodies cut in every place give the same events; the client reads answers as the server means them.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import Client

@Suite struct WatchDecoderTests {
    static let body = Array(
        """
        {"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}
        {"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}

        """.utf8)

    @Test(arguments: [1, 2, 7, 80, 1000])
    func chunksNeedNotAgreeWithLines(size: Int) throws {
        var decoder = WatchDecoder()
        var seen: [String] = []
        var rest = Self.body[...]
        while !rest.isEmpty {
            decoder.received(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
            while let event = try decoder.next() {
                switch event {
                case .added(let object): seen.append("added \(object.name)")
                case .bookmark(let revision): seen.append("bookmark \(revision)")
                default: seen.append("?")
                }
            }
        }
        #expect(seen == ["added a", "bookmark 9"])
    }

    @Test func anErrorEventIsThrownAsTheProblemItCarries() throws {
        var decoder = WatchDecoder()
        let problem = Problem(.expired, "too old resource version")
        let line: JSON = ["type": "ERROR", "object": problem.status]
        decoder.received(line.bytes + [UInt8(ascii: "\n")])
        #expect(throws: problem) { try decoder.next() }
    }

    @Test func queriesAreEncoded() {
        #expect(QueryString.encode([("labelSelector", "app in (a, b)")]) == "?labelSelector=app%20in%20%28a%2C%20b%29")
    }

    @Test func aRefusalThatIsNoStatusKeepsItsCodeAndText() async {
        struct Plain: Transport {
            func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer {
                Answer(response: HTTPResponse(status: .notFound), body: .bytes(Array("404 page not found".utf8)))
            }
        }
        let client = KubernetesClient(transport: Plain(), name: "test")
        await #expect(throws: Problem(.unknown, "the server answered with status 404: 404 page not found", code: 404)) {
            try await client.get(.pods, ObjectKey(namespace: "a", name: "b"))
        }
    }
}
