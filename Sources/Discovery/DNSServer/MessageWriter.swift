// Writes DNS messages from values, compressing names. Answers from the zone are written by AnswerWriter instead.

/// Writes one message, and notes where its records are.
struct MessageWriter {
    /// What a client without EDNS0 takes over UDP, what any takes over TCP, and what we promise and give at most over
    /// UDP: more would be split on the way (DNS flag day 2020).
    static let plainLimitBytes = 512
    static let streamLimitBytes = 65_535
    static let datagramLimitBytes = 1232
    /// The size of an OPT record without options.
    static let extensionBytes = 11

    private(set) var bytes: [UInt8] = []
    /// Where each record begins, in order.
    private(set) var recordStarts: [Int] = []
    /// Where the time to live of each record stands.
    private(set) var lifeOffsets: [Int] = []
    /// Where names and their endings begin; only places that a pointer can name.
    private var places: [DomainName: Int] = [:]

    /// The whole message. More than fits one over TCP is left out and the message says that it is truncated.
    static func bytes(_ message: Message) -> [UInt8] {
        var writer = MessageWriter()
        writer.write(message)
        return writer.bytes
    }

    mutating func write(_ message: Message) {
        let room = Self.streamLimitBytes - Self.extensionBytes
        bytes.reserveCapacity(256)
        bytes = [UInt8](repeating: 0, count: 12)
        for question in message.questions {
            append(question.name)
            append(question.type.rawValue)
            append(question.classNumber)
        }
        var counts = [message.questions.count, 0, 0, 0]
        var isTruncated = message.isTruncated
        sections: for (section, records) in [(1, message.answers), (2, message.authorities), (3, message.additionals)] {
            for record in records {
                let start = bytes.count
                append(record)
                guard bytes.count <= room else {
                    bytes.removeSubrange(start...)
                    recordStarts.removeLast()
                    lifeOffsets.removeLast()
                    if section == 1 { isTruncated = true }
                    break sections
                }
                counts[section] += 1
            }
        }
        if let `extension` = message.extension {
            append(`extension`, code: message.code)
            counts[3] += 1
        }
        let header =
            [message.id, Self.flags(of: message, isTruncated: isTruncated)]
            + counts.map(UInt16.init(truncatingIfNeeded:))
        for (index, number) in header.enumerated() {
            bytes[index * 2] = UInt8(number >> 8)
            bytes[index * 2 + 1] = UInt8(number & 0xff)
        }
    }

    private static func flags(of message: Message, isTruncated: Bool) -> UInt16 {
        var flags = UInt16(message.operation & 0xf) << 11 | message.code.rawValue & 0xf
        let bits: [(Bool, UInt16)] = [
            (message.isResponse, 0x8000), (message.isAuthoritative, 0x0400), (isTruncated, 0x0200),
            (message.isRecursionDesired, 0x0100), (message.isRecursionAvailable, 0x0080), (message.isAuthentic, 0x0020),
            (message.isCheckingDisabled, 0x0010),
        ]
        for (isSet, bit) in bits where isSet { flags |= bit }
        return flags
    }

    private mutating func append(_ opt: Extension, code: ResponseCode) {
        bytes.append(0)
        append(RecordType.opt.rawValue)
        append(opt.payloadLimitBytes)
        append(UInt32(code.rawValue >> 4) << 24 | UInt32(opt.version) << 16 | (opt.wantsSecurity ? 0x8000 : 0))
        append(UInt16(0))
    }

    private mutating func append(_ record: ResourceRecord) {
        recordStarts.append(bytes.count)
        append(record.name)
        lifeOffsets.append(bytes.count + 4)
        appendBody(record.data, timeToLiveSeconds: record.timeToLiveSeconds, isCompressed: true)
    }

    /// A record after its owner, with every name in it whole, so that it can stand in any message.
    static func body(of data: RecordData, timeToLiveSeconds: UInt32) -> [UInt8] {
        var writer = MessageWriter()
        writer.appendBody(data, timeToLiveSeconds: timeToLiveSeconds, isCompressed: false)
        return writer.bytes
    }

    private mutating func appendBody(_ data: RecordData, timeToLiveSeconds: UInt32, isCompressed: Bool) {
        append(data.type.rawValue)
        append(Question.internet)
        append(timeToLiveSeconds)
        let lengthAt = bytes.count
        append(UInt16(0))
        switch data {
        case .address(let address): bytes += address.bytes
        case .ns(let name), .cname(let name), .ptr(let name): append(name, isCompressed: isCompressed)
        case .soa(let soa):
            append(soa.server, isCompressed: isCompressed)
            append(soa.mailbox, isCompressed: isCompressed)
            for number in [
                soa.serial, soa.refreshSeconds, soa.retrySeconds, soa.expireSeconds, soa.negativeSeconds,
            ] { append(number) }
        case .srv(let priority, let weight, let port, let target):
            append(priority)
            append(weight)
            append(port)
            append(target, isCompressed: false)  // RFC 2782 forbids compression here.
        case .txt(let texts):
            for text in texts {
                bytes.append(UInt8(min(text.count, 255)))
                bytes += text.prefix(255)
            }
        case .other(_, let data): bytes += data
        }
        let length = bytes.count - lengthAt - 2
        bytes[lengthAt] = UInt8(truncatingIfNeeded: length >> 8)
        bytes[lengthAt + 1] = UInt8(truncatingIfNeeded: length)
    }

    private mutating func append(_ name: DomainName, isCompressed: Bool = true) {
        guard isCompressed else {
            bytes += name.wire
            return
        }
        var rest = name
        while let parent = rest.parent {
            if let place = places[rest] {
                append(UInt16(0xc000 | place))
                return
            }
            if bytes.count < 0x4000 { places[rest] = bytes.count }
            bytes += rest.wire[...Int(rest.wire[0])]
            rest = parent
        }
        bytes.append(0)
    }

    private mutating func append(_ number: UInt16) {
        bytes.append(UInt8(number >> 8))
        bytes.append(UInt8(number & 0xff))
    }

    private mutating func append(_ number: UInt32) {
        append(UInt16(number >> 16))
        append(UInt16(number & 0xffff))
    }
}
