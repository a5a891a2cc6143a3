// Mutated bodies and paths for the readers of the Eureka interface.

import Catalogue
import Formats
import Fuzzing
import HTTPServing
import Testing

@testable import EurekaServer

@Suite struct EurekaFuzzTests {
    private static let fuzz = Fuzz(
        [
            "<", ">", "</", "/>", "<a>", "</a>", "&", "&amp;", "&#x41;", "&#99999999999;", "<!--", "-->", "<![CDATA[",
            "]]>", "=", "'", "\"", "<?xml", "?>", "<!DOCTYPE", "{", "}", "[", "]", "null", "%", "%41", "%zz", "/", "?",
            "__", "_-", "_.0041",
        ], bytes: [[0xFF], [0xC3], [0], [0x1F]])

    /// Whatever is accepted in either form is the same instance after it was written and read again.
    @Test func bodies() throws {
        let info = try Sample.info()
        let samples = [false, true].map { RegistryWriter.bytes(info, AnswerForm(isJSON: $0)) }
        let failure = Self.fuzz.failure(of: samples) { bytes, _ in
            let xml = (try? XMLDocument(parsing: bytes))?.content
            let json = (try? JSON(parsing: bytes, limits: JSONLimits(depth: 16)))?["instance"]
            guard let tree = xml ?? json, var read = try? InstanceInfo(tree: tree, now: 0) else { return }
            read.lease.registered = 0
            for isJSON in [true, false] {
                let written = RegistryWriter.bytes(read, AnswerForm(isJSON: isJSON))
                let again = isJSON ? try JSON(parsing: written)["instance"] : try XMLDocument(parsing: written).content
                let same = try InstanceInfo(tree: again ?? .null, now: 0)
                // Characters that XML cannot say are replaced.
                if isJSON, same != read { throw Broken("reads otherwise: \(String(decoding: written, as: UTF8.self))") }
            }
            if let record = InstanceInfo(record: read.record), record.id != read.id {
                throw Broken("\(read.id) is \(record.id)")
            }
        }
        #expect(failure == nil)
    }

    @Test func requests() async {
        let api = EurekaAPI(catalogue: ServiceCatalogue(sources: []))
        let targets = [
            "/eureka/apps/ORDERS/10.1.0.7%3Aorders%3A8080/metadata?a=b&c=%20", "/eureka/v2/namespaces/shop/apps/ORDERS",
            "/eureka/apps/ORDERS/x?lastDirtyTimestamp=1700000000000&status=UP", "/eureka/peerreplication/batch",
        ].map { Array($0.utf8) }
        let batch: JSON = [
            "replicationList": [
                ["appName": "A", "id": "b", "action": "Register", "instanceInfo": Sample.registration()]
            ]
        ]
        for input in Self.fuzz.inputs(of: targets + [batch.bytes]) {
            for method in ["PUT", "POST", "DELETE", "GET"] {
                var request = HTTPRequest(method: method, target: String(decoding: input, as: UTF8.self), body: input)
                _ = await api.answer(request)
                request.target = "/eureka/peerreplication/batch"
                _ = await api.answer(request)
            }
        }
    }
}
