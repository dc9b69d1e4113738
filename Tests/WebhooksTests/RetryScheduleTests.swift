import Credits
import Testing

@testable import Webhooks

@Suite("Retry schedule")
struct RetryScheduleTests {
    @Test("without jitter a delivery is attempted 5 s, 1 min, 5 min, 30 min, 2 h, 8 h and 24 h after each failure")
    func toTheSecond() {
        let schedule = RetrySchedule(jitter: 0)
        var now = Instant(microseconds: 1_700_000_000_000_000)
        var delays: [Int64] = []
        for attempts in 1...10 {
            guard let next = schedule.next(afterAttempts: attempts, failedAt: now, chance: 0.7) else { break }
            #expect((next.microseconds - now.microseconds) % 1_000_000 == 0)
            delays.append((next.microseconds - now.microseconds) / 1_000_000)
            now = next
        }
        #expect(delays == [5, 60, 300, 1_800, 7_200, 28_800, 86_400])
        #expect(delays.reduce(0, +) == 124_565)
    }

    @Test("jitter moves an attempt by a fifth of the delay at most, in both directions", arguments: 1...7)
    func jitter(attempts: Int) throws {
        let now = Instant(microseconds: 1_700_000_000_000_000)
        let planned = RetrySchedule.seconds[attempts - 1] * 1_000_000
        func delay(_ chance: Double) throws -> Int64 {
            let next = RetrySchedule().next(afterAttempts: attempts, failedAt: now, chance: chance)
            return try #require(next).microseconds - now.microseconds
        }
        #expect(try delay(0) == planned * 8 / 10)
        #expect(try delay(0.5) == planned)
        #expect(try delay(1) == planned * 12 / 10)
    }

    @Test("a Retry-After makes a delay longer and never shorter, up to a day")
    func retryAfter() throws {
        let now = Instant(microseconds: 0)
        func delay(_ attempts: Int, _ seconds: Int64?) -> Int64? {
            RetrySchedule(jitter: 0).next(
                afterAttempts: attempts, failedAt: now, retryAfter: seconds, chance: 0
            ).map { $0.microseconds / 1_000_000 }
        }
        #expect(delay(1, nil) == 5)
        #expect(delay(1, 2) == 5)
        #expect(delay(1, 90) == 90)
        #expect(delay(2, -7) == 60)
        #expect(delay(1, .max) == 86_400)
        #expect(delay(7, 100) == 86_400)
        #expect(delay(8, 100) == nil)
    }

    @Test(
        "a Retry-After is a number of seconds or a date; anything else asks for nothing",
        arguments: [
            ("120", 120), ("-3", -3), ("Thu, 01 Jan 1970 00:02:00 GMT", 120), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:00 GMT", -60), ("Tue, 05 Jan 1971 00:00:00 GMT", 31_881_600), ("", nil),
            ("soon", nil), ("1.5", nil), ("Thu, 01 Jan 1970 00:02:00", nil), ("Thu, 01 Foo 1970 00:02:00 GMT", nil),
            ("Thu, 41 Jan 1970 00:02:00 GMT", nil), ("Thursday, 01-Jan-70 00:02:00 GMT", nil),
        ] as [(String, Int64?)])
    func retryAfterTexts(_ text: String, _ seconds: Int64?) {
        #expect(RetrySchedule.seconds(ofRetryAfter: text, at: Instant(microseconds: 0)) == seconds)
    }

    @Test("the circuit opens after five failures in a row, and lets one attempt through after each longer pause")
    func circuit() {
        var circuit = Circuit(failures: 0, openings: 0)
        for _ in 0..<4 { circuit.failed() }
        #expect(!circuit.isOpen && circuit.attemptsAtOnce == WebhookLimits.attemptsAtOnce)
        circuit.succeeded()
        for _ in 0..<5 { circuit.failed() }
        #expect(circuit.isOpen && circuit.attemptsAtOnce == 0 && circuit.pauseSeconds == 5)
        // Attempts that were under way at the opening fail too. They do not make the pause longer.
        circuit.failed()
        #expect(circuit.pauseSeconds == 5 && circuit.failures == 6)
        var pauses: [Int64] = []
        for _ in 0..<8 {
            circuit = Circuit(failures: circuit.failures, openings: circuit.openings)
            #expect(circuit.attemptsAtOnce == 1)
            circuit.failed()
            pauses.append(circuit.pauseSeconds)
        }
        #expect(pauses == [10, 20, 40, 80, 160, 300, 300, 300])
        circuit.succeeded()
        #expect(circuit == Circuit(failures: 0, openings: 0))
    }
}
