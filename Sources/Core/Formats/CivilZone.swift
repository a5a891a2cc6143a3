// A region's clocks: what they show at a moment, and at which moment they show a time.

import Foundation

/// A time zone of the IANA database, like `Europe/Berlin`.
package struct CivilZone: Sendable, Hashable {
    package static let utc = CivilZone(zone: .gmt)

    private let zone: TimeZone

    private init(zone: TimeZone) { self.zone = zone }

    /// Names of the database without a region: of countries, and of rules that are older than regions.
    private static let plainNames: Set<String> = [
        "CET", "CST6CDT", "Cuba", "EET", "EST", "EST5EDT", "Egypt", "Eire", "GB", "GB-Eire", "GMT+0", "GMT-0", "GMT0",
        "Greenwich",
        "HST", "Hongkong", "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein", "Libya", "MET", "MST",
        "MST7MDT", "NZ",
        "NZ-CHAT", "Navajo", "PRC", "PST8PDT", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "UCT",
        "Universal", "W-SU",
        "WET", "Zulu",
    ]

    /// Nil for a name that the database does not have. The empty name is no zone, and abbreviations are none.
    package init?(named name: String) {
        if name == "UTC" || name == "Etc/UTC" || name == "GMT" {
            self = .utc
            return
        }
        guard name.contains("/") || Self.plainNames.contains(name), let zone = TimeZone(identifier: name) else {
            return nil
        }
        self.zone = zone
    }

    package static func == (left: CivilZone, right: CivilZone) -> Bool { left.zone == right.zone }

    /// Seconds that the clocks are ahead of UTC.
    package func offsetSeconds(at moment: Timestamp) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(moment.secondsSinceEpoch)))
    }

    /// The first moment at which the clocks show this many seconds since 1970-01-01T00:00; nil for a time they skip.
    package func moment(localSeconds: Int64) -> Timestamp? {
        // Around a change two offsets are possible; the larger one gives the earlier moment.
        let before = offsetSeconds(at: Timestamp(secondsSinceEpoch: localSeconds - 86_400))
        let after = offsetSeconds(at: Timestamp(secondsSinceEpoch: localSeconds + 86_400))
        for offset in [max(before, after), min(before, after)] {
            let moment = Timestamp(secondsSinceEpoch: localSeconds - Int64(offset))
            if offsetSeconds(at: moment) == offset { return moment }
        }
        return nil
    }

    /// RFC 3339 with the zone's offset: `2025-06-01T10:30:00+02:00`.
    package func rfc3339(_ moment: Timestamp) -> String {
        let offset = offsetSeconds(at: moment)
        if offset == 0 { return moment.rfc3339 }
        let local = Timestamp(secondsSinceEpoch: moment.secondsSinceEpoch + Int64(offset)).rfc3339.dropLast()
        let minutes = abs(offset) / 60
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(local)\(offset < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
    }
}
