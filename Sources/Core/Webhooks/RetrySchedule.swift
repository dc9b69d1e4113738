package import Credits

/// When a delivery that has failed is attempted again.
package struct RetrySchedule: Hashable, Sendable {
    /// Seconds between one failure and the next attempt, in order. A delivery whose attempts have all failed is exhausted.
    package static let seconds: [Int64] = [5, 60, 300, 1_800, 7_200, 28_800, 86_400]
    /// The largest delay that a `Retry-After` of the receiver can ask for.
    package static let longestRetryAfter: Int64 = 86_400

    /// The largest deviation from the schedule, as a share of a delay; 0 is for tests.
    package let jitter: Double

    package init(jitter: Double = 0.2) {
        self.jitter = jitter
    }

    /// The instant of the next attempt; nil when there is none.
    ///
    /// - Parameters:
    ///   - attempts: The number of attempts of the delivery so far, the failed one included.
    ///   - retryAfter: The seconds that the receiver has asked for. The delay is the longer one of both, within a day.
    ///   - chance: A random number from 0 to 1, which chooses the deviation.
    package func next(
        afterAttempts attempts: Int, failedAt now: Instant, retryAfter: Int64? = nil, chance: Double
    ) -> Instant? {
        guard attempts >= 1, attempts <= Self.seconds.count else { return nil }
        let planned = Double(Self.seconds[attempts - 1] * 1_000_000) * (1 + jitter * (2 * chance - 1))
        let asked = min(max(0, retryAfter ?? 0), Self.longestRetryAfter) * 1_000_000
        return Instant(microseconds: now.microseconds + max(Int64(planned), asked))
    }
}

extension RetrySchedule {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The seconds that a header `Retry-After` asks for: a number of seconds, or a date in the form of RFC 9110, section
    /// 5.6.7, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    ///
    /// - Returns: Nil for any other text; a negative number for a date that has passed.
    package static func seconds(ofRetryAfter text: String, at now: Instant) -> Int64? {
        if let seconds = Int64(text) { return seconds }
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(where: { $0 == parts[2] }),
            let date = Instant(
                rfc3339: "\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
        else { return nil }
        return Int64((Double(date.microseconds - now.microseconds) / 1e6).rounded(.up))
    }
}

/// Pauses the attempts of an endpoint that fails again and again, so that it costs few attempts until it recovers.
package struct Circuit: Hashable, Sendable {
    /// Failures in a row after which the circuit opens.
    package static let failuresToOpen = 5
    package static let firstPauseSeconds: Int64 = 5
    package static let longestPauseSeconds: Int64 = 300

    /// The number of failures since the last success.
    package private(set) var failures: Int
    /// How often the circuit has opened since the last success.
    package private(set) var openings: Int
    /// True when attempts must stop until the pause is over.
    package private(set) var isOpen = false

    /// The circuit of an endpoint whose pause is over, with the numbers that were stored.
    package init(failures: Int, openings: Int) {
        self.failures = failures
        self.openings = openings
    }

    /// The attempts that may be under way at once: one, while nobody knows whether the endpoint has recovered.
    package var attemptsAtOnce: Int {
        if isOpen { return 0 }
        return openings > 0 ? 1 : WebhookLimits.attemptsAtOnce
    }

    package mutating func succeeded() {
        self = Circuit(failures: 0, openings: 0)
    }

    package mutating func failed() {
        failures += 1
        guard !isOpen, openings > 0 || failures >= Self.failuresToOpen else { return }
        isOpen = true
        openings += 1
    }

    /// The seconds of the pause after an opening: 5, 10, 20 … up to 300.
    package var pauseSeconds: Int64 {
        openings == 0 ? 0 : min(Self.firstPauseSeconds << Int64(min(openings - 1, 16)), Self.longestPauseSeconds)
    }
}
