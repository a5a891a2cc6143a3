// Turns what a program writes into lines of a container log in CRI format.

import Formats

/// One stream of one container: `2026-11-23T01:25:22.399458203Z stdout F hello`.
///
/// A line longer than `lengthLimit` is cut into parts marked `P`; so is what is left without an end of line.
struct LogLines {
    static let lengthLimit = 16_384

    let stream: String
    private var pending: [UInt8] = []

    init(stream: String) { self.stream = stream }

    /// The log text for the bytes that arrived; what does not end a line waits for more.
    mutating func received(_ bytes: some Sequence<UInt8>, at moment: Timestamp) -> [UInt8] {
        var log: [UInt8] = []
        let head = Array("\(moment.rfc3339Nano) \(stream) ".utf8)
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                append("F", head, to: &log)
            } else {
                pending.append(byte)
                if pending.count == Self.lengthLimit { append("P", head, to: &log) }
            }
        }
        return log
    }

    /// The log text for what is left when the stream has ended.
    mutating func ended(at moment: Timestamp) -> [UInt8] {
        var log: [UInt8] = []
        if !pending.isEmpty { append("P", Array("\(moment.rfc3339Nano) \(stream) ".utf8), to: &log) }
        return log
    }

    private mutating func append(_ tag: String, _ head: [UInt8], to log: inout [UInt8]) {
        log.append(contentsOf: head)
        log.append(contentsOf: Array(tag.utf8))
        log.append(UInt8(ascii: " "))
        log.append(contentsOf: pending)
        log.append(UInt8(ascii: "\n"))
        pending.removeAll(keepingCapacity: true)
    }
}
