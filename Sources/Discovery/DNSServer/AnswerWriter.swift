// Writes an answer straight into the buffer that is sent: header, the question as it came, and records that are bytes
// already.

import NIO

/// Writes one answer within a size. The question is repeated byte for byte, so that a client that mixes the case of
/// letters finds its own.
struct AnswerWriter {
    enum Section: Int {
        case answers, authorities, additionals
    }

    /// A pointer to the question's name.
    static let questionPointer: UInt16 = 0xc000 | UInt16(Query.headerBytes)
    /// Room for most answers without growing.
    private static let usualBytes = 256

    private(set) var buffer: ByteBuffer
    private let limit: Int
    private let hasQuestion: Bool
    private let wantsExtension: Bool
    private let wantsSecurity: Bool
    private var counts: (UInt16, UInt16, UInt16) = (0, 0, 0)
    private var isTruncated = false

    /// `questionEnd` says up to where the query's bytes are repeated after the header.
    init(to query: [UInt8], questionEnd: Int, extension: Extension?, limitBytes: Int) {
        buffer = ByteBufferAllocator().buffer(capacity: Self.usualBytes)
        limit = limitBytes - (`extension` == nil ? 0 : MessageWriter.extensionBytes)
        hasQuestion = questionEnd > Query.headerBytes
        wantsExtension = `extension` != nil
        wantsSecurity = `extension`?.wantsSecurity ?? false
        buffer.writeMultipleIntegers(UInt64(0), UInt32(0))
        if hasQuestion { buffer.writeBytes(query[Query.headerBytes..<questionEnd]) }
    }

    init(to query: Query, limitBytes: Int) {
        self.init(
            to: query.bytes, questionEnd: query.name.upperBound + 4, extension: query.extension, limitBytes: limitBytes)
    }

    /// Where the next record will begin.
    var position: Int { buffer.writerIndex }

    /// Adds a record. False when it does not fit; an answer that lacks one says that it is truncated.
    @discardableResult
    mutating func append(owner: UInt16, _ body: ArraySlice<UInt8>, to section: Section) -> Bool {
        guard !isTruncated, buffer.writerIndex + 2 + body.count <= limit else {
            if section == .answers { isTruncated = true }
            return false
        }
        buffer.writeInteger(owner)
        buffer.writeBytes(body)
        count(1, in: section)
        return true
    }

    /// Adds bytes that are records with owners.
    mutating func append(records bytes: ArraySlice<UInt8>, counts: (UInt16, UInt16, UInt16), isTruncated: Bool) {
        buffer.writeBytes(bytes)
        self.counts = counts
        self.isTruncated = isTruncated
    }

    mutating func overwrite(_ number: UInt32, at offset: Int) { buffer.setInteger(number, at: offset) }

    private mutating func count(_ number: UInt16, in section: Section) {
        switch section {
        case .answers: counts.0 += number
        case .authorities: counts.1 += number
        case .additionals: counts.2 += number
        }
    }

    /// The whole answer. `flags` are those of the header beside the code, the question's own and the sign of an answer.
    mutating func finish(to query: [UInt8], code: ResponseCode, flags: UInt16) -> ByteBuffer {
        if wantsExtension {
            buffer.writeInteger(UInt8(0))
            buffer.writeMultipleIntegers(
                Query.extensionType, UInt16(MessageWriter.datagramLimitBytes),
                UInt32(code.rawValue >> 4) << 24 | (wantsSecurity ? 0x8000 : 0), UInt16(0))
            counts.2 += 1
        }
        // The id, the operation and the wish for recursion are the query's; so is the disabled check (RFC 4035, 3.2.2).
        let asked = UInt16(query[2] & 0x79) << 8 | UInt16(query[3] & 0x10)
        buffer.setInteger(UInt16(query[0]) << 8 | UInt16(query[1]), at: 0)
        buffer.setInteger(0x8000 | asked | flags | (isTruncated ? 0x0200 : 0) | code.rawValue & 0xf, at: 2)
        buffer.setInteger(hasQuestion ? 1 : 0 as UInt16, at: 4)
        buffer.setInteger(counts.0, at: 6)
        buffer.setInteger(counts.1, at: 8)
        buffer.setInteger(counts.2, at: 10)
        return buffer
    }
}

/// Bits of the header's second word.
enum HeaderFlags {
    static let authoritative: UInt16 = 0x0400
    static let recursionAvailable: UInt16 = 0x0080
    static let authentic: UInt16 = 0x0020
}
