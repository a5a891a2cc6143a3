// A znode: its data, who may touch it, and its history in numbers.

/// What a client is told of a znode (zookeeper.jute, `Stat`).
struct Stat: Hashable, Sendable {
    var czxid: Int64, mzxid: Int64, ctime: Int64, mtime: Int64
    var version: Int32, cversion: Int32, aversion: Int32
    var ephemeralOwner: Int64
    var dataLength: Int32, numChildren: Int32
    var pzxid: Int64
}

struct Node: Hashable, Sendable {
    /// What ends a znode besides its deletion.
    enum Kind: Hashable, Sendable {
        case persistent
        /// The end of this session.
        case ephemeral(Int64)
        /// Having been without children for a while, after it had some.
        case container
        /// So many milliseconds without a change, when it has no children.
        case ttl(Int64)
        /// The end of the instance that it shows. It is written by a view and is not on disk.
        case rendered
    }

    /// 40 bits (org.apache.zookeeper.server.EphemeralType).
    static let longestTimeToLive: Int64 = 0xFF_FFFF_FFFF
    /// The session that rendered znodes are shown to belong to; no client ever has it.
    static let renderingSession: Int64 = 1

    /// Its row on disk.
    let id: Int64
    /// Nil is what clients call null, which is not the same as empty.
    var data: [UInt8]?
    var access: AccessTable.Number
    var kind: Kind
    var children: Set<String> = []
    var czxid: Int64
    var mzxid: Int64
    var pzxid: Int64
    var ctime: Int64
    var mtime: Int64
    var version: Int32 = 0
    var aversion: Int32 = 0
    /// Children ever made: the number that the next sequential one gets.
    var creations: Int32 = 0
    /// The last change of anything that a reader of this znode can see.
    var changedZxid: Int64

    var dataBytes: Int { data?.count ?? 0 }

    /// Children ever made and ever deleted, as clients are told.
    var cversion: Int32 { creations &* 2 &- Int32(truncatingIfNeeded: children.count) }

    var stat: Stat {
        Stat(
            czxid: czxid, mzxid: mzxid, ctime: ctime, mtime: mtime, version: version, cversion: cversion,
            aversion: aversion, ephemeralOwner: kind.owner, dataLength: Int32(dataBytes),
            numChildren: Int32(children.count), pzxid: pzxid)
    }
}

extension Node.Kind {
    var isEphemeral: Bool {
        switch self {
        case .ephemeral, .rendered: true
        case .persistent, .container, .ttl: false
        }
    }

    /// How the kind is told to clients: as the owner's number.
    var owner: Int64 {
        switch self {
        case .persistent: 0
        case .ephemeral(let session): session
        case .container: .min
        case .ttl(let milliseconds): Int64(bitPattern: 0xFF00_0000_0000_0000) | milliseconds
        case .rendered: Node.renderingSession
        }
    }

    init(owner: Int64) {
        switch owner {
        case 0: self = .persistent
        case .min: self = .container
        case Node.renderingSession: self = .rendered
        case let owner where UInt64(bitPattern: owner) >> 56 == 0xFF: self = .ttl(owner & Node.longestTimeToLive)
        case let session: self = .ephemeral(session)
        }
    }
}

/// Names in the tree (org.apache.zookeeper.common.PathUtils).
enum Path {
    static func isValid(_ path: String) -> Bool {
        guard path.utf8.first == UInt8(ascii: "/") else { return false }
        if path.utf8.count == 1 { return true }
        // 0 at a slash, then the dots seen, or 3 for anything else.
        var state = 3
        var isFirst = true
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "/"):
                guard isFirst || state == 3 else { return false }
                state = 0
            case UInt8(ascii: "."): state = min(state + 1, 3)
            case 0...0x1F, 0x7F: return false
            case 0x80...:
                return isValidBeyondASCII(path)
            default: state = 3
            }
            isFirst = false
        }
        return state == 3
    }

    private static func isValidBeyondASCII(_ path: String) -> Bool {
        for scalar in path.unicodeScalars {
            switch scalar.value {
            case 0...0x1F, 0x7F...0x9F, 0xD800...0xF8FF, 0xFFF0...0xFFFF: return false
            default: continue
            }
        }
        return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    }

    /// Of a valid path other than `/`.
    static func parent(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    static func name(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    static func join(_ directory: String, _ name: String) -> String {
        directory == "/" ? "/" + name : directory + "/" + name
    }

    /// Whether it is `ancestor` or below it.
    static func isWithin(_ path: String, _ ancestor: String) -> Bool {
        guard ancestor != "/" else { return true }
        guard path.utf8.count > ancestor.utf8.count else { return path == ancestor }
        return path.hasPrefix(ancestor)
            && path.utf8[path.utf8.index(path.startIndex, offsetBy: ancestor.utf8.count)] == UInt8(ascii: "/")
    }

    /// `0000000042`, and longer where the number has more digits.
    static func sequence(_ number: Int32) -> String {
        let digits = String(number.magnitude)
        let padding = String(repeating: "0", count: max(0, (number < 0 ? 9 : 10) - digits.utf8.count))
        return (number < 0 ? "-" : "") + padding + digits
    }
}
