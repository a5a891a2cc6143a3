// Takes a call's bytes apart into messages (`Length-Prefixed-Message` of the protocol's text).

import NIOCore

/// Bytes come in any pieces; a message comes out when it is whole.
struct MessageReader {
    /// A flag and the length.
    static let prefixBytes = 5

    private let limit: Int
    private var bytes = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    /// What came and is no whole message yet.
    var unfinishedBytes: Int { bytes.readableBytes }

    mutating func arrived(_ more: ByteBuffer) {
        guard bytes.readableBytes > 0 else {
            bytes = more
            return
        }
        bytes.discardReadBytes()
        bytes.writeImmutableBuffer(more)
    }

    /// The next whole message. The sender is told of a length beyond the limit before it has sent so much.
    mutating func next() throws(GRPCStatus) -> [UInt8]? {
        let at = bytes.readerIndex
        guard let flag = bytes.getInteger(at: at, as: UInt8.self) else { return nil }
        switch flag {
        case 0: break
        case 1: throw GRPCStatus(.internalError, "a message is compressed, though no grpc-encoding was named")
        default: throw GRPCStatus(.internalError, "\(flag) is no flag of a message")
        }
        guard let length = bytes.getInteger(at: at + 1, as: UInt32.self) else { return nil }
        guard length <= limit else {
            throw GRPCStatus(.resourceExhausted, "a message of \(length) bytes is longer than \(limit), the limit")
        }
        guard let message = bytes.getBytes(at: at + Self.prefixBytes, length: Int(length)) else { return nil }
        bytes.moveReaderIndex(forwardBy: Self.prefixBytes + message.count)
        return message
    }
}
