// The wire format of protocol buffers (protobuf.dev/programming-guides/encoding): tags, varints, lengths; no types.

/// How a field's value is written.
package enum ProtobufWireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

/// Reads the fields of one message. Every read checks the message's end and throws `FormatProblem` with the offset.
package struct ProtobufReader: Sendable {
    /// Groups within groups, which only unknown fields may hold.
    static let groupDepth = 32

    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    package init(_ bytes: [UInt8], from start: Int = 0) {
        self.init(bytes, start, bytes.count)
    }

    private init(_ bytes: [UInt8], _ start: Int, _ end: Int) {
        self.bytes = bytes
        position = min(start, end)
        self.end = end
    }

    package var isAtEnd: Bool { position == end }

    /// What has not been read yet.
    package var rest: ArraySlice<UInt8> { bytes[position..<end] }

    package func problem(_ message: String) -> FormatProblem { FormatProblem(message, offset: position) }

    package mutating func tag() throws(FormatProblem) -> (number: Int, wireType: ProtobufWireType) {
        let tag = try varint()
        guard let wireType = ProtobufWireType(rawValue: UInt8(tag & 7)) else {
            throw problem("a protobuf field of the unknown wire type \(tag & 7)")
        }
        guard let number = Int32(exactly: tag >> 3), number > 0 else {
            throw problem("a protobuf field without a valid number")
        }
        return (Int(number), wireType)
    }

    package mutating func varint() throws(FormatProblem) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard position < end else { throw problem("unexpected end of a protobuf number") }
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { throw problem("a protobuf number of more than 64 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    package mutating func fixed64() throws(FormatProblem) -> UInt64 {
        guard end - position >= 8 else { throw problem("unexpected end of a protobuf number") }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += 8
        return value
    }

    /// The content of a string, bytes, message or packed field.
    package mutating func content() throws(FormatProblem) -> ProtobufReader {
        let length = try varint()
        guard length <= UInt64(end - position) else {
            throw problem("a protobuf field that is longer than its message")
        }
        let inner = ProtobufReader(bytes, position, position + Int(length))
        position += Int(length)
        return inner
    }

    /// Leaves out a field that nobody knows.
    package mutating func skip(_ number: Int, _ wireType: ProtobufWireType) throws(FormatProblem) {
        try skip(number, wireType, depthLeft: Self.groupDepth)
    }

    private mutating func skip(_ number: Int, _ wireType: ProtobufWireType, depthLeft: Int) throws(FormatProblem) {
        switch wireType {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed64()
        case .lengthDelimited: _ = try content()
        case .fixed32:
            guard end - position >= 4 else { throw problem("unexpected end of a protobuf number") }
            position += 4
        case .startGroup:
            guard depthLeft > 0 else { throw problem("protobuf groups are nested too deeply") }
            while true {
                let inner = try tag()
                if inner.wireType == .endGroup {
                    guard inner.number == number else { throw problem("a protobuf group that does not end") }
                    return
                }
                try skip(inner.number, inner.wireType, depthLeft: depthLeft - 1)
            }
        case .endGroup: throw problem("the end of a protobuf group that has not begun")
        }
    }
}

/// Writes the fields of one message.
package struct ProtobufWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func write(_ number: Int, varint value: UInt64) {
        append(UInt64(number) << 3)
        append(value)
    }

    package mutating func write(_ number: Int, fixed64 value: UInt64) {
        append(UInt64(number) << 3 | 1)
        for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }

    /// Writes a string, bytes or a message.
    package mutating func write(_ number: Int, content: some Collection<UInt8>) {
        append(UInt64(number) << 3 | 2)
        append(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    /// Writes bytes as they are.
    package mutating func append(contentsOf content: some Sequence<UInt8>) { bytes.append(contentsOf: content) }

    private mutating func append(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}
