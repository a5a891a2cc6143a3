// RFC 3339 there and back.

import Formats
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0, 0), ("2024-02-29T12:00:00Z", 1_709_208_000, 0),
            ("2024-02-29T20:00:00+08:00", 1_709_208_000, 0), ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800, 0), ("1900-03-01T00:00:00Z", -2_203_891_200, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 0), ("2024-01-01T00:00:00.1234567899Z", 1_704_067_200, 123_456_789),
        ] as [(String, Int64, Int32)])
    func parses(text: String, seconds: Int64, nanoseconds: Int32) {
        #expect(Timestamp(rfc3339: text) == Timestamp(secondsSinceEpoch: seconds, nanoseconds: nanoseconds))
    }

    @Test(arguments: [
        "", "2024-01-01", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00",
        "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx",
    ])
    func refuses(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func prints() {
        let moment = Timestamp(secondsSinceEpoch: 1_709_208_001, nanoseconds: 1_234_567)
        #expect(moment.rfc3339 == "2024-02-29T12:00:01Z")
        #expect(moment.rfc3339Micro == "2024-02-29T12:00:01.001234Z")
        #expect(moment.rfc3339Nano == "2024-02-29T12:00:01.001234567Z")
        #expect(Timestamp(secondsSinceEpoch: -62_135_596_800).rfc3339 == "0001-01-01T00:00:00Z")
    }

    @Test func countsDaysWithoutGaps() {
        var previous = Timestamp(secondsSinceEpoch: -86_400 * 200_000)
        for _ in 0..<2000 {
            let next = previous + .seconds(86_400 * 199)
            #expect(Timestamp(rfc3339: next.rfc3339) == next)
            #expect(next - previous == .seconds(86_400 * 199))
            previous = next
        }
    }

    @Test func addsAcrossTheSecond() {
        let moment = Timestamp(secondsSinceEpoch: 10, nanoseconds: 900_000_000)
        #expect(moment + .milliseconds(200) == Timestamp(secondsSinceEpoch: 11, nanoseconds: 100_000_000))
        #expect(moment - .milliseconds(950) == Timestamp(secondsSinceEpoch: 9, nanoseconds: 950_000_000))
    }
}
