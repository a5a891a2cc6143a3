// What waits to be sent to one client, in order: bytes that may go, and bytes that wait until a change is on disk.

import NIOCore

/// The pure part of a connection's output. Whatever rests on a change goes only when that change is on disk, and
/// whatever comes after it goes behind it.
struct Outbox {
    private var ready = ByteBuffer()
    private var held = ByteBuffer()
    /// How far `held` may be sent once a zxid is on disk.
    private var marks: CircularBuffer<(zxid: Int64, end: Int)> = []
    /// Bytes of `held` that were taken out, so that ends can count from the beginning.
    private var taken = 0
    /// The greatest zxid told so far; a client never sees it go back.
    private(set) var lastZxid: Int64 = 0

    init() {}

    var isHolding: Bool { !marks.isEmpty }
    var heldCount: Int { marks.count }
    var hasReady: Bool { ready.readableBytes > 0 }

    /// What a buffer begins with; most answers fit.
    private static let firstBytes = 512

    /// Adds one frame that rests on the changes up to `zxid`; the disk has them up to `durable`.
    mutating func add(after zxid: Int64, durable: Int64, _ body: (inout ByteBuffer, Int64) -> Void) {
        lastZxid = max(lastZxid, zxid, durable)
        let told = lastZxid
        if marks.isEmpty, zxid <= durable {
            if ready.capacity == 0 { ready.reserveCapacity(Self.firstBytes) }
            ready.writeFrame { body(&$0, told) }
        } else {
            held.writeFrame { body(&$0, told) }
            marks.append((max(zxid, marks.last?.zxid ?? 0), taken + held.readableBytes))
        }
    }

    /// Adds bytes without a frame, for texts.
    mutating func add(text: String) { ready.writeString(text) }

    /// The disk has everything up to a zxid.
    mutating func settled(_ durable: Int64) {
        var end = taken
        while let mark = marks.first, mark.zxid <= durable {
            end = mark.end
            marks.removeFirst()
        }
        guard end > taken, var bytes = held.readSlice(length: end - taken) else { return }
        taken = end
        ready.writeBuffer(&bytes)
        if marks.isEmpty {
            held.clear()
            taken = 0
        }
    }

    /// Takes what may be sent.
    mutating func takeReady() -> ByteBuffer? {
        guard ready.readableBytes > 0 else { return nil }
        defer { ready = ByteBuffer() }
        return ready
    }
}
