/// The number of attempts of a request, and the delays between them.
///
/// Sending a batch again is safe because every event in it has an idempotency key.
package struct RetryPolicy: Sendable, Equatable {
    /// The maximum number of attempts, including the first.
    package var maximumAttempts: Int
    /// The delay before the second attempt; it doubles with each further attempt.
    package var firstDelay: Duration
    package var maximumDelay: Duration
    /// The longest `Retry-After` that a run waits for. A longer one ends the run.
    package var maximumRetryAfter: Duration

    /// The default delays are 0.25, 0.5, 1, 2, 4, 8 and 15 s: half a minute in all, longer than a restart takes.
    package init(
        maximumAttempts: Int = 8, firstDelay: Duration = .milliseconds(250), maximumDelay: Duration = .seconds(15),
        maximumRetryAfter: Duration = .seconds(120)
    ) {
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.maximumRetryAfter = maximumRetryAfter
    }

    /// The delay after a number of failed attempts; nil when there is to be no further attempt.
    ///
    /// - Parameters:
    /// - retryAfter: The delay that the server asked for; it replaces the policy's own delay.
    /// - randomness: 0 to 1. It shortens the policy's own delay by up to a half, so that requests that failed together
    ///   are not repeated together.
    func delay(afterAttempts attempts: Int, retryAfter: Duration?, randomness: Double) -> Duration? {
        guard attempts < maximumAttempts else { return nil }
        if let retryAfter { return retryAfter > maximumRetryAfter ? nil : retryAfter }
        var delay = firstDelay
        for _ in 1..<attempts where delay < maximumDelay { delay *= 2 }
        return min(delay, maximumDelay) * (1 - 0.5 * randomness)
    }
}
