// The body of a request as a tree, whichever form it came in.

import Formats
import Objects

/// A request's object, and what strict validation wants to know about how it was written.
struct RequestDocument: Sendable {
    var tree: JSON
    /// Paths of members that were there twice.
    var duplicates: Set<String> = []
    /// What was found before the object was looked at: keys of a YAML text, members of a patch.
    var findings: [String] = []
    var isYAML = false
}

extension Negotiation {
    static let readable = ["application/json", "application/yaml", KubernetesProtobuf.mediaType]

    /// Reads a request's object.
    ///
    /// `kind` is what the endpoint takes; a protobuf body that does not name its own is read as that. Kinds without a
    /// protobuf form answer 415 to it.
    static func document(
        _ body: [UInt8], contentType: String?, kind: (apiVersion: String, kind: String)? = nil
    ) throws(Problem) -> RequestDocument {
        // What most clients send needs no taking apart.
        let range = contentType == "application/json" ? nil : MediaRange.list(contentType).first
        if range?.isProtobuf == true { return try protobuf(body, expected: kind) }
        if let range, !range.isJSON, !range.isYAML { throw unsupported(hasProtobuf: kind.map(hasProtobuf) ?? true) }
        let isYAML = range?.isYAML == true
        do throws(FormatProblem) {
            if isYAML {
                let document = try YAMLDocument(parsing: body)
                // Upstream turns YAML into JSON with sorted keys before it looks at the fields.
                return RequestDocument(
                    tree: document.value.withSortedKeys, findings: document.duplicates, isYAML: true)
            }
            let document = try JSONDocument(parsing: body)
            return RequestDocument(tree: document.value, duplicates: Set(document.duplicates))
        } catch {
            let why = isYAML ? "error converting YAML to JSON: \(error)" : error.description
            throw .badRequest(
                "the object provided is unrecognized (must be of type \(kind?.kind ?? "Object")): "
                    + "\(why) (\(summary(of: body)))")
        }
    }

    /// The beginning of a body for people: text where it looks like JSON, else in hexadecimal (upstream:
    /// summarizeData).
    private static func summary(of body: [UInt8]) -> String {
        if body.isEmpty { return "<empty>" }
        let limit = 30
        let start = body.prefix(limit)
        let isText = body.first == UInt8(ascii: "{")
        let text = isText ? String(decoding: start, as: UTF8.self) : start.map(hexadecimal).joined()
        return body.count > limit ? text + " ..." : text
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }

    private static func protobuf(
        _ body: [UInt8], expected: (apiVersion: String, kind: String)?
    ) throws(Problem) -> RequestDocument {
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
            return RequestDocument(tree: try envelope.object(as: type))
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

extension JSON {
    /// The same value with the members of every object in the order of their names.
    var withSortedKeys: JSON {
        switch self {
        case .array(let values): .array(values.map(\.withSortedKeys))
        case .object(let object):
            .object(JSONObject(object.sorted { $0.key < $1.key }.map { ($0.key, $0.value.withSortedKeys) }))
        default: self
        }
    }
}
