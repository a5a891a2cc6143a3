// Reads jute, ZooKeeper's encoding: big-endian numbers, and texts, buffers and vectors with their lengths before them.

import NIOCore

/// One frame, read from front to back. Every length is held against what is left, so that no number makes it allocate.
struct JuteReader {
    private var bytes: ByteBuffer

    init(_ frame: ByteBuffer) { bytes = frame }

    var remaining: Int { bytes.readableBytes }

    mutating func int() throws(WireProblem) -> Int32 {
        guard let number: Int32 = bytes.readInteger() else { throw .endOfFrame }
        return number
    }

    mutating func long() throws(WireProblem) -> Int64 {
        guard let number: Int64 = bytes.readInteger() else { throw .endOfFrame }
        return number
    }

    mutating func boolean() throws(WireProblem) -> Bool {
        guard let byte: UInt8 = bytes.readInteger() else { throw .endOfFrame }
        guard byte <= 1 else { throw .unknownBoolean(byte) }
        return byte == 1
    }

    /// Nil for the length of -1.
    mutating func data() throws(WireProblem) -> [UInt8]? {
        let length = Int(try int())
        if length == -1 { return nil }
        guard length >= 0 else { throw .negativeLength(length) }
        guard let read = bytes.readBytes(length: length) else { throw .endOfFrame }
        return read
    }

    mutating func buffer() throws(WireProblem) -> [UInt8] { try data() ?? [] }

    mutating func text() throws(WireProblem) -> String {
        let length = try length()
        guard length <= bytes.readableBytes else { throw .endOfFrame }
        do {
            return try bytes.readUTF8ValidatedString(length: length) ?? ""
        } catch {
            throw .notUTF8
        }
    }

    /// A vector's count, given that each element takes at least so many bytes.
    mutating func count(elementBytes: Int) throws(WireProblem) -> Int {
        let count = try length()
        guard count <= bytes.readableBytes / elementBytes else { throw .endOfFrame }
        return count
    }

    mutating func texts() throws(WireProblem) -> [String] {
        let count = try count(elementBytes: 4)
        var texts: [String] = []
        texts.reserveCapacity(count)
        for _ in 0..<count { texts.append(try text()) }
        return texts
    }

    mutating func accessList() throws(WireProblem) -> [AccessEntry] {
        let count = try count(elementBytes: 12)
        var entries: [AccessEntry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let permissions = try int()
            entries.append(
                AccessEntry(
                    permissions: Permissions(rawValue: permissions),
                    identity: Identity(scheme: try text(), id: try text())))
        }
        return entries
    }

    private mutating func length() throws(WireProblem) -> Int {
        let length = Int(try int())
        guard length >= -1 else { throw .negativeLength(length) }
        return max(length, 0)
    }
}
