// What clients ask (zookeeper-jute/src/main/resources/zookeeper.jute, org.apache.zookeeper.ZooDefs.OpCode).

import NIOCore

/// The numbers of the requests.
enum Opcode {
    static let create: Int32 = 1, delete: Int32 = 2, exists: Int32 = 3, getData: Int32 = 4, setData: Int32 = 5
    static let getACL: Int32 = 6, setACL: Int32 = 7, getChildren: Int32 = 8, sync: Int32 = 9, ping: Int32 = 11
    static let getChildren2: Int32 = 12, check: Int32 = 13, multi: Int32 = 14, create2: Int32 = 15, reconfig: Int32 = 16
    static let checkWatches: Int32 = 17, removeWatches: Int32 = 18, createContainer: Int32 = 19, createTTL: Int32 = 21
    static let multiRead: Int32 = 22, auth: Int32 = 100, setWatches: Int32 = 101, sasl: Int32 = 102
    static let getEphemerals: Int32 = 103, getAllChildrenNumber: Int32 = 104, setWatches2: Int32 = 105
    static let addWatch: Int32 = 106, whoAmI: Int32 = 107, closeSession: Int32 = -11, error: Int32 = -1
}

/// The first frame of a connection.
struct Greeting: Hashable, Sendable {
    var lastZxid: Int64
    var timeoutMilliseconds: Int32
    var session: Int64
    var password: [UInt8]
    /// Clients before 3.4 leave out the last byte, and expect none in the answer.
    var isModern: Bool

    init(_ reader: inout JuteReader) throws(WireProblem) {
        _ = try reader.int()  // the protocol's version, always 0
        lastZxid = try reader.long()
        timeoutMilliseconds = try reader.int()
        session = try reader.long()
        password = try reader.buffer()
        isModern = reader.remaining > 0
        if isModern { _ = try reader.boolean() }
    }
}

/// A request that changes one znode, alone or in a multi.
enum Change: Hashable, Sendable {
    case create(Creation, answersStat: Bool)
    case delete(String, version: Int32)
    case setData(String, [UInt8]?, version: Int32)
    case setACL(String, [AccessEntry], version: Int32)
    case check(String, version: Int32)
}

struct Creation: Hashable, Sendable {
    enum Mode: Hashable, Sendable {
        case persistent, ephemeral, container
        case ttl(Int64)
    }

    var path: String
    var data: [UInt8]?
    var acl: [AccessEntry]
    var mode: Mode
    var isSequential: Bool

    var dataBytes: Int { data?.count ?? 0 }
}

/// The watches of a client that has connected again.
struct WatchList: Hashable, Sendable {
    var relativeZxid: Int64
    var data: [String]
    var exist: [String]
    var child: [String]
    var persistent: [String] = []
    var recursive: [String] = []

    var count: Int { data.count + exist.count + child.count + persistent.count + recursive.count }
}

enum Request: Sendable {
    case change(Change)
    case multi([Change])
    case multiRead([(path: String, wantsChildren: Bool)])
    case exists(String, watch: Bool)
    case getData(String, watch: Bool)
    case getChildren(String, watch: Bool, wantsStat: Bool)
    case getACL(String)
    case sync(String)
    case ping
    case auth(scheme: String, proof: [UInt8])
    case setWatches(WatchList)
    case addWatch(String, mode: Int32)
    case findWatch(String, kind: Int32, removes: Bool)
    case getEphemerals(prefix: String)
    case countDescendants(String)
    case whoAmI
    case closeSession
    /// Known and not served, with the error that says so.
    case refused(ErrorCode)

