// DNS messages as values (RFC 1035, with EDNS0 of RFC 6891).

/// A record type by its number; the ones that this server knows have names.
struct RecordType: RawRepresentable, Hashable, Sendable {
    var rawValue: UInt16

    static let a = RecordType(rawValue: 1)
    static let ns = RecordType(rawValue: 2)
    static let cname = RecordType(rawValue: 5)
    static let soa = RecordType(rawValue: 6)
    static let ptr = RecordType(rawValue: 12)
    static let txt = RecordType(rawValue: 16)
    static let aaaa = RecordType(rawValue: 28)
    static let srv = RecordType(rawValue: 33)
    static let opt = RecordType(rawValue: 41)
    static let ixfr = RecordType(rawValue: 251)
    static let axfr = RecordType(rawValue: 252)
    static let any = RecordType(rawValue: 255)
}

/// What became of a query. Above 15 it needs EDNS0.
struct ResponseCode: RawRepresentable, Hashable, Sendable {
    var rawValue: UInt16

    static let success = ResponseCode(rawValue: 0)
    static let formatError = ResponseCode(rawValue: 1)
    static let serverFailure = ResponseCode(rawValue: 2)
    static let noSuchName = ResponseCode(rawValue: 3)
    static let notImplemented = ResponseCode(rawValue: 4)
    static let refused = ResponseCode(rawValue: 5)
    static let badVersion = ResponseCode(rawValue: 16)
}

struct Question: Hashable, Sendable {
    static let internet: UInt16 = 1
    static let anyClass: UInt16 = 255

    var name: DomainName
    var type: RecordType
    var classNumber: UInt16 = internet
}

struct ResourceRecord: Hashable, Sendable {
    var name: DomainName
    var timeToLiveSeconds: UInt32
    var data: RecordData
}

/// The data of a record; a type without a case of its own stays bytes.
enum RecordData: Hashable, Sendable {
    case a(UInt32)
    case aaaa([UInt8])
    case ns(DomainName)
    case cname(DomainName)
    case ptr(DomainName)
    case soa(StartOfAuthority)
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName)
    case txt([[UInt8]])
    case other(RecordType, [UInt8])

    struct StartOfAuthority: Hashable, Sendable {
        var server: DomainName
        var mailbox: DomainName
        var serial: UInt32
        var refreshSeconds: UInt32
        var retrySeconds: UInt32
        var expireSeconds: UInt32
        /// How long an answer "there is none" may be kept.
        var negativeSeconds: UInt32
    }

    var type: RecordType {
        switch self {
        case .a: .a
        case .aaaa: .aaaa
        case .ns: .ns
        case .cname: .cname
        case .ptr: .ptr
        case .soa: .soa
        case .srv: .srv
        case .txt: .txt
        case .other(let type, _): type
        }
    }
}

/// What the OPT record says.
struct Extension: Hashable, Sendable {
    var payloadLimitBytes: UInt16
    var version: UInt8 = 0
    var wantsSecurity = false
}

/// A query or an answer.
struct Message: Hashable, Sendable {
    var id: UInt16
    var isResponse = false
    var operation: UInt8 = 0
    var isAuthoritative = false
    var isTruncated = false
    var isRecursionDesired = false
    var isRecursionAvailable = false
    var code = ResponseCode.success
    var questions: [Question] = []
    var answers: [ResourceRecord] = []
    var authorities: [ResourceRecord] = []
    /// Without the OPT record.
    var additionals: [ResourceRecord] = []
    var `extension`: Extension?
}
