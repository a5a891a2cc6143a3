// Moments in time as RFC 3339 writes them: parsing, printing and plain arithmetic, with no clock.

/// A moment of the proleptic Gregorian calendar in UTC, to the nanosecond.
package struct Timestamp: Sendable, Hashable, Comparable {
    /// Whole seconds since 1970-01-01T00:00:00Z; negative before it.
    package var secondsSinceEpoch: Int64
    /// 0 to 999 999 999, always counted forward from the second.
    package var nanoseconds: Int32

    package init(secondsSinceEpoch: Int64, nanoseconds: Int32 = 0) {
        self.secondsSinceEpoch = secondsSinceEpoch
        self.nanoseconds = nanoseconds
    }

    /// The moment that RFC 3339 text names, in any offset; nil when the text is not RFC 3339. A leap second counts as
    /// the second before it; digits of the fraction beyond the ninth are dropped.
    package init?(rfc3339 text: String) {
        var reader = DigitReader(bytes: Array(text.utf8))
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"),
            let second = reader.number(2),
            (1...12).contains(month), day >= 1, day <= Self.days(inMonth: month, of: year),
            hour <= 23, minute <= 59, second <= 60
        else { return nil }
        var nanoseconds: Int32 = 0
        if reader.take(".") {
            guard let fraction = reader.fraction() else { return nil }
            nanoseconds = fraction
        }
        guard let offset = reader.offsetSeconds(), reader.isAtEnd else { return nil }
        let days = Self.daysSinceEpoch(year: year, month: month, day: day)
        let secondOfDay = hour * 3600 + minute * 60 + min(second, 59)
        self.init(secondsSinceEpoch: Int64(days * 86_400 + secondOfDay - offset), nanoseconds: nanoseconds)
    }

    /// `2025-06-01T08:30:00Z`: how `metav1.Time` is written.
    package var rfc3339: String { text(fractionDigits: 0) + "Z" }
    /// `2025-06-01T08:30:00.000000Z`: how `metav1.MicroTime` is written.
    package var rfc3339Micro: String { text(fractionDigits: 6) + "Z" }
    /// `2025-06-01T08:30:00.000000000Z`: how container logs are stamped.
    package var rfc3339Nano: String { text(fractionDigits: 9) + "Z" }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.secondsSinceEpoch, left.nanoseconds) < (right.secondsSinceEpoch, right.nanoseconds)
    }

    package static func + (moment: Timestamp, span: Duration) -> Timestamp {
        let (seconds, attoseconds) = span.components
        var second = moment.secondsSinceEpoch + seconds
        var nanoseconds = Int64(moment.nanoseconds) + attoseconds / 1_000_000_000
        if nanoseconds < 0 {
            second -= 1
            nanoseconds += 1_000_000_000
        } else if nanoseconds >= 1_000_000_000 {
            second += 1
            nanoseconds -= 1_000_000_000
        }
        return Timestamp(secondsSinceEpoch: second, nanoseconds: Int32(nanoseconds))
    }

    package static func - (moment: Timestamp, span: Duration) -> Timestamp { moment + (.zero - span) }

    /// The time from `earlier` to `later`; negative when they are the other way round.
    package static func - (later: Timestamp, earlier: Timestamp) -> Duration {
        .seconds(later.secondsSinceEpoch - earlier.secondsSinceEpoch)
            + .nanoseconds(Int64(later.nanoseconds) - Int64(earlier.nanoseconds))
    }
}

extension Timestamp {
    /// The date in UTC.
    package var civilDate: (year: Int, month: Int, day: Int) {
        let days = secondsSinceEpoch / 86_400 - (secondsSinceEpoch % 86_400 < 0 ? 1 : 0)
        return Self.civil(daysSinceEpoch: Int(days))
    }
}

extension Timestamp: CustomStringConvertible {
    package var description: String { rfc3339Nano }
}

/// The calendar, after Howard Hinnant's `chrono`-compatible date algorithms: eras of 400 years that begin in March.
extension Timestamp {
    private func text(fractionDigits: Int) -> String {
        var days = secondsSinceEpoch / 86_400
        var second = secondsSinceEpoch % 86_400
        if second < 0 {
            days -= 1
            second += 86_400
        }
        let (year, month, day) = Self.civil(daysSinceEpoch: Int(days))
        var output: [UInt8] = []
        output.reserveCapacity(30)
        Self.append(year, digits: 4, to: &output)
        output.append(UInt8(ascii: "-"))
        Self.append(month, digits: 2, to: &output)
        output.append(UInt8(ascii: "-"))
        Self.append(day, digits: 2, to: &output)
        output.append(UInt8(ascii: "T"))
        Self.append(Int(second / 3600), digits: 2, to: &output)
        output.append(UInt8(ascii: ":"))
        Self.append(Int(second / 60 % 60), digits: 2, to: &output)
        output.append(UInt8(ascii: ":"))
        Self.append(Int(second % 60), digits: 2, to: &output)
        if fractionDigits > 0 {
            output.append(UInt8(ascii: "."))
            Self.append(Int(nanoseconds), digits: 9, to: &output)
            output.removeLast(9 - fractionDigits)
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func append(_ value: Int, digits: Int, to output: inout [UInt8]) {
        let text = String(value)
        for _ in 0..<max(0, digits - text.utf8.count) { output.append(UInt8(ascii: "0")) }
        output.append(contentsOf: text.utf8)
    }

    private static func days(inMonth month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func daysSinceEpoch(year: Int, month: Int, day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func civil(daysSinceEpoch: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}

private struct DigitReader {
    let bytes: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func digit() -> Int? {
        guard position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) else {
            return nil
        }
        defer { position += 1 }
        return Int(bytes[position] - UInt8(ascii: "0"))
    }

    mutating func number(_ digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// One or more digits after the point, as nanoseconds.
    mutating func fraction() -> Int32? {
        var value: Int32 = 0
        var count = 0
        while let digit = digit() {
            if count < 9 { value = value * 10 + Int32(digit) }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in 0..<max(0, 9 - count) { value *= 10 }
        return value
    }

    /// `Z`, `+08:00` or `-05:30`, as seconds east of UTC.
    mutating func offsetSeconds() -> Int? {
        if take("Z") || take("z") { return 0 }
        let sign = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = number(2), take(":"), let minutes = number(2), hours <= 23, minutes <= 59 else {
            return nil
        }
        return sign * (hours * 3600 + minutes * 60)
    }
}
