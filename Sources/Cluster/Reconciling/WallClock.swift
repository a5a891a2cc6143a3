// The time of day as a value that can be handed in, so that machines and tests need no clock of their own.

import Formats
import Glibc

/// Where a shell takes the time of day from.
package struct WallClock: Sendable {
    package var now: @Sendable () -> Timestamp

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }

    /// The machine's clock.
    package static let system = WallClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(secondsSinceEpoch: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }
}
