// Undoes deflate compression (RFC 1951) of a stream whose every piece ends on a flush, as SPDY header blocks do.

import Objects

/// A zlib stream (RFC 1950) with a preset dictionary, taken in pieces.
///
/// Each piece must end with a sync flush, so that it consists of whole blocks; a piece that does not is refused. Keeps
/// the last 32 KiB of output, which later pieces refer to.
package struct Inflater: Sendable {
    static let windowBytes = 32_768

    /// One piece may not grow beyond this: a few bytes can stand for very many.
    package let outputLimit: Int
    private let dictionary: [UInt8]
    private var window: [UInt8] = []
    private var hasBegun = false

    package init(dictionary: [UInt8] = [], outputLimit: Int) {
        self.dictionary = dictionary
        self.outputLimit = outputLimit
    }

    /// The bytes that this piece stands for.
    package mutating func inflate(_ piece: [UInt8]) throws(Problem) -> [UInt8] {
        var bits = BitReader(bytes: piece)
        if !hasBegun { try readHeader(&bits) }
        let start = window.count
        var isFinal = false
        while !isFinal, !bits.isAtEnd {
            isFinal = try bits.take(1) == 1
            switch try bits.take(2) {
            case 0: try copyStored(&bits, start)
            case 1: try expand(&bits, .fixedLiterals, .fixedDistances, start)
            case 2:
                let (literals, distances) = try Self.readTables(&bits)
                try expand(&bits, literals, distances, start)
            default: throw Self.broken("a block of an unknown kind")
            }
        }
        let output = Array(window[start...])
        if window.count > Self.windowBytes { window.removeFirst(window.count - Self.windowBytes) }
        return output
    }

    private mutating func readHeader(_ bits: inout BitReader) throws(Problem) {
        let method = try bits.take(8)
        let flags = try bits.take(8)
        guard method & 15 == 8, (method << 8 | flags) % 31 == 0 else { throw Self.broken("no zlib stream") }
        if flags & 0x20 != 0 {
            for _ in 0..<4 { _ = try bits.take(8) }
            window = dictionary
        }
        hasBegun = true
    }

    private mutating func copyStored(_ bits: inout BitReader, _ start: Int) throws(Problem) {
        bits.skipToByte()
        let length = try bits.take(16)
        guard try bits.take(16) == length ^ 0xFFFF else { throw Self.broken("a stored block's length is damaged") }
        for _ in 0..<length { try append(UInt8(try bits.take(8)), start) }
    }

    private mutating func append(_ byte: UInt8, _ start: Int) throws(Problem) {
        guard window.count - start < outputLimit else {
            throw Problem(.requestEntityTooLarge, "compressed headers grow beyond \(outputLimit) bytes")
        }
        window.append(byte)
    }

    private mutating func expand(
        _ bits: inout BitReader, _ literals: HuffmanCode, _ distances: HuffmanCode, _ start: Int
    ) throws(Problem) {
        while true {
            let symbol = try literals.decode(&bits)
            if symbol < 256 {
                try append(UInt8(symbol), start)
                continue
            }
            if symbol == 256 { return }
            guard symbol - 257 < Self.lengths.count else { throw Self.broken("a length that does not exist") }
            let (base, extra) = Self.lengths[symbol - 257]
            let length = base + (try bits.take(extra))
            let place = try distances.decode(&bits)
            guard place < Self.distances.count else { throw Self.broken("a distance that does not exist") }
            let (far, more) = Self.distances[place]
            let distance = far + (try bits.take(more))
            guard distance <= window.count else { throw Self.broken("a distance beyond the beginning") }
            for _ in 0..<length { try append(window[window.count - distance], start) }
        }
    }

    /// The code lengths of a dynamic block (RFC 1951 section 3.2.7).
    private static func readTables(_ bits: inout BitReader) throws(Problem) -> (HuffmanCode, HuffmanCode) {
        let literalCount = try bits.take(5) + 257
        let distanceCount = try bits.take(5) + 1
        let codeCount = try bits.take(4) + 4
        var lengths = [Int](repeating: 0, count: 19)
        for position in 0..<codeCount { lengths[lengthOrder[position]] = try bits.take(3) }
        let code = HuffmanCode(lengths: lengths)
        var all: [Int] = []
        while all.count < literalCount + distanceCount {
            let symbol = try code.decode(&bits)
            switch symbol {
            case 0...15: all.append(symbol)
            case 16:
                guard let last = all.last else { throw broken("a repetition of nothing") }
                all += [Int](repeating: last, count: 3 + (try bits.take(2)))
            case 17: all += [Int](repeating: 0, count: 3 + (try bits.take(3)))
            default: all += [Int](repeating: 0, count: 11 + (try bits.take(7)))
            }
        }
        guard all.count == literalCount + distanceCount else { throw broken("too many code lengths") }
        return (HuffmanCode(lengths: Array(all[..<literalCount])), HuffmanCode(lengths: Array(all[literalCount...])))
    }

    private static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    /// Base and extra bits of symbols 257 to 285.
    private static let lengths: [(Int, Int)] = {
        var table: [(Int, Int)] = []
        var base = 3
        for symbol in 0..<28 {
            let extra = max(0, symbol / 4 - 1)
            table.append((base, extra))
            base += 1 << extra
        }
        return table + [(258, 0)]
    }()

    private static let distances: [(Int, Int)] = {
        var table: [(Int, Int)] = []
        var base = 1
        for symbol in 0..<30 {
            let extra = max(0, symbol / 2 - 1)
            table.append((base, extra))
            base += 1 << extra
        }
        return table
    }()

    static func broken(_ what: String) -> Problem { Problem(.badRequest, "compressed headers cannot be read: \(what)") }
}

/// Bits of bytes, lowest first.
private struct BitReader {
    let bytes: [UInt8]
    private var position = 0
    private var held = 0
    private var count = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count && count < 8 && held == 0 }

    mutating func take(_ wanted: Int) throws(Problem) -> Int {
        while count < wanted {
            guard position < bytes.count else { throw Inflater.broken("they end too early") }
            held |= Int(bytes[position]) << count
            position += 1
            count += 8
        }
        let value = held & (1 << wanted - 1)
        held >>= wanted
        count -= wanted
        return value
    }

    mutating func skipToByte() {
        held >>= count % 8
        count -= count % 8
    }
}

/// A canonical prefix code, decoded bit by bit: headers are too short for tables to pay.
private struct HuffmanCode {
    private var counts = [Int](repeating: 0, count: 16)
    private var symbols: [Int] = []

    init(lengths: [Int]) {
        for length in lengths { counts[length] += 1 }
        counts[0] = 0
        for length in 1...15 {
            for (symbol, own) in lengths.enumerated() where own == length { symbols.append(symbol) }
        }
    }

    func decode(_ bits: inout BitReader) throws(Problem) -> Int {
        var code = 0
        var first = 0
        var index = 0
        for length in 1...15 {
            code |= try bits.take(1)
            let count = counts[length]
            if code - first < count { return symbols[index + code - first] }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        throw Inflater.broken("a code that stands for nothing")
    }

    static let fixedLiterals = HuffmanCode(
        lengths: [Int](repeating: 8, count: 144) + [Int](repeating: 9, count: 112) + [Int](repeating: 7, count: 24)
            + [Int](repeating: 8, count: 8))
    static let fixedDistances = HuffmanCode(lengths: [Int](repeating: 5, count: 30))
}
