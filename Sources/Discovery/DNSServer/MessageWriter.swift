// Writes DNS messages within a size, compressing names.

/// Writes one message.
struct MessageWriter {
    /// What a client without EDNS0 takes over UDP, what any takes over TCP, and what we promise and give at most over UDP: more
    /// would be split on the way (DNS flag day 2020).
    static let plainLimitBytes = 512
    static let streamLimitBytes = 65_535
    static let datagramLimitBytes = 1232

    private var bytes: [UInt8] = []
    /// Where names and their endings begin; only places that a pointer can name.
    private var places: [DomainName: Int] = [:]

    /// The message in at most this many bytes. Answers that do not fit are left out and the message says that it is
    /// truncated; authorities and additionals that do not fit are just left out.
    static func bytes(_ message: Message, limitBytes: Int = streamLimitBytes) -> [UInt8] {
        var writer = MessageWriter()
        return writer.write(message, limitBytes: limitBytes)
    }

    private mutating func write(_ message: Message, limitBytes: Int) -> [UInt8] {
        let room = limitBytes - (message.extension == nil ? 0 : 11)
        bytes.reserveCapacity(256)
        bytes = [UInt8](repeating: 0, count: 12)
        for question in message.questions {
            append(question.name)
            append(question.type.rawValue)
            append(question.classNumber)
        }
        var counts = [message.questions.count, 0, 0, 0]
        var isTruncated = message.isTruncated
        for (section, records) in [(1, message.answers), (2, message.authorities), (3, message.additionals)] {
            if isTruncated { break }
            for record in records {
                let before = (bytes.count, places)
                append(record)
                if bytes.count > room {
                    bytes.removeSubrange(before.0...)
                    places = before.1
                    if section == 1 { isTruncated = true }
                    break
                }
                counts[section] += 1
            }
        }
        if let `extension` = message.extension {
            append(`extension`, code: message.code)
            counts[3] += 1
        }
        var flags = UInt16(message.operation & 0xf) << 11 | message.code.rawValue & 0xf
        if message.isResponse { flags |= 0x8000 }
        if message.isAuthoritative { flags |= 0x0400 }
        if isTruncated { flags |= 0x0200 }
        if message.isRecursionDesired { flags |= 0x0100 }
        if message.isRecursionAvailable { flags |= 0x0080 }
        let header = [message.id, flags] + counts.map { UInt16(truncatingIfNeeded: $0) }
        for (index, number) in header.enumerated() {
            bytes[index * 2] = UInt8(number >> 8)
            bytes[index * 2 + 1] = UInt8(number & 0xff)
        }
        return bytes
    }

    private mutating func append(_ opt: Extension, code: ResponseCode) {
        bytes.append(0)
        append(RecordType.opt.rawValue)
        append(opt.payloadLimitBytes)
        append(UInt32(code.rawValue >> 4) << 24 | UInt32(opt.version) << 16 | (opt.wantsSecurity ? 0x8000 : 0))
        append(UInt16(0))
    }

    private mutating func append(_ record: ResourceRecord) {
        append(record.name)
        append(record.data.type.rawValue)
        append(Question.internet)
        append(record.timeToLiveSeconds)
        let lengthAt = bytes.count
        append(UInt16(0))
        switch record.data {
        case .a(let address): append(address)
        case .aaaa(let address): bytes += address
        case .ns(let name), .cname(let name), .ptr(let name): append(name)
        case .soa(let soa):
            append(soa.server)
            append(soa.mailbox)
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
        var rest = name
        while let label = rest.labels.first, let parent = rest.parent {
            if isCompressed, let place = places[rest] {
                append(UInt16(0xc000 | place))
                return
            }
            if bytes.count < 0x4000, places[rest] == nil { places[rest] = bytes.count }
            bytes.append(UInt8(label.count))
            bytes += label
            rest = parent
        }
        bytes.append(0)
    }

    private mutating func append(_ number: UInt16) { bytes += [UInt8(number >> 8), UInt8(number & 0xff)] }

    private mutating func append(_ number: UInt32) {
        append(UInt16(number >> 16))
        append(UInt16(number & 0xffff))
    }
}
