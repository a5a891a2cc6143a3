// The date of an answer, made once a second.

import Formats
import Synchronization

final class DateLine: Sendable {
    private let secondsSinceEpoch: @Sendable () -> Int64
    private let made = Mutex((second: Int64.min, text: ""))

    init(secondsSinceEpoch: @escaping @Sendable () -> Int64) { self.secondsSinceEpoch = secondsSinceEpoch }

    var text: String {
        let second = secondsSinceEpoch()
        return made.withLock { made in
            if made.second != second { made = (second, Self.text(second)) }
            return made.text
        }
    }

    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
    static func text(_ second: Int64) -> String {
        let moment = Timestamp(secondsSinceEpoch: max(second, 0))
        let (year, month, day) = moment.civilDate
        let weekday = days[Int(moment.secondsSinceEpoch / 86_400 % 7)]
        let time = moment.rfc3339.dropFirst(11).dropLast()
        return "\(weekday), \(day < 10 ? "0" : "")\(day) \(months[month - 1]) \(year) \(time) GMT"
    }
}
