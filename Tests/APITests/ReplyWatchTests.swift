import Testing

@testable import API

@Suite("Lost replies") struct ReplyWatchTests {
    private let start = ContinuousClock.now

    /// Lets a number of periods pass, each with the same figures.
    private func outcomes(_ periods: [(arrived: Int, lost: Int)]) -> (reconnects: [Bool], losesMost: Bool) {
        var watch = ReplyWatch()
        var now = start
        var isEarly = watch.mustReconnect(at: now)
        let reconnects = periods.map { period in
            watch.arrived(period.arrived)
            for _ in 0..<period.lost { watch.foundLost() }
            isEarly = isEarly || watch.mustReconnect(at: now + .seconds(4))
            now += .seconds(5)
            return watch.mustReconnect(at: now)
        }
        #expect(!isEarly)
        return (reconnects, watch.losesMost)
    }

    @Test("Two periods in which most replies are lost make the gateway reconnect, and one does not")
    func twoBadPeriods() {
        #expect(outcomes([(0, 50)]) == ([false], true))
        #expect(outcomes([(0, 50), (0, 50)]) == ([false, true], true))
        #expect(outcomes([(0, 50), (9, 10), (0, 50), (0, 50)]) == ([false, true, false, true], true))
        #expect(outcomes([(0, 50), (50, 0), (0, 50)]) == ([false, false, false], true))
    }

    @Test("Few lost replies, and fewer than arrive, say nothing")
    func goodPeriods() {
        #expect(outcomes([(0, 9), (0, 9)]) == ([false, false], false))
        #expect(outcomes([(50, 50), (1_000, 400)]) == ([false, false], false))
        #expect(outcomes([(0, 50), (0, 50), (0, 0)]) == ([false, true, false], false))
    }
}
