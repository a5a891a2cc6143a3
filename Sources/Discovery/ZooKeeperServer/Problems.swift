// What the interface refuses, in the numbers that ZooKeeper's clients know (org.apache.zookeeper.KeeperException.Code).

/// The error of one request; the connection goes on.
struct ErrorCode: Error, Hashable, Sendable {
    let number: Int32

    static let ok = ErrorCode(number: 0)
    static let runtimeInconsistency = ErrorCode(number: -2)
    static let marshalling = ErrorCode(number: -5)
    static let unimplemented = ErrorCode(number: -6)
    static let badArguments = ErrorCode(number: -8)
    static let noNode = ErrorCode(number: -101)
    static let noAuth = ErrorCode(number: -102)
    static let badVersion = ErrorCode(number: -103)
    static let noChildrenForEphemerals = ErrorCode(number: -108)
    static let nodeExists = ErrorCode(number: -110)
    static let notEmpty = ErrorCode(number: -111)
    static let sessionExpired = ErrorCode(number: -112)
    static let invalidACL = ErrorCode(number: -114)
    static let authFailed = ErrorCode(number: -115)
    static let noWatcher = ErrorCode(number: -121)
    static let reconfigDisabled = ErrorCode(number: -123)
    static let quotaExceeded = ErrorCode(number: -125)
}

/// Bytes that are no ZooKeeper protocol: the connection that sent them is closed.
enum WireProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case frameTooLong(Int, limit: Int)
    case endOfFrame
    case negativeLength(Int)
    case notUTF8
    case unknownBoolean(UInt8)
    case multiTooLong(limit: Int)

    var description: String {
        switch self {
        case .frameTooLong(let length, let limit): "a frame of \(length) bytes, where \(limit) is the limit"
        case .endOfFrame: "a frame that ends before its contents do"
        case .negativeLength(let length): "a length of \(length)"
        case .notUTF8: "a text that is not UTF-8"
        case .unknownBoolean(let byte): "\(byte) where 0 or 1 belongs"
        case .multiTooLong(let limit): "a multi of more than \(limit) operations"
        }
    }
}

/// The interface's limits.
struct Limits: Sendable {
    /// The longest frame that a client may send, as ZooKeeper's `jute.maxbuffer`.
    var frameBytes = 0xF_FFFF
    /// The longest frame before a session exists, and the longest packet of the `auth` request.
    var greetingBytes = 4_096
    /// A connection that has no session by then is closed.
    var greetingMilliseconds = 10_000
    /// Connections at one time, over all addresses; one more is closed at once.
    var connections = 20_000
    /// Sessions at one time, those without a connection included.
    var sessions = 100_000
    /// Bytes of answers and events that may wait for a client that does not read; beyond it is cut off.
    var outboundBytes = 16 << 20
    /// Bytes of frames that have come in part, over all connections; beyond it, whoever adds to them is cut off.
    var partialBytes = 256 << 20
    /// Answers of one connection that may wait for the disk before it is read no further.
    var waitingAnswers = 4_096
    /// Znodes, those of the views included.
    var nodes = 2_000_000
    /// Bytes of data in znodes.
    var dataBytes = 1 << 30
    /// Watches of one session.
    var sessionWatches = 200_000
    /// Operations in one multi.
    var multiOperations = 10_000
    /// Identities that one connection may prove.
    var identities = 64
}
