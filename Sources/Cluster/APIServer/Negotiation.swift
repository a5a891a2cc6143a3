// Content negotiation: what a client accepts, and what the bytes that it sends are.

import Formats
import Objects

/// How an object or list is shown.
enum Representation: Sendable, Hashable {
    case object
    case table(includeObject: IncludeObject)
    case partialMetadata

    enum IncludeObject: String, Sendable { case none = "None", metadata = "Metadata", object = "Object" }
}

/// The outcome of negotiation.
struct Presentation: Sendable, Hashable {
    var representation: Representation = .object
    var isYAML = false
    var isPretty = false

    var contentType: String { isYAML ? "application/yaml" : "application/json" }
}

/// One entry of an Accept or Content-Type header.
struct MediaRange: Sendable, Hashable {
    var type: String
    var parameters: [String: String]

    init(_ text: Substring) {
        let parts = text.split(separator: ";").map(MediaRange.trimmed)
        type = (parts.first ?? "").lowercased()
        parameters = [:]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { continue }
            let value =
                pair[1].hasPrefix("\"") && pair[1].hasSuffix("\"") && pair[1].count > 1
                ? String(pair[1].dropFirst().dropLast()) : String(pair[1])
            parameters[pair[0].lowercased()] = value
        }
    }

    static func list(_ header: String?) -> [MediaRange] {
        (header ?? "").split(separator: ",").map { MediaRange($0) }
    }

    var isJSON: Bool { type == "application/json" || type == "*/*" || type == "application/*" }
    var isYAML: Bool { type == "application/yaml" || type == "application/x-yaml" || type == "text/yaml" }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}

enum Negotiation {
    static let acceptable =
        "application/json, application/json;as=Table;v=v1;g=meta.k8s.io, "
        + "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io, application/yaml"

    /// Picks the first entry that this server can answer with. `isStream` leaves out YAML, which has no framing.
    static func presentation(accept: String?, query: Query, isStream: Bool = false) throws(Problem) -> Presentation {
        let ranges = MediaRange.list(accept)
        if ranges.isEmpty { return Presentation(isPretty: query.flag("pretty")) }
        for range in ranges {
            guard let representation = representation(of: range, query: query) else { continue }
            let isPretty = query["pretty"] != nil ? query.flag("pretty") : range.parameters["pretty"] == "1"
            if range.isJSON { return Presentation(representation: representation, isPretty: isPretty) }
            if range.isYAML, !isStream { return Presentation(representation: representation, isYAML: true) }
        }
        throw Problem(.notAcceptable, "only the following media types are accepted: \(acceptable)")
    }

    private static func representation(of range: MediaRange, query: Query) -> Representation? {
        guard let kind = range.parameters["as"] else { return .object }
        guard range.parameters["g"] == "meta.k8s.io", range.parameters["v"] == "v1" else { return nil }
        switch kind {
        case "Table":
            let include = query["includeObject"].flatMap(Representation.IncludeObject.init(rawValue:))
            return .table(includeObject: include ?? .metadata)
        case "PartialObjectMetadata", "PartialObjectMetadataList": return .partialMetadata
        default: return nil
        }
    }

    /// Reads a request's object, with the names of members that occur twice.
    static func document(_ body: [UInt8], contentType: String?) throws(Problem) -> JSONDocument {
        let range = MediaRange.list(contentType).first
        if let range, !range.isJSON, !range.isYAML { throw unsupported(range.type) }
        do throws(FormatProblem) {
            guard range?.isYAML == true else { return try JSONDocument(parsing: body) }
            let tree = try JSON(parsingYAML: String(decoding: body, as: UTF8.self))
            return try JSONDocument(parsing: tree.bytes)
        } catch {
            throw .badRequest("the object provided is unrecognized (must be of type JSON or YAML): \(error)")
        }
    }

    /// 415, saying of protobuf that it is this server's limit and not the client's mistake.
    static func unsupported(_ type: String) -> Problem {
        let why =
            type == "application/vnd.kubernetes.protobuf"
            ? "this server does not read protobuf request bodies yet; send application/json"
            : "the body of the request was in an unknown format - accepted media types include: "
                + "application/json, application/yaml"
        return Problem(.unsupportedMediaType, why)
    }
}
