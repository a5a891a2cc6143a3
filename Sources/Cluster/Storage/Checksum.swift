// Unsafe: reads words out of a buffer that its caller lends for the call, never beyond the buffer's count.
// Tells damaged bytes from good ones.

/// 64 bits over words and bytes in order; against worn disks and torn files, not against an adversary.
///
/// Every step is a bijection of the state, so that two inputs of one length that differ in a single word never agree.
struct Checksum {
    private(set) var value: UInt64 = 0x6D61_6E67_726F_7665

    mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 29
    }

    /// The bytes, and how many there are.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var place = 0
        while place + 8 <= bytes.count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)))
            place += 8
        }
        var rest: UInt64 = 0
        while place < bytes.count {
            rest = rest << 8 | UInt64(bytes[place])
            place += 1
        }
        add(rest)
    }
}
