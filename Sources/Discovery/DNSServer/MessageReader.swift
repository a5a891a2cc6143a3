// Reads DNS messages from bytes that anybody may have sent.

/// Why bytes are no message.
enum MessageFault: Error, Hashable {
    /// Not even a header: there is nobody to answer.
    case noHeader
    case truncated
    case badName
    case badRecord
}

/// Reads one message. Every step moves forward or throws; a compression pointer may only point before the name it is in, so
/// reading ends.
struct MessageReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The whole message. Bytes after its last record are ignored, as other servers do.
    static func message(_ bytes: [UInt8]) throws(MessageFault) -> Message {
        var reader = MessageReader(bytes)
        return try reader.message()
    }

    /// The id and operation of a message whose rest cannot be read, so that the sender can be told; nil when it is an answer
    /// itself or there is no header.
    static func complaint(about bytes: [UInt8]) -> Message? {
        guard bytes.count >= 12, bytes[2] & 0x80 == 0 else { return nil }
        return Message(
            id: UInt16(bytes[0]) << 8 | UInt16(bytes[1]), isResponse: true, operation: bytes[2] >> 3 & 0xf,
            isRecursionDesired: bytes[2] & 1 != 0, code: .formatError)
    }

    private mutating func message() throws(MessageFault) -> Message {
        guard bytes.count >= 12 else { throw .noHeader }
        var message = Message(id: try number16())
        let flags = try number16()
        message.isResponse = flags & 0x8000 != 0
        message.operation = UInt8(flags >> 11 & 0xf)
        message.isAuthoritative = flags & 0x0400 != 0
        message.isTruncated = flags & 0x0200 != 0
        message.isRecursionDesired = flags & 0x0100 != 0
        message.isRecursionAvailable = flags & 0x0080 != 0
        var code = flags & 0xf
        let counts = [try number16(), try number16(), try number16(), try number16()]
        for _ in 0..<counts[0] {
            let name = try name()
            message.questions.append(
                Question(name: name, type: RecordType(rawValue: try number16()), classNumber: try number16()))
        }
        for _ in 0..<counts[1] { if let record = try record(&message, &code) { message.answers.append(record) } }
        for _ in 0..<counts[2] { if let record = try record(&message, &code) { message.authorities.append(record) } }
        for _ in 0..<counts[3] { if let record = try record(&message, &code) { message.additionals.append(record) } }
        message.code = ResponseCode(rawValue: code)
        return message
    }

    /// Nil for an OPT record, which goes into the message; a second one is an error (RFC 6891, section 6.1.1). Also nil for
    /// a record of another class than IN.
    private mutating func record(_ message: inout Message, _ code: inout UInt16) throws(MessageFault) -> ResourceRecord? {
        let name = try name()
        let type = RecordType(rawValue: try number16())
        let classNumber = try number16()
        let life = try number32()
        let length = Int(try number16())
        let end = position + length
        guard end <= bytes.count else { throw .truncated }
        if type == .opt {
            guard message.extension == nil, name.labels.isEmpty else { throw .badRecord }
            message.extension = Extension(
                payloadLimitBytes: classNumber, version: UInt8(life >> 16 & 0xff), wantsSecurity: life & 0x8000 != 0)
            code |= UInt16(life >> 24) << 4
            position = end
            return nil
        }
        let data = try data(of: type, end: end)
        guard position == end else { throw .badRecord }
        guard classNumber == Question.internet else { return nil }
        return ResourceRecord(name: name, timeToLiveSeconds: life, data: data)
    }

    private mutating func data(of type: RecordType, end: Int) throws(MessageFault) -> RecordData {
        switch type {
        case .a where end - position == 4: return .a(try number32())
        case .aaaa where end - position == 16: return .aaaa(try take(16))
        case .ns: return .ns(try name())
        case .cname: return .cname(try name())
        case .ptr: return .ptr(try name())
        case .srv:
            return .srv(
                priority: try number16(), weight: try number16(), port: try number16(), target: try name())
        case .soa:
            return .soa(
                RecordData.StartOfAuthority(
                    server: try name(), mailbox: try name(), serial: try number32(), refreshSeconds: try number32(),
                    retrySeconds: try number32(), expireSeconds: try number32(), negativeSeconds: try number32()))
        case .txt:
            var texts: [[UInt8]] = []
            while position < end { texts.append(try take(Int(try take(1)[0]))) }
            return .txt(texts)
        case .a, .aaaa: throw .badRecord
        default: return .other(type, try take(end - position))
        }
    }

    private mutating func name() throws(MessageFault) -> DomainName {
        var labels: [[UInt8]] = []
        var length = 1
        var at = position
        /// Pointers must go before this; the first may go anywhere before the name.
        var bound = position
        var isElsewhere = false
        while true {
            guard at < bytes.count else { throw .truncated }
            let head = bytes[at]
            switch head >> 6 {
            case 0 where head == 0:
                if !isElsewhere { position = at + 1 }
                return DomainName(labels: labels)
            case 0:
                let end = at + 1 + Int(head)
                guard end <= bytes.count else { throw .truncated }
                length += 1 + Int(head)
                guard length <= DomainName.limitBytes else { throw .badName }
                labels.append(Array(bytes[(at + 1)..<end]))
                at = end
            case 3:
                guard at + 1 < bytes.count else { throw .truncated }
                let target = Int(head & 0x3f) << 8 | Int(bytes[at + 1])
                guard target < bound else { throw .badName }
                if !isElsewhere { position = at + 2 }
                isElsewhere = true
                bound = target
                at = target
            default: throw .badName
            }
        }
    }

    private mutating func take(_ count: Int) throws(MessageFault) -> [UInt8] {
        guard count >= 0, position + count <= bytes.count else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    private mutating func number16() throws(MessageFault) -> UInt16 {
        guard position + 2 <= bytes.count else { throw .truncated }
        defer { position += 2 }
        return UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
    }

    private mutating func number32() throws(MessageFault) -> UInt32 {
        let high = try number16()
        return UInt32(high) << 16 | UInt32(try number16())
    }
}
