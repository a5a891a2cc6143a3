// The one message of Nacos' gRPC: a type name, headers and a JSON body, in protobuf's wire format.
//
// Source: nacos api/src/main/proto/nacos_grpc_service.proto
//     message Metadata { string type = 3; string clientIp = 8; map<string,string> headers = 7; }
//     message Payload  { Metadata metadata = 2; google.protobuf.Any body = 3; }   // Any.type_url is left empty

/// A request, an answer or a push.
struct Payload: Sendable, Hashable {
    /// The simple name of the Java class that `body` is the JSON of.
    var type: String
    var clientIP = ""
    var headers: [String: String] = [:]
    var body: [UInt8] = []
}

/// Bytes that are no payload.
struct PayloadProblem: Error, Hashable, CustomStringConvertible {
    let description: String
}

extension Payload {
    /// Reads a payload; fields it does not know are skipped.
    init(decoding bytes: [UInt8]) throws(PayloadProblem) {
        self.init(type: "")
        var message = WireReader(bytes[...])
        while let field = try message.nextField() {
            switch field {
            case .bytes(number: 2, let metadata): try readMetadata(metadata)
            case .bytes(number: 3, let any):
                var reader = WireReader(any)
                while let inner = try reader.nextField() {
                    if case .bytes(number: 2, let value) = inner { body = Array(value) }
                }
            default: break
            }
        }
    }

    private mutating func readMetadata(_ bytes: ArraySlice<UInt8>) throws(PayloadProblem) {
        var reader = WireReader(bytes)
        while let field = try reader.nextField() {
            switch field {
            case .bytes(number: 3, let text): type = String(decoding: text, as: UTF8.self)
            case .bytes(number: 8, let text): clientIP = String(decoding: text, as: UTF8.self)
            case .bytes(number: 7, let entry):
                var key = ""
                var value = ""
                var pair = WireReader(entry)
                while let part = try pair.nextField() {
                    if case .bytes(number: 1, let text) = part { key = String(decoding: text, as: UTF8.self) }
                    if case .bytes(number: 2, let text) = part { value = String(decoding: text, as: UTF8.self) }
                }
                headers[key] = value
            default: break
            }
        }
    }

    var encoded: [UInt8] {
        var metadata: [UInt8] = []
        metadata.appendField(3, type.utf8)
        for key in headers.keys.sorted() {
            var pair: [UInt8] = []
            pair.appendField(1, key.utf8)
            pair.appendField(2, (headers[key] ?? "").utf8)
            metadata.appendField(7, pair)
        }
        if !clientIP.isEmpty { metadata.appendField(8, clientIP.utf8) }
        // The body may be long: it is copied once, behind the lengths of the two messages around it.
        var inner: [UInt8] = []
        inner.appendHead(2, length: body.count)
        var message: [UInt8] = []
        message.reserveCapacity(metadata.count + body.count + 32)
        message.appendField(2, metadata)
        message.appendHead(3, length: inner.count + body.count)
        message.append(contentsOf: inner)
        message.append(contentsOf: body)
        return message
    }
}

/// Reads the fields of one protobuf message.
private struct WireReader {
    enum Field {
        case bytes(number: Int, ArraySlice<UInt8>)
        case other
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func nextField() throws(PayloadProblem) -> Field? {
        guard !rest.isEmpty else { return nil }
        let tag = try varint()
        switch tag & 7 {
        case 0:
            _ = try varint()
            return .other
        case 1:
            _ = try take(8)
            return .other
        case 2:
            let length = try varint()
            guard length <= UInt64(rest.count) else {
                throw PayloadProblem(description: "a field is longer than its message")
            }
            return .bytes(number: Int(truncatingIfNeeded: tag >> 3), try take(Int(length)))
        case 5:
            _ = try take(4)
            return .other
        default:
            throw PayloadProblem(description: "wire type \(tag & 7) is not known")
        }
    }

    private mutating func take(_ count: Int) throws(PayloadProblem) -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw PayloadProblem(description: "the message ends within a field") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private mutating func varint() throws(PayloadProblem) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else {
                throw PayloadProblem(description: "the message ends within a number")
            }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw PayloadProblem(description: "a number is longer than ten bytes")
    }
}

extension [UInt8] {
    fileprivate mutating func appendField(_ number: UInt64, _ bytes: some Collection<UInt8>) {
        appendHead(number, length: bytes.count)
        append(contentsOf: bytes)
    }

    fileprivate mutating func appendHead(_ number: UInt64, length: Int) {
        appendVarint(number << 3 | 2)
        appendVarint(UInt64(length))
    }

    private mutating func appendVarint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        append(UInt8(truncatingIfNeeded: value))
    }
}
