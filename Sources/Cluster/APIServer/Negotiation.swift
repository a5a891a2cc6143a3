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
    enum Format: String, Sendable {
        case json = "application/json"
        case yaml = "application/yaml"
        case protobuf = "application/vnd.kubernetes.protobuf"
    }

    var representation: Representation = .object
    var format = Format.json
    var isPretty = false

    var contentType: String { format.rawValue }
    /// Whether the stored bytes of an object are what it looks like.
    var isStored: Bool { representation == .object && format == .json && !isPretty }
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

    /// The entries of an Accept header, the most wanted first (RFC 9110 section 12.4.2).
    static func wanted(_ header: String?) -> [MediaRange] {
        let ranges = list(header).filter { $0.weight > 0 }
        return ranges.enumerated().sorted { left, right in
            (right.element.weight, left.offset) < (left.element.weight, right.offset)
        }.map(\.element)
    }

    private var weight: Double { parameters["q"].map { Double($0) ?? 0 } ?? 1 }

    var isJSON: Bool { type == "application/json" || type == "*/*" || type == "application/*" }
    var isProtobuf: Bool { type == KubernetesProtobuf.mediaType }
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
        + "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io, application/yaml, "
        + KubernetesProtobuf.mediaType

    /// Picks the most wanted entry that this server can answer with. `isStream` leaves out YAML, which has no framing;
    /// `hasProtobuf` says whether the objects have a protobuf form, which tables never have.
    static func presentation(
        accept: String?, query: Query, isStream: Bool = false, hasProtobuf: Bool = false
    ) throws(Problem) -> Presentation {
        // What most clients send needs no taking apart.
        if accept == nil || accept == "application/json" || accept == "*/*" {
            return Presentation(isPretty: query.flag("pretty"))
        }
        let ranges = MediaRange.wanted(accept)
        if MediaRange.list(accept).isEmpty { return Presentation(isPretty: query.flag("pretty")) }
        for range in ranges {
            guard let representation = representation(of: range, query: query) else { continue }
            let isPretty = query["pretty"] != nil ? query.flag("pretty") : range.parameters["pretty"] == "1"
            if range.isJSON { return Presentation(representation: representation, isPretty: isPretty) }
            if range.isYAML, !isStream { return Presentation(representation: representation, format: .yaml) }
            guard range.isProtobuf else { continue }
            switch representation {
            case .object where hasProtobuf, .partialMetadata:
                return Presentation(representation: representation, format: .protobuf)
            case .object, .table: continue
            }
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
}
