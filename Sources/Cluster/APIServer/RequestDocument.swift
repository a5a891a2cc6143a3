// The body of a request as a tree, whichever form it came in.

import Formats
import Objects

extension Negotiation {
    static let readable = ["application/json", "application/yaml", KubernetesProtobuf.mediaType]

    /// Reads a request's object, with the names of members that occur twice.
    ///
    /// `kind` is what the endpoint takes; a protobuf body that does not name its own is read as that. Kinds without a
    /// protobuf form answer 415 to it.
    static func document(
        _ body: [UInt8], contentType: String?, kind: (apiVersion: String, kind: String)? = nil
    ) throws(Problem) -> JSONDocument {
        let range = MediaRange.list(contentType).first
        if range?.isProtobuf == true { return try protobuf(body, expected: kind) }
        if let range, !range.isJSON, !range.isYAML { throw unsupported(hasProtobuf: kind.map(hasProtobuf) ?? true) }
        do throws(FormatProblem) {
            guard range?.isYAML == true else { return try JSONDocument(parsing: body) }
            let tree = try JSON(parsingYAML: String(decoding: body, as: UTF8.self))
            return try JSONDocument(parsing: tree.bytes)
        } catch {
            throw .badRequest("the object provided is unrecognized (must be of type JSON or YAML): \(error)")
        }
    }

    private static func protobuf(
        _ body: [UInt8], expected: (apiVersion: String, kind: String)?
    ) throws(Problem) -> JSONDocument {
        if let expected, !hasProtobuf(expected) { throw unsupported(hasProtobuf: false) }
        let expectedKind = expected?.kind ?? "Object"
        let envelope: KubernetesProtobuf.Envelope
        do throws(FormatProblem) {
            envelope = try .init(opening: body)
        } catch {
            throw .badRequest("the object provided is unrecognized (must be of type \(expectedKind)): \(error)")
        }
        let apiVersion = envelope.apiVersion.isEmpty ? expected?.apiVersion ?? "" : envelope.apiVersion
        let kind = envelope.kind.isEmpty ? expectedKind : envelope.kind
        let version = apiVersion.split(separator: "/").last ?? ""
        let prefix = "\(kind) in version \"\(version)\" cannot be handled as a \(expectedKind): "
        guard let type = KubernetesProtobuf.type(apiVersion: apiVersion, kind: kind) else {
            throw .badRequest(prefix + "no kind \"\(kind)\" is registered for version \"\(apiVersion)\"")
        }
        do throws(FormatProblem) {
            return JSONDocument(value: try envelope.object(as: type))
        } catch {
            throw .badRequest(prefix + error.description)
        }
    }

    private static func hasProtobuf(_ kind: (apiVersion: String, kind: String)) -> Bool {
        KubernetesProtobuf.type(apiVersion: kind.apiVersion, kind: kind.kind) != nil
    }

    /// 415 with the types that the endpoint reads.
    static func unsupported(hasProtobuf: Bool) -> Problem {
        let types = hasProtobuf ? readable : Array(readable.dropLast())
        return Problem(
            .unsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: "
                + types.joined(separator: ", "))
    }
}
