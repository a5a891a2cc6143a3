// Links in pages that are shown through a proxy: made to lead through it, too.

/// Gives the links of an HTML page another text, as its bytes come by (upstream:
/// apimachinery/pkg/util/proxy/transport.go).
///
/// Only attributes that are links, in tags; scripts, styles and comments pass as they are, and so does a tag that is
/// longer than `tagLimitBytes`.
struct LinkRewriter: Sendable {
    static let tagLimitBytes = 64 * 1024

    private static let attributes: [String: Set<String>] = [
        "a": ["href"], "area": ["href"], "audio": ["src"], "base": ["href"], "blockquote": ["cite"],
        "body": ["background"],
        "button": ["formaction"], "del": ["cite"], "embed": ["src"], "form": ["action"], "frame": ["longdesc", "src"],
        "head": ["profile"], "html": ["manifest"], "iframe": ["longdesc", "src"], "img": ["longdesc", "src", "usemap"],
        "input": ["formaction", "src", "usemap"], "ins": ["cite"], "link": ["href"],
        "object": ["classid", "codebase", "data", "usemap"], "q": ["cite"], "script": ["src"], "source": ["src"],
        "video": ["poster", "src"],
    ]
    /// Elements whose content is no markup, and how their ends begin.
    private static let opaque: [String: [UInt8]] = ["script", "style", "textarea", "title"].reduce(into: [:]) {
        ends, name in
        ends[name] = Array("</\(name)".utf8)
    }
    private static let commentStart = Array("<!--".utf8)
    private static let commentEnd = Array("-->".utf8)
    private static let wordEnds = Array("/>=\"'".utf8)

    let rewrite: @Sendable (String) -> String
    /// From a `<` on, while its end is not there yet.
    private var held: [UInt8] = []
    private var quote: UInt8?
    /// How the end begins that is waited for.
    private var wantedEnd: [UInt8]?

    init(rewrite: @escaping @Sendable (String) -> String) { self.rewrite = rewrite }

    /// What can be passed on of the page by now.
    mutating func received(_ chunk: [UInt8]) -> [UInt8] {
        var passed: [UInt8] = []
        passed.reserveCapacity(chunk.count + 64)
        for byte in chunk {
            if held.isEmpty {
                if byte == UInt8(ascii: "<") { held.append(byte) } else { passed.append(byte) }
                continue
            }
            if byte == UInt8(ascii: "<"), !isTag {
                // Not markup after all; perhaps this is.
                passed += release()
                held.append(byte)
                continue
            }
            held.append(byte)
            if !isPossible || held.count > Self.tagLimitBytes {
                passed += release()
            } else if isEnded(by: byte) {
                passed += rewritten()
            }
        }
        return passed
    }

    /// The rest, when the page is over.
    mutating func ended() -> [UInt8] { release() }

    private mutating func release() -> [UInt8] {
        defer { (held, quote) = ([], nil) }
        return held
    }

    private var isComment: Bool { held.starts(with: Self.commentStart) }

    /// Whether a name follows the `<`, so that quotes and further `<` belong to a tag.
    private var isTag: Bool {
        held.count > 1 && (held[1].isLetter || held[1] == UInt8(ascii: "/") || held[1] == UInt8(ascii: "!"))
    }

    /// Whether this can still become something that is held: within a script only its end tag can.
    private var isPossible: Bool {
        if let wantedEnd { return zip(held, wantedEnd).allSatisfy { $0.lowered == $1 } }
        return isTag
    }

    private mutating func isEnded(by byte: UInt8) -> Bool {
        if isComment { return held.count > 6 && held.suffix(3).elementsEqual(Self.commentEnd) }
        if let open = quote {
            if byte == open { quote = nil }
            return false
        }
        // A quote opens a value only after `=`; elsewhere it is a letter like others.
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
            let before = held.dropLast().last { !$0.isSpace }
            if before == UInt8(ascii: "=") { quote = byte }
            return false
        }
        return byte == UInt8(ascii: ">")
    }

    /// The held tag with its links rewritten.
    private mutating func rewritten() -> [UInt8] {
        let tag = release()
        if tag[1] == UInt8(ascii: "/") || tag[1] == UInt8(ascii: "!") {
            if tag[1] == UInt8(ascii: "/") { wantedEnd = nil }
            return tag
        }
        var position = 1
        let name = Self.word(in: tag, at: &position)
        wantedEnd = Self.opaque[name]
        guard let links = Self.attributes[name] else { return tag }
        var result = Array(tag[..<position])
        while position < tag.count {
            let start = position
            let attribute = Self.word(in: tag, at: &position)
            if attribute.isEmpty {
                result.append(tag[position])
                position += 1
                continue
            }
            guard let value = Self.value(in: tag, at: &position), links.contains(attribute) else {
                result += tag[start..<position]
                continue
            }
            result += tag[start..<value.lowerBound]
            result += Array(rewrite(String(decoding: tag[value], as: UTF8.self)).utf8)
            result += tag[value.upperBound..<position]
        }
        return result
    }

    /// A name in small letters, after which the position stands.
    private static func word(in tag: [UInt8], at position: inout Int) -> String {
        let start = position
        while position < tag.count, !tag[position].isSpace, !wordEnds.contains(tag[position]) { position += 1 }
        return String(decoding: tag[start..<position].map(\.lowered), as: UTF8.self)
    }

    /// Where the value of an attribute stands, without its quotes; the position is behind it then. Nil where there is
    /// none.
    private static func value(in tag: [UInt8], at position: inout Int) -> Range<Int>? {
        var next = position
        while next < tag.count, tag[next].isSpace { next += 1 }
        guard next < tag.count, tag[next] == UInt8(ascii: "=") else { return nil }
        next += 1
        while next < tag.count, tag[next].isSpace { next += 1 }
        guard next < tag.count else { return nil }
        if tag[next] == UInt8(ascii: "\"") || tag[next] == UInt8(ascii: "'") {
            let end = tag[(next + 1)...].firstIndex(of: tag[next]) ?? tag.count - 1
            position = min(end + 1, tag.count)
            return next + 1..<max(end, next + 1)
        }
        var end = next
        while end < tag.count, !tag[end].isSpace, tag[end] != UInt8(ascii: ">") { end += 1 }
        position = end
        return next..<end
    }
}

extension UInt8 {
    fileprivate var lowered: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }
    fileprivate var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lowered) }
    fileprivate var isSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}
