// Header blocks of SPDY/3: names and values, compressed with a dictionary that both sides know.

import Objects

/// Reads header blocks in the order in which they came (they share one compression), and writes them uncompressed.
struct SPDYHeaderReader: Sendable {
    /// What the headers of one stream may come to; those of Kubernetes have three short ones.
    static let blockLimitBytes = 65_536

    private var inflater = Inflater(dictionary: SPDYHeaders.dictionary, outputLimit: blockLimitBytes)

    mutating func read(_ block: [UInt8]) throws(Problem) -> [String: String] {
        var reader = ByteReader(bytes: try inflater.inflate(block))
        var headers: [String: String] = [:]
        for _ in 0..<(try reader.number()) {
            let name = try reader.text()
            headers[name.lowercased()] = try reader.text()
        }
        return headers
    }
}

/// Writes header blocks as a zlib stream of stored blocks, each ending on a flush.
struct SPDYHeaderWriter: Sendable {
    private var hasBegun = false

    mutating func write(_ headers: [String: String]) -> [UInt8] {
        var plain: [UInt8] = SPDYHeaders.number(headers.count)
        for name in headers.keys.sorted() {
            for text in [name, headers[name] ?? ""] { plain += SPDYHeaders.number(text.utf8.count) + Array(text.utf8) }
        }
        var block: [UInt8] = hasBegun ? [] : [0x78, 0x01]
        hasBegun = true
        let length = UInt16(clamping: plain.count)
        block += [0] + Self.little(length) + Self.little(~length) + plain
        return block + [0, 0, 0, 0xFF, 0xFF]
    }

    private static func little(_ number: UInt16) -> [UInt8] { [UInt8(number & 0xFF), UInt8(number >> 8)] }
}

enum SPDYHeaders {
    /// Big-endian, as every number of the protocol.
    static func number(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// The dictionary of SPDY/3 (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1); its Adler-32 is e3c6a7c2.
    static let dictionary: [UInt8] = {
        var bytes: [UInt8] = []
        for word in words { bytes += number(word.utf8.count) + Array(word.utf8) }
        return bytes + Array(tail.utf8)
    }()

    private static let words = """
        options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age \
        allow authorization cache-control connection content-base content-encoding content-language content-length \
        content-location content-md5 content-range content-type date etag expect expires from host if-match \
        if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
        proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
        user-agent vary via warning www-authenticate method get status
        """.split(separator: " ").map(String.init) + [
            "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin",
        ]

    private static let tail = """
        100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
        Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 \
        Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr \
        May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, \
        GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
        text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.
        """
}

/// Big-endian numbers and texts of a byte string.
struct ByteReader {
    let bytes: [UInt8]
    private(set) var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func number() throws(Problem) -> Int {
        guard bytes.count - position >= 4 else { throw .badRequest("a SPDY frame ends too early") }
        defer { position += 4 }
        return bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func text() throws(Problem) -> String {
        let length = try number()
        guard bytes.count - position >= length else { throw .badRequest("a SPDY header ends too early") }
        defer { position += length }
        return String(decoding: bytes[position..<position + length], as: UTF8.self)
    }

    var rest: [UInt8] { Array(bytes[position...]) }
}
