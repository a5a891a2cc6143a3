// All records of one moment as bytes: what a backup carries.

import Objects

/// The text form of a store's records: `store REVISION COUNT`, then for each record a line
/// `record REVISION CREATED KEYBYTES VALUEBYTES` with the key, the value and a newline after it. History is left out.
package enum Snapshot {
    /// Chunks are closed when they reach this; one record always fits.
    package static let chunkBytes = 1 << 20

    /// Encodes the records of one moment in chunks, so that a large store does not stand in memory twice.
    package struct Encoder: Sendable {
        private let page: Page
        private var place = 0
        private var hasBegun = false

        package init(_ page: Page) { self.page = page }

        /// The next chunk, nil at the end.
        package mutating func next() -> [UInt8]? {
            var chunk: [UInt8] = []
            if !hasBegun {
                hasBegun = true
                chunk += Array("store \(page.revision) \(page.records.count)\n".utf8)
            }
            while place < page.records.count, chunk.count < Snapshot.chunkBytes {
                let record = page.records[place]
                place += 1
                let sizes = "\(record.key.utf8.count) \(record.bytes.count)"
                chunk += Array("record \(record.revision) \(record.createRevision) \(sizes)\n\(record.key)".utf8)
                chunk += record.bytes
                chunk.append(UInt8(ascii: "\n"))
            }
            return chunk.isEmpty ? nil : chunk
        }
    }

    /// Reads records back from the beginning of `bytes`, and leaves what follows them there. Throws on anything else.
    package static func decode(_ bytes: inout ArraySlice<UInt8>) throws(Problem) -> (
        records: [Record], revision: UInt64
    ) {
        let head = try numbers(&bytes, after: "store", count: 2)
        var records: [Record] = []
        records.reserveCapacity(min(Int(clamping: head[1]), 1 << 20))
        for _ in 0..<head[1] {
            let sizes = try numbers(&bytes, after: "record", count: 4)
            let key = try take(sizes[2], from: &bytes)
            let value = try take(sizes[3], from: &bytes)
            guard bytes.popFirst() == UInt8(ascii: "\n"), sizes[0] <= head[0], sizes[1] <= sizes[0] else {
                throw unreadable
            }
            records.append(
                Record(
                    key: String(decoding: key, as: UTF8.self), bytes: Array(value), revision: sizes[0],
                    createRevision: sizes[1]))
        }
        guard Set(records.map(\.key)).count == records.count, Set(records.map(\.revision)).count == records.count else {
            throw unreadable
        }
        return (records, head[0])
    }

    /// Takes `bytes` from the front.
    package static func take(_ count: UInt64, from bytes: inout ArraySlice<UInt8>) throws(Problem) -> ArraySlice<UInt8>
    {
        guard count <= UInt64(bytes.count) else { throw unreadable }
        let taken = bytes.prefix(Int(count))
        bytes = bytes.dropFirst(Int(count))
        return taken
    }

    /// Takes a line from the front: its words.
    package static func words(_ bytes: inout ArraySlice<UInt8>) throws(Problem) -> [Substring] {
        guard let end = bytes.prefix(lineBytes).firstIndex(of: UInt8(ascii: "\n")) else { throw unreadable }
        let line = String(decoding: bytes[..<end], as: UTF8.self)
        bytes = bytes[(end + 1)...]
        return line.split(separator: " ", omittingEmptySubsequences: false)
    }

    private static let lineBytes = 512

    private static func numbers(
        _ bytes: inout ArraySlice<UInt8>, after word: String, count: Int
    ) throws(Problem) -> [UInt64] {
        let words = try words(&bytes)
        let numbers = words.dropFirst().compactMap { UInt64($0) }
        guard words.first == word[...], numbers.count == count, words.count == count + 1 else { throw unreadable }
        return numbers
    }

    package static var unreadable: Problem { Problem(.internalError, "the snapshot cannot be read") }
}
