// The OpenAPI documents, version 2 and 3, made when they are first asked for.

import Formats
import Objects
import Synchronization

/// Documents as bytes with their entity tags; each is made once and kept until what is served changes.
final class OpenAPIDocuments: Sendable {
    struct Document: Sendable {
        var bytes: [UInt8]
        /// Quoted.
        var entityTag: String
        var contentType = "application/json"
        /// What `?hash=` carries: the entity tag without its quotes.
        var hash: String { String(entityTag.dropFirst().dropLast()) }
    }

    private let served: ServedResources
    private let documents = Mutex<[String: Document]>([:])

    init(served: ServedResources) { self.served = served }

    /// `/openapi/v3`: where the document of each group and version is.
    func index() -> Document {
        var paths: JSON = [:]
        for group in served.groups {
            for version in group.versions {
                let path = group.name.isEmpty ? "api/\(version)" : "apis/\(group.name)/\(version)"
                guard let document = version3(path) else { continue }
                paths[path] = ["serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(document.hash)")]
            }
        }
        return OpenAPIDocuments.document(JSON.object(JSONObject([("paths", paths)])).bytes)
    }

    /// The document of `api/v1` or `apis/<group>/<version>`; nil when nothing is served there.
    func version3(_ path: String) -> Document? {
        let parts = path.split(separator: "/").map(String.init)
        let place: (group: String, version: String)
        switch (parts.first, parts.count) {
        case ("api", 2): place = ("", parts[1])
        case ("apis", 3): place = (parts[1], parts[2])
        default: return nil
        }
        let resources = served.all.filter { $0.resource.group == place.group && $0.resource.version == place.version }
        if resources.isEmpty { return nil }
        return kept(path) { OpenAPIDocuments.document(OpenAPIWriter(version: .three).tree(of: resources).bytes) }
    }

    /// `/openapi/v2`: everything in one document.
    func version2() -> Document {
        kept("v2") { OpenAPIDocuments.document(OpenAPIWriter(version: .two).tree(of: served.all).bytes) }
    }

    /// The same as protobuf, for Go clients.
    func version2Protobuf() -> Document {
        kept("v2 protobuf") {
            let tree = OpenAPIWriter(version: .two).tree(of: served.all)
            var document = OpenAPIDocuments.document(OpenAPIProtobuf.bytes(of: tree))
            document.contentType = OpenAPIProtobuf.answerType
            return document
        }
    }

    private func kept(_ name: String, make: () -> Document) -> Document {
        if let document = documents.withLock({ $0[name] }) { return document }
        let document = make()
        documents.withLock { $0[name] = document }
        return document
    }

    private static func document(_ bytes: [UInt8]) -> Document {
        Document(bytes: bytes, entityTag: Discovery.entityTag(bytes))
    }
}
