// An answer from elsewhere in the form in which it is kept: bytes, with the places that change when it is given out.

import NIO

/// The answer of an upstream server without its OPT record. The question is at its beginning, so that the client's own
/// can be put in its place.
struct StoredAnswer: Sendable {
    /// Nothing is believed for longer, whatever it says of itself; and nothing that says "there is none" for longer
    /// than RFC 2308, section 5 proposes.
    static let lifeLimitSeconds: UInt32 = 86_400
    static let negativeLifeLimitSeconds: UInt32 = 10_800
    /// How long a failure is remembered (RFC 9520, section 3.2).
    static let failureSeconds: UInt32 = 1
    /// What stale records say of their life (RFC 8767, section 5.11).
    static let staleLifeSeconds: UInt32 = 30

    enum Kind: Hashable, Sendable {
        case records, denial, failure
    }

    let kind: Kind
    let code: ResponseCode
    /// How long it may be given out; 0 is not at all.
    let lifeSeconds: UInt32
    private let bytes: [UInt8]
    private let questionEnd: Int
    private let recordStarts: [Int]
    private let lifeOffsets: [(offset: Int, seconds: UInt32)]
    private let counts: (answers: Int, authorities: Int, additionals: Int)
    private let isAuthentic: Bool

    init(_ message: Message) {
        var message = message
        message.extension = nil
        var writer = MessageWriter()
        writer.write(message)
        bytes = writer.bytes
        code = message.code
        questionEnd = Query.headerBytes + (message.questions.first.map { $0.name.wire.count + 4 } ?? 0)
        recordStarts = writer.recordStarts
        let records = message.answers + message.authorities + message.additionals
        lifeOffsets = zip(writer.lifeOffsets, records).map { ($0, $1.timeToLiveSeconds) }
        counts = (message.answers.count, message.authorities.count, message.additionals.count)
        isAuthentic = message.isAuthentic
        (kind, lifeSeconds) = Self.worth(of: message)
    }

    /// A failure is kept for a moment, so that a name that nobody can resolve is not asked for without end.
    static func failure(of question: Question) -> StoredAnswer {
        StoredAnswer(Message(id: 0, isResponse: true, code: .serverFailure, questions: [question]))
    }

    /// Bytes that it takes to keep it, about.
    var sizeBytes: Int { bytes.count + recordStarts.count * 32 + 160 }

    private static func worth(of message: Message) -> (Kind, UInt32) {
        let lives = (message.answers + message.authorities + message.additionals).map(\.timeToLiveSeconds)
        let life = min(lives.min() ?? 0, lifeLimitSeconds)
        switch message.code {
        case .success where message.answers.contains { $0.data.type == message.questions.first?.type }:
            return (.records, message.isTruncated ? 0 : life)
        case .success where message.questions.first?.type == .any && !message.answers.isEmpty:
            return (.records, message.isTruncated ? 0 : life)
        case .success, .noSuchName:
            // Without a start of authority nobody says how long it holds (RFC 2308, section 5).
            for record in message.authorities {
                guard case .soa(let soa) = record.data else { continue }
                return (.denial, min(life, soa.negativeSeconds, record.timeToLiveSeconds, negativeLifeLimitSeconds))
            }
            return (.denial, 0)
        default: return (.failure, failureSeconds)
        }
    }

    /// The answer to a query for the same question, `ageSeconds` after it was stored.
    func written(
        to query: Query, ageSeconds: UInt32, isStale: Bool, flags: UInt16, limitBytes: Int
    ) -> ByteBuffer {
        var writer = AnswerWriter(to: query, limitBytes: limitBytes)
        let room = limitBytes - (query.extension == nil ? 0 : MessageWriter.extensionBytes)
        let fitting = bytes.count <= room ? recordStarts.count : recordsWithin(room)
        let end = fitting < recordStarts.count ? recordStarts[fitting] : bytes.count
        let answers = min(fitting, counts.answers)
        let authorities = min(fitting - answers, counts.authorities)
        writer.append(
            records: bytes[questionEnd..<end],
            counts: (UInt16(answers), UInt16(authorities), UInt16(fitting - answers - authorities)),
            isTruncated: answers < counts.answers)
        for (offset, seconds) in lifeOffsets.prefix(fitting) {
            let left = seconds > ageSeconds ? seconds - ageSeconds : 0
            writer.overwrite(isStale ? Self.staleLifeSeconds : min(left, lifeSeconds), at: offset)
        }
        // Only who asks for it is told that signatures were checked (RFC 6840, section 5.7).
        let asksForIt = query.extension?.wantsSecurity == true || query.bytes[3] & 0x20 != 0
        let authentic = isAuthentic && asksForIt ? HeaderFlags.authentic : 0
        return writer.finish(to: query.bytes, code: code, flags: flags | authentic)
    }

    private func recordsWithin(_ room: Int) -> Int {
        for index in recordStarts.indices.reversed() where recordStarts[index] <= room { return index }
        return 0
    }

    /// The answer as a value again, aged, for putting it behind an alias.
    func message(ageSeconds: UInt32, isStale: Bool) -> Message? {
        guard var message = try? MessageReader.message(bytes) else { return nil }
        for path in [\Message.answers, \Message.authorities, \Message.additionals] {
            for index in message[keyPath: path].indices {
                let life = message[keyPath: path][index].timeToLiveSeconds
                message[keyPath: path][index].timeToLiveSeconds =
                    isStale ? Self.staleLifeSeconds : min(life > ageSeconds ? life - ageSeconds : 0, lifeSeconds)
            }
        }
        return message
    }
}
