// Mutated bodies and paths for the readers of the Eureka interface. `make fuzz` runs many rounds, the tests a few.
//
// MANGROVE_FUZZ_ROUNDS and MANGROVE_FUZZ_SEED say how many and which; the same seed gives the same rounds again.

import Catalogue
import Formats
import Glibc
import Testing

@testable import EurekaServer

@Suite struct EurekaFuzzTests {
    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
    private static let rounds = number("MANGROVE_FUZZ_ROUNDS") ?? 400
    private static let seed = UInt64(number("MANGROVE_FUZZ_SEED") ?? 20_261_123)

    private static let fragments: [[UInt8]] = [
        "<", ">", "</", "/>", "<a>", "</a>", "&", "&amp;", "&#x41;", "&#99999999999;", "<!--", "-->", "<![CDATA[", "]]>", "=",
        "'", "\"", "<?xml", "?>", "<!DOCTYPE", "{", "}", "[", "]", "null", "%", "%41", "%zz", "/", "?", "__", "_-", "_.0041",
    ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0], [0x1F]]

    /// Calls `body` with a mutation of one of the samples.
    private func run(_ samples: [[UInt8]], _ body: ([UInt8]) throws -> Void) {
        for round in 0..<Self.rounds {
            let seed = Self.seed &+ UInt64(round)
            var random = SeededGenerator(state: seed)
            var bytes = samples.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let position = Int.random(in: 0...bytes.count, using: &random)
                let end = min(bytes.count, position + Int.random(in: 0...12, using: &random))
                switch Int.random(in: 0..<5, using: &random) {
                case 0 where position < bytes.count: bytes[position] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.removeSubrange(position..<end)
                case 2: bytes.insert(contentsOf: bytes[position..<end], at: position)
                case 3 where Int.random(in: 0..<4, using: &random) == 0: bytes.removeSubrange(position...)
                default: bytes.insert(contentsOf: Self.fragments.randomElement(using: &random) ?? [], at: position)
                }
            }
            do {
                try body(bytes)
            } catch {
                Issue.record("MANGROVE_FUZZ_SEED=\(seed) MANGROVE_FUZZ_ROUNDS=1: \(error) for \(bytes)")
                return
            }
        }
    }

    private struct Changed: Error { var text: String }

    /// Whatever is accepted in either form is the same instance after it was written and read again.
    @Test func bodies() throws {
        let info = try Sample.info()
        run([AnswerForm(isJSON: false), AnswerForm(isJSON: true)].map { RegistryWriter.bytes(info, $0) }) { bytes in
            let xml = (try? XMLDocument(parsing: bytes))?.content
            let json = (try? JSON(parsing: bytes, limits: JSONLimits(depth: 16)))?["instance"]
            guard let tree = xml ?? json, var read = try? InstanceInfo(tree: tree, now: 0) else { return }
            read.lease.registered = 0
            for isJSON in [true, false] {
                let written = RegistryWriter.bytes(read, AnswerForm(isJSON: isJSON))
                let again = isJSON ? try JSON(parsing: written)["instance"] : try XMLDocument(parsing: written).content
                let same = try InstanceInfo(tree: again ?? .null, now: 0)
                // Characters that XML cannot say are replaced.
                if isJSON, same != read { throw Changed(text: String(decoding: written, as: UTF8.self)) }
            }
            if let record = InstanceInfo(record: read.record), record.id != read.id { throw Changed(text: read.id) }
        }
    }

    @Test func requests() async {
        let api = EurekaAPI(catalogue: ServiceCatalogue(sources: []))
        let targets = [
            "/eureka/apps/ORDERS/10.1.0.7%3Aorders%3A8080/metadata?a=b&c=%20", "/eureka/v2/namespaces/shop/apps/ORDERS",
            "/eureka/apps/ORDERS/x?lastDirtyTimestamp=1700000000000&status=UP", "/eureka/peerreplication/batch",
        ].map { Array($0.utf8) }
        let batch: JSON = ["replicationList": [["appName": "A", "id": "b", "action": "Register", "instanceInfo": Sample.registration()]]]
        var inputs: [[UInt8]] = []
        run(targets + [batch.bytes]) { inputs.append($0) }
        for input in inputs {
            for method in ["PUT", "POST", "DELETE", "GET"] {
                var request = EurekaRequest(method: method, target: String(decoding: input, as: UTF8.self), body: input)
                _ = await api.answer(request)
                request.target = "/eureka/peerreplication/batch"
                _ = await api.answer(request)
            }
        }
    }
}
