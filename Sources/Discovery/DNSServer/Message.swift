// DNS messages as values (RFC 1035, with EDNS0 of RFC 6891).

/// A record type by its number; the ones that this server knows have names.
struct RecordType: RawRepresentable, Hashable, Sendable {
    var rawValue: UInt16

    static let a = RecordType(rawValue: 1)
    static let ns = RecordType(rawValue: 2)
    static let cname = RecordType(rawValue: 5)
    static let soa = RecordType(rawValue: 6)
    static let ptr = RecordType(rawValue: 12)
    static let mx = RecordType(rawValue: 15)
    static let txt = RecordType(rawValue: 16)
    static let aaaa = RecordType(rawValue: 28)
    static let srv = RecordType(rawValue: 33)
    static let opt = RecordType(rawValue: 41)
    static let ixfr = RecordType(rawValue: 251)
    static let axfr = RecordType(rawValue: 252)
    static let any = RecordType(rawValue: 255)

    /// For metrics: the type's mnemonic, or `other`.
    var label: String { Self.labels[rawValue] ?? "other" }
    static let labels: [UInt16: String] = [
        1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 255: "ANY",
    ]
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

    /// For metrics.
    var label: String {
        switch self {
        case .success: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .noSuchName: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        case .badVersion: "BADVERS"
        default: "other"
        }
    }
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

/// The data of a record; a type without a case of its own stays bytes, with the names in it written out.
enum RecordData: Hashable, Sendable {
    case address(IPAddress)
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
        case .address(.v4): .a
        case .address(.v6): .aaaa
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

/// What the OPT record says. Options, cookies among them, are read over: whoever does not know one ignores it
/// (RFC 6891, section 6.1.2).
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
    var isAuthentic = false
    var isCheckingDisabled = false
    var code = ResponseCode.success
    var questions: [Question] = []
    var answers: [ResourceRecord] = []
    var authorities: [ResourceRecord] = []
    /// Without the OPT record.
    var additionals: [ResourceRecord] = []
    var `extension`: Extension?
}