    init(_ reader: inout JuteReader, opcode: Int32, limits: Limits) throws(WireProblem) {
        switch opcode {
        case Opcode.create, Opcode.create2, Opcode.createContainer, Opcode.createTTL, Opcode.delete, Opcode.setData,
            Opcode.check:
            self = try Change(&reader, opcode: opcode).map { .change($0) } ?? .refused(.badArguments)
        case Opcode.setACL:
            self = .change(.setACL(try reader.text(), try reader.accessList(), version: try reader.int()))
        case Opcode.multi: self = try Self.multi(&reader, limits: limits)
        case Opcode.multiRead: self = try Self.multiRead(&reader, limits: limits)
        case Opcode.exists: self = .exists(try reader.text(), watch: try reader.boolean())
        case Opcode.getData: self = .getData(try reader.text(), watch: try reader.boolean())
        case Opcode.getChildren: self = .getChildren(try reader.text(), watch: try reader.boolean(), wantsStat: false)
        case Opcode.getChildren2: self = .getChildren(try reader.text(), watch: try reader.boolean(), wantsStat: true)
        case Opcode.getACL: self = .getACL(try reader.text())
        case Opcode.sync: self = .sync(try reader.text())
        case Opcode.ping: self = .ping
        case Opcode.auth:
            _ = try reader.int()
            self = .auth(scheme: try reader.text(), proof: try reader.buffer())
        case Opcode.setWatches:
            self = .setWatches(
                WatchList(
                    relativeZxid: try reader.long(), data: try reader.texts(), exist: try reader.texts(),
                    child: try reader.texts()))
        case Opcode.setWatches2:
            self = .setWatches(
                WatchList(
                    relativeZxid: try reader.long(), data: try reader.texts(), exist: try reader.texts(),
                    child: try reader.texts(), persistent: try reader.texts(), recursive: try reader.texts()))
        case Opcode.addWatch: self = .addWatch(try reader.text(), mode: try reader.int())
        case Opcode.checkWatches: self = .findWatch(try reader.text(), kind: try reader.int(), removes: false)
        case Opcode.removeWatches: self = .findWatch(try reader.text(), kind: try reader.int(), removes: true)
        case Opcode.getEphemerals: self = .getEphemerals(prefix: try reader.text())
        case Opcode.getAllChildrenNumber: self = .countDescendants(try reader.text())
        case Opcode.whoAmI: self = .whoAmI
        case Opcode.closeSession: self = .closeSession
        case Opcode.reconfig: self = .refused(.reconfigDisabled)
        case Opcode.sasl: self = .refused(.authFailed)
        default: self = .refused(.unimplemented)
        }
    }

    private static func multi(_ reader: inout JuteReader, limits: Limits) throws(WireProblem) -> Request {
        var changes: [Change] = []
        while let opcode = try nextOperation(&reader) {
            guard changes.count < limits.multiOperations else { throw .multiTooLong(limit: limits.multiOperations) }
            let known = [
                Opcode.create, Opcode.create2, Opcode.createContainer, Opcode.createTTL, Opcode.delete, Opcode.setData,
                Opcode.check,
            ]
            guard known.contains(opcode) else { return .refused(.unimplemented) }
            guard let change = try Change(&reader, opcode: opcode) else { return .refused(.badArguments) }
            changes.append(change)
        }
        return .multi(changes)
    }

    private static func multiRead(_ reader: inout JuteReader, limits: Limits) throws(WireProblem) -> Request {
        var reads: [(path: String, wantsChildren: Bool)] = []
        while let opcode = try nextOperation(&reader) {
            guard reads.count < limits.multiOperations else { throw .multiTooLong(limit: limits.multiOperations) }
            guard opcode == Opcode.getData || opcode == Opcode.getChildren else { return .refused(.unimplemented) }
            reads.append((try reader.text(), opcode == Opcode.getChildren))
            _ = try reader.boolean()
        }
        return .multiRead(reads)
    }

    /// The header before each operation of a multi; nil for the one that ends it.
    private static func nextOperation(_ reader: inout JuteReader) throws(WireProblem) -> Int32? {
        let opcode = try reader.int()
        let isDone = try reader.boolean()
        _ = try reader.int()
        return isDone ? nil : opcode
    }
}

extension Change {
    /// Nil where the flags say nothing that exists.
    init?(_ reader: inout JuteReader, opcode: Int32) throws(WireProblem) {
        switch opcode {
        case Opcode.delete: self = .delete(try reader.text(), version: try reader.int())
        case Opcode.setData: self = .setData(try reader.text(), try reader.data(), version: try reader.int())
        case Opcode.check: self = .check(try reader.text(), version: try reader.int())
        default:
            var creation = Creation(
                path: try reader.text(), data: try reader.data(), acl: try reader.accessList(), mode: .persistent,
                isSequential: false)
            let flags = try reader.int()
            let timeToLive = opcode == Opcode.createTTL ? try reader.long() : 0
            guard let mode = Self.mode(flags: flags, timeToLive: timeToLive) else { return nil }
            creation.mode = mode
            creation.isSequential = [2, 3, 6].contains(flags)
            self = .create(creation, answersStat: opcode != Opcode.create)
        }
    }

    /// org.apache.zookeeper.CreateMode.
    private static func mode(flags: Int32, timeToLive: Int64) -> Creation.Mode? {
        switch flags {
        case 0, 2: .persistent
        case 1, 3: .ephemeral
        case 4: .container
        case 5, 6: (1...Node.longestTimeToLive).contains(timeToLive) ? .ttl(timeToLive) : nil
        default: nil
        }
    }
}
