// What is refused before a request is routed: too much in its head, and paths that lead elsewhere than they say.

import HTTPTypes
import Objects

enum RequestRules {
    /// Why a request is not answered; nil for an ordinary one.
    static func problem(with request: HTTPRequest, _ limits: APILimits) -> Problem? {
        let size = request.headerFields.reduce(request.path?.utf8.count ?? 0) { sum, field in
            sum + field.name.rawName.utf8.count + field.value.utf8.count + 4
        }
        if size > limits.headerBytes {
            return Problem(
                .unknown, "the request's header fields are \(size) bytes long, the limit is \(limits.headerBytes)",
                code: 431)
        }
        if let encoding = request.headerFields.text(.contentEncoding), !["", "identity"].contains(encoding) {
            return Problem(
                .unsupportedMediaType, "request bodies are not read in the content encoding \"\(encoding)\"")
        }
        return fault(ofPath: request.path ?? "/")
    }

    /// Segments become parts of keys, so none may be empty, lead upwards, or hold a separator
    /// (upstream: api/validation/path).
    private static func fault(ofPath target: String) -> Problem? {
        if isPlain(target) { return nil }
        let path = target.prefix { $0 != "?" }
        guard path.hasPrefix("/") else { return .badRequest("the path does not begin with /") }
        var segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if segments.last == "" { segments.removeLast() }
        for (index, segment) in segments.enumerated() {
            if segment.isEmpty { return Problem(.notFound, "the server could not find the requested resource") }
            guard hasWholeEscapes(segment) else {
                return .badRequest("invalid URL escape in \"\(segment.prefix(64))\"")
            }
            let name = Query.decode(segment, plusIsSpace: false)
            if let why = fault(ofSegment: name) {
                return .badRequest("invalid path segment \"\(segment.prefix(64))\": \(why)")
            }
            // What follows is another server's path.
            if index >= 4, name == "proxy" { break }
        }
        return nil
    }

    /// Whether a path is of the kind that nearly all are, with nothing in it to look at twice.
    private static func isPlain(_ target: String) -> Bool {
        var last = UInt8(ascii: " ")
        for byte in target.utf8 {
            switch (last, byte) {
            case (_, UInt8(ascii: "?")): return last != UInt8(ascii: " ")
            case (UInt8(ascii: " "), _): if byte != UInt8(ascii: "/") { return false }
            case (UInt8(ascii: "/"), UInt8(ascii: "/")), (UInt8(ascii: "/"), UInt8(ascii: ".")): return false
            case (_, UInt8(ascii: "%")), (_, 0...0x20), (_, 0x7F...): return false
            default: break
            }
            last = byte
        }
        return last != UInt8(ascii: " ")
    }

    private static func fault(ofSegment name: String) -> String? {
        if name == "." || name == ".." { return "may not be '\(name)'" }
        if name.utf8.contains(UInt8(ascii: "/")) { return "may not contain '/'" }
        if name.utf8.contains(UInt8(ascii: "%")) { return "may not contain '%'" }
        if name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0.value == 0xFFFD }) {
            return "may not contain control characters"
        }
        return nil
    }

    private static func hasWholeEscapes(_ segment: Substring) -> Bool {
        var rest = segment.utf8[...]
        while let percent = rest.firstIndex(of: UInt8(ascii: "%")) {
            rest = rest[rest.index(after: percent)...]
            guard rest.prefix(2).count == 2, rest.prefix(2).allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit })
            else { return false }
        }
        return true
    }
}
