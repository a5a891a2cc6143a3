// Writes jute into a byte buffer.

import NIOCore

extension ByteBuffer {
    mutating func writeJute(_ number: Int32) { writeInteger(number) }
    mutating func writeJute(_ number: Int64) { writeInteger(number) }
    mutating func writeJute(_ flag: Bool) { writeInteger(flag ? 1 : 0, as: UInt8.self) }

    mutating func writeJute(_ bytes: [UInt8]) {
        writeInteger(Int32(bytes.count))
        writeBytes(bytes)
    }

    mutating func writeJute(_ data: [UInt8]?) {
        guard let data else { return writeJute(Int32(-1)) }
        writeJute(data)
    }

    mutating func writeJute(_ text: String) {
        writeInteger(Int32(text.utf8.count))
        writeString(text)
    }

    mutating func writeJute(_ texts: some Collection<String>) {
        writeInteger(Int32(texts.count))
        for text in texts { writeJute(text) }
    }

    mutating func writeJute(_ entries: [AccessEntry]) {
        writeInteger(Int32(entries.count))
        for entry in entries {
            writeJute(entry.permissions.rawValue)
            writeJute(entry.identity.scheme)
            writeJute(entry.identity.id)
        }
    }

    mutating func writeJute(_ stat: Stat) {
        writeMultipleIntegers(
            stat.czxid, stat.mzxid, stat.ctime, stat.mtime, stat.version, stat.cversion, stat.aversion)
        writeMultipleIntegers(stat.ephemeralOwner, stat.dataLength, stat.numChildren, stat.pzxid)
    }

    /// Writes what `body` writes as a frame, its length before it.
    mutating func writeFrame(_ body: (inout ByteBuffer) -> Void) {
        let start = writerIndex
        writeInteger(Int32(0))
        body(&self)
        setInteger(Int32(writerIndex - start - 4), at: start)
    }
}
