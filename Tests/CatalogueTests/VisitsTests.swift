// For how long a consumer that polls is waited for.

import Testing

@testable import Catalogue

private let start = ContinuousClock.now

@Suite struct VisitsTests {
    private let usual: Duration = .seconds(30)

    /// How long the silence of a consumer that came at these seconds is believed to be a pause.
    private func patience(_ seconds: Double...) -> Double {
        var visits = Visits(first: start + .seconds(seconds[0]))
        for second in seconds.dropFirst() { visits.came(at: start + .seconds(second)) }
        var silence = 0.0
        while !visits.hasStopped(now: start + .seconds((seconds.last ?? 0) + silence), usual: usual) { silence += 0.5 }
        return silence - 0.5
    }

    @Test func asManyPausesAsMakeAHabitAreKnown() {
        #expect(patience(0, 5, 10, 15) == 15)
        #expect(patience(0, 20, 40, 60) == 60)
    }

    @Test func aUsualPauseIsAssumedUntilThen() {
        #expect(patience(0, 5) == 90)
        #expect(patience(0, 5, 10) == 90)
    }

    @Test func theLongestPauseCounts() {
        #expect(patience(0, 20, 40, 40.05) == 60)
        #expect(patience(0, 20, 20.05, 20.1) == 60)
        #expect(patience(0, 20, 20.05, 20.1, 20.15) == 10, "by then it has become a faster one")
    }

    @Test func patienceHasAFloorAndACeiling() {
        #expect(patience(0, 1, 2, 3) == 10)
        #expect(patience(0, 0.25, 0.5, 0.75) == 10)
        #expect(patience(0, 60, 120, 180) == 90)
    }

    @Test func whoSaysSoIsAConsumerAtOnce() {
        let visits = Visits(first: start, isDeclared: true)
        #expect(visits.isRegular)
        #expect(!visits.hasStopped(now: start + .seconds(89), usual: usual))
        #expect(visits.hasStopped(now: start + .seconds(91), usual: usual))
    }

    @Test func whoComesOnceIsNoConsumer() {
        var visits = Visits(first: start)
        #expect(!visits.isRegular)
        visits.came(at: start + .seconds(3))
        #expect(visits.isRegular)
    }
}
