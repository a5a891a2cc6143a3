// Reads cron schedules and finds the moments that they name.

import Formats

/// A schedule of five fields (minute, hour, day of month, month, day of week), after the standard parser of
/// `github.com/robfig/cron/v3`, which Kubernetes uses: lists, ranges, steps, names of months and days, `?`, the macros,
/// and `@every`.
struct CronSchedule: Sendable, Equatable {
    /// Years looked ahead for a moment; a schedule like 30 February has none.
    static let horizonYears = 5

    private enum Kind: Sendable, Equatable {
        case fields(minute: Set<Int>, hour: Set<Int>, day: Set<Int>, month: Set<Int>, weekday: Set<Int>, either: Bool)
        /// `@every 90s`: counted from the moment before.
        case every(seconds: Int64)
    }

    private let kind: Kind

    private static let macros = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    private static let weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    init(parsing text: String) throws(FormatProblem) {
        if text.isEmpty { throw FormatProblem("empty spec string") }
        if text.hasPrefix("@every ") {
            guard let seconds = Self.seconds(String(text.dropFirst("@every ".count))) else {
                throw FormatProblem("failed to parse duration \(text)")
            }
            kind = .every(seconds: max(1, seconds))
            return
        }
        if text.hasPrefix("@"), Self.macros[text] == nil {
            throw FormatProblem("unrecognized descriptor: \(text)")
        }
        let fields = (Self.macros[text] ?? text).split(whereSeparator: \.isWhitespace).map(String.init)
        guard fields.count == 5 else {
            throw FormatProblem("expected exactly 5 fields, found \(fields.count): \(Self.quoted(fields))")
        }
        let day = try Self.field(fields[2], 1...31)
        let weekday = try Self.field(fields[4], 0...6, names: Self.weekdays)
        // With both days given either suffices; with a star in one of them both must hold.
        kind = .fields(
            minute: try Self.field(fields[0], 0...59).values, hour: try Self.field(fields[1], 0...23).values,
            day: day.values, month: try Self.field(fields[3], 1...12, names: Self.months).values,
            weekday: weekday.values, either: !day.hasStar && !weekday.hasStar)
    }

    private static func quoted(_ fields: [String]) -> String { "[\(fields.joined(separator: " "))]" }

    /// One field: a list of `*`, `n`, `n-m`, each with an optional `/step`.
    private static func field(
        _ text: String, _ range: ClosedRange<Int>, names: [String] = []
    ) throws(FormatProblem) -> (values: Set<Int>, hasStar: Bool) {
        var values: Set<Int> = []
        var hasStar = false
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let pieces = part.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard pieces.count <= 2, let body = pieces.first else { throw FormatProblem("too many slashes: \(part)") }
            var run = range
            if body == "*" || body == "?" {
                if pieces.count == 1 { hasStar = true }
            } else {
                let ends = body.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
                guard ends.count <= 2 else { throw FormatProblem("too many hyphens: \(part)") }
                let low = try number(ends[0], names, range)
                // `5/10` is every tenth from the fifth on.
                var high = pieces.count == 2 ? range.upperBound : low
                if ends.count == 2 { high = try number(ends[1], names, range) }
                if low < range.lowerBound {
                    throw FormatProblem("beginning of range (\(low)) below minimum (\(range.lowerBound)): \(part)")
                }
                if high > range.upperBound {
                    throw FormatProblem("end of range (\(high)) above maximum (\(range.upperBound)): \(part)")
                }
                if low > high {
                    throw FormatProblem("beginning of range (\(low)) beyond end of range (\(high)): \(part)")
                }
                run = low...high
            }
            var step = 1
            if pieces.count == 2 {
                guard let number = Int(pieces[1]) else { throw FormatProblem("failed to parse int from \(pieces[1])") }
                if number <= 0 { throw FormatProblem("step of range should be a positive number: \(part)") }
                step = number
            }
            values.formUnion(stride(from: run.lowerBound, through: run.upperBound, by: step))
        }
        return (values, hasStar)
    }

    private static func number(
        _ text: String, _ names: [String], _ range: ClosedRange<Int>
    ) throws(FormatProblem) -> Int {
        if let position = names.firstIndex(of: text.lowercased()) { return position + range.lowerBound }
        guard let number = Int(text), number >= 0 else { throw FormatProblem("failed to parse int from \(text)") }
        return number
    }

    /// Go's duration text, of hours, minutes and seconds.
    private static func seconds(_ text: String) -> Int64? {
        var total: Int64 = 0
        var digits = ""
        var isEmpty = true
        for character in text {
            if character.isNumber {
                digits.append(character)
                continue
            }
            guard let amount = Int64(digits), let unit = ["h": 3600, "m": 60, "s": 1][character].map(Int64.init) else {
                return nil
            }
            total += amount * unit
            digits = ""
            isEmpty = false
        }
        return digits.isEmpty && !isEmpty ? total : nil
    }

    /// The first moment after `moment` that the schedule names on a zone's clocks; nil when there is none within
    /// `horizonYears`.
    ///
    /// A time that the clocks skip in spring does not happen; one that they show twice in autumn happens the first
    /// time.
    func next(after moment: Timestamp, zone: CivilZone) -> Timestamp? {
        switch kind {
        case .every(let seconds):
            return Timestamp(secondsSinceEpoch: moment.secondsSinceEpoch + seconds)
        case .fields(let minutes, let hours, _, _, _, _):
            var local = moment.secondsSinceEpoch + Int64(zone.offsetSeconds(at: moment))
            local += 60 - (local % 60 + 60) % 60
            let hoursInOrder = hours.sorted()
            let minutesInOrder = minutes.sorted()
            var day = Self.floorDivide(local, 86_400)
            let lastDay = day + Int64(366 * Self.horizonYears)
            while day <= lastDay {
                if matches(day: day) {
                    for hour in hoursInOrder {
                        for minute in minutesInOrder {
                            let candidate = day * 86_400 + Int64(hour * 3600 + minute * 60)
                            if candidate < local { continue }
                            if let found = zone.moment(localSeconds: candidate), found > moment { return found }
                        }
                    }
                }
                day += 1
            }
            return nil
        }
    }

    /// The latest moment after `from` that is not after `now`; nil when there is none.
    func latest(after from: Timestamp, upTo now: Timestamp, zone: CivilZone) -> Timestamp? {
        if case .every(let seconds) = kind {
            let periods = (now.secondsSinceEpoch - from.secondsSinceEpoch) / seconds
            return periods < 1 ? nil : Timestamp(secondsSinceEpoch: from.secondsSinceEpoch + periods * seconds)
        }
        // Looks back twice as far each time, because a year may lie between `from` and `now`.
        var window = Duration.seconds(60)
        while true {
            let start = max(from, now - window)
            if var found = next(after: start, zone: zone), found <= now {
                while let later = next(after: found, zone: zone), later <= now { found = later }
                return found
            }
            if start == from { return nil }
            window = window * 2
        }
    }

    private func matches(day: Int64) -> Bool {
        guard case .fields(_, _, let days, let months, let weekdays, let either) = kind else { return false }
        let date = Timestamp(secondsSinceEpoch: day * 86_400).civilDate
        guard months.contains(date.month) else { return false }
        // 1970-01-01 was a Thursday.
        let weekday = Int(((day % 7) + 7 + 4) % 7)
        let (isDay, isWeekday) = (days.contains(date.day), weekdays.contains(weekday))
        return either ? isDay || isWeekday : isDay && isWeekday
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
    }
}
