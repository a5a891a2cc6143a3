// Reads DNS messages from bytes that anybody may have sent.

/// Why bytes are no message.
enum MessageFault: Error, Hashable {
    case truncated
    case badName
    case badRecord
}

/// Reads one message. Every step moves forward or throws; a compression pointer may only point before the name it is
/// in, so reading ends.
struct MessageReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The whole message. Bytes after its last record are ignored, as other servers do.
    static func message(_ bytes: [UInt8]) throws(MessageFault) -> Message {
        var reader = MessageReader(bytes)
        return try reader.message()
    }

    private mutating func message() throws(MessageFault) -> Message {
        var message = Message(id: try number16())
        let flags = try number16()
        message.isResponse = flags & 0x8000 != 0
        message.operation = UInt8(flags >> 11 & 0xf)
        message.isAuthoritative = flags & 0x0400 != 0
        message.isTruncated = flags & 0x0200 != 0
        message.isRecursionDesired = flags & 0x0100 != 0
        message.isRecursionAvailable = flags & 0x0080 != 0
        message.isAuthentic = flags & 0x0020 != 0
        message.isCheckingDisabled = flags & 0x0010 != 0
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

    /// Nil for an OPT record, which goes into the message; a second one is an error (RFC 6891, section 6.1.1). Also nil
    /// for a record of another class than IN.
    private mutating func record(_ message: inout Message, _ code: inout UInt16) throws(MessageFault) -> ResourceRecord?
    {
        let name = try name()
        let type = RecordType(rawValue: try number16())
        let classNumber = try number16()
        let life = try number32()
        let length = Int(try number16())
        let end = position + length
        guard end <= bytes.count else { throw .truncated }
        if type == .opt {
            guard message.extension == nil, name.isRoot else { throw .badRecord }
            message.extension = Extension(
                payloadLimitBytes: classNumber, version: UInt8(life >> 16 & 0xff), wantsSecurity: life & 0x8000 != 0)
            code |= UInt16(life >> 24) << 4
            position = end
            return nil
        }
        let data = try data(of: type, end: end)
        guard position == end else { throw .badRecord }
        guard classNumber == Question.internet else { return nil }
        // The highest bit would make it negative: such a life is none (RFC 2181, section 8).
        return ResourceRecord(name: name, timeToLiveSeconds: life > Int32.max ? 0 : life, data: data)
    }

    private mutating func data(of type: RecordType, end: Int) throws(MessageFault) -> RecordData {
        switch type {
        case .a, .aaaa:
            guard end - position == (type == .a ? 4 : 16), let address = IPAddress(bytes: try take(end - position))
            else {
                throw .badRecord
            }
            return .address(address)
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
        default:
            guard let form = NamesInData.of[type.rawValue] else { return .other(type, try take(end - position)) }
            return .other(type, try expanded(form, end: end))
        }
    }

    /// The data with the names in it written out: a pointer in it would mean something else in another message
    /// (RFC 3597, section 4).
    private mutating func expanded(_ form: NamesInData, end: Int) throws(MessageFault) -> [UInt8] {
        var data = try take(form.bytesBefore)
        for _ in 0..<form.textsBefore {
            let length = try take(1)
            data += length + (try take(Int(length[0])))
        }
        for _ in 0..<form.names { data += try name().wire }
        guard position <= end else { throw .badRecord }
        return data + (try take(end - position))
    }

    private mutating func name() throws(MessageFault) -> DomainName {
        var wire: [UInt8] = []
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
                wire.append(0)
                return DomainName(wire: wire)
            case 0:
                let end = at + 1 + Int(head)
                guard end <= bytes.count else { throw .truncated }
                guard wire.count + 1 + Int(head) < DomainName.limitBytes else { throw .badName }
                wire += bytes[at..<end]
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

/// Where the data of a type has names that a sender may have compressed.
struct NamesInData: Sendable {
    var bytesBefore = 0
    /// Texts with their length before them, after the bytes.
    var textsBefore = 0
    var names = 1

    /// The types of RFC 1035 and those that RFC 3597 names; newer ones may not be compressed.
    static let of: [UInt16: NamesInData] = [
        3: NamesInData(), 4: NamesInData(), 7: NamesInData(), 8: NamesInData(), 9: NamesInData(),  // MD, MF, MB, MG, MR
        14: NamesInData(names: 2), 15: NamesInData(bytesBefore: 2), 17: NamesInData(names: 2),  // MINFO, MX, RP
        // AFSDB, RT, SIG
        18: NamesInData(bytesBefore: 2), 21: NamesInData(bytesBefore: 2), 24: NamesInData(bytesBefore: 18),
        26: NamesInData(bytesBefore: 2, names: 2), 30: NamesInData(),  // PX, NXT
        // NAPTR, KX, DNAME
        35: NamesInData(bytesBefore: 4, textsBefore: 3), 36: NamesInData(bytesBefore: 2), 39: NamesInData(),
    ]
}
