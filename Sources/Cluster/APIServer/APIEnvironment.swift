// Where the API server gets time and chance from, so that tests can say what they are.

import Glibc
import Formats

package struct APIEnvironment: Sendable {
    package var now: @Sendable () -> Timestamp
    package var random: @Sendable () -> UInt64

    package init(now: @escaping @Sendable () -> Timestamp, random: @escaping @Sendable () -> UInt64) {
        self.now = now
        self.random = random
    }

    /// The machine's clock and generator.
    package static let system = APIEnvironment(
        now: {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return Timestamp(secondsSinceEpoch: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
        },
        random: { UInt64.random(in: .min ... .max) })

    /// A UUID of version 4, as `metadata.uid` is.
    func makeUID() -> String {
        let high = random() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = random() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 { text.append(UInt8(ascii: "-")) }
            let number = digit < 16 ? high : low
            let value = UInt8(truncatingIfNeeded: number >> UInt64(60 - digit % 16 * 4)) & 0xF
            text.append(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// What `generateName` is completed with: five characters that make no words and are not mistaken for each other.
    func makeNameSuffix() -> String {
        let alphabet = Array("bcdfghjklmnpqrstvwxz2456789")
        var bits = random()
        var suffix = ""
        for _ in 0..<5 {
            suffix.append(alphabet[Int(bits % UInt64(alphabet.count))])
            bits /= UInt64(alphabet.count)
        }
        return suffix
    }
}
