// A query as it arrived: its bytes, and where in them the question is.

/// A query with one question, read without taking it apart.
struct Query: Sendable {
    static let headerBytes = 12
    static let extensionType: UInt16 = RecordType.opt.rawValue

    /// The whole message.
    let bytes: [UInt8]
    /// The question's name, whole, in `bytes`.
    let name: Range<Int>
    let type: RecordType
    let classNumber: UInt16
    let `extension`: Extension?

    var id: UInt16 { UInt16(bytes[0]) << 8 | UInt16(bytes[1]) }
    var isRecursionDesired: Bool { bytes[2] & 1 != 0 }
    var isCheckingDisabled: Bool { bytes[3] & 0x10 != 0 }
    /// Name, type and class.
    var question: ArraySlice<UInt8> { bytes[name.lowerBound..<(name.upperBound + 4)] }
    var domainName: DomainName { DomainName(wire: Array(bytes[name])) }

    /// What arrived bytes are.
    enum Arrival: Sendable {
        case query(Query)
        /// A query that only gets a code. `questionEnd` is where its question ends, or the header, where there is none
        /// to repeat.
        case refused(ResponseCode, questionEnd: Int, Extension?)
        /// An answer, or too short for a header: nobody is told.
        case nothing
    }

    /// Reads a message from anybody. Questions have no pointers, because there is nothing before them to point to.
    static func read(_ bytes: [UInt8]) -> Arrival {
        guard bytes.count >= headerBytes, bytes[2] & 0x80 == 0 else { return .nothing }
        guard bytes[2] >> 3 & 0xf == 0 else { return .refused(.notImplemented, questionEnd: headerBytes, nil) }
        let counts = (4..<12).reduce(into: [0, 0, 0, 0]) { counts, index in
            counts[index / 2 - 2] = counts[index / 2 - 2] << 8 | Int(bytes[index])
        }
        guard counts[0] == 1, let end = endOfName(bytes, headerBytes, allowsPointer: false), end + 4 <= bytes.count
        else {
            return .refused(.formatError, questionEnd: headerBytes, nil)
        }
        var found: Extension?
        var at = end + 4
        for section in 1...3 {
            for _ in 0..<counts[section] {
                guard let next = endOfRecord(bytes, at) else {
                    return .refused(.formatError, questionEnd: end + 4, nil)
                }
                if section == 3, let opt = `extension`(bytes, at) {
                    guard found == nil, hasWholeOptions(bytes, (at + 11)..<next) else {
                        return .refused(.formatError, questionEnd: end + 4, nil)
                    }
                    found = opt
                }
                at = next
            }
        }
        if let found, found.version != 0 { return .refused(.badVersion, questionEnd: end + 4, found) }
        return .query(
            Query(
                bytes: bytes, name: headerBytes..<end, type: RecordType(rawValue: number16(bytes, end)),
                classNumber: number16(bytes, end + 2), extension: found))
    }

    private static func number16(_ bytes: [UInt8], _ at: Int) -> UInt16 {
        UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
    }

    /// The index after a name, or nil where there is none.
    private static func endOfName(_ bytes: [UInt8], _ start: Int, allowsPointer: Bool) -> Int? {
        var at = start
        while at < bytes.count {
            let head = Int(bytes[at])
            if head == 0 { return at + 1 - start <= DomainName.limitBytes ? at + 1 : nil }
            if head >= 0xc0 { return allowsPointer && at + 2 <= bytes.count ? at + 2 : nil }
            guard head <= DomainName.labelLimitBytes else { return nil }
            at += 1 + head
        }
        return nil
    }

    private static func endOfRecord(_ bytes: [UInt8], _ start: Int) -> Int? {
        guard let name = endOfName(bytes, start, allowsPointer: true), name + 10 <= bytes.count else { return nil }
        let end = name + 10 + Int(number16(bytes, name + 8))
        return end <= bytes.count ? end : nil
    }

    /// The OPT record at a place, whose end is known to be there; nil when it is another.
    private static func `extension`(_ bytes: [UInt8], _ at: Int) -> Extension? {
        guard bytes[at] == 0, number16(bytes, at + 1) == extensionType else { return nil }
        return Extension(
            payloadLimitBytes: number16(bytes, at + 3), version: bytes[at + 6], wantsSecurity: bytes[at + 7] & 0x80 != 0
        )
    }

    /// Whether options fill the data exactly; which they are does not matter.
    private static func hasWholeOptions(_ bytes: [UInt8], _ data: Range<Int>) -> Bool {
        var at = data.lowerBound
        while at < data.upperBound {
            guard at + 4 <= data.upperBound else { return false }
            at += 4 + Int(number16(bytes, at + 2))
        }
        return at == data.upperBound
    }
}
