/// How often a request is sent again, and how long it waits before that.
///
/// Sending a batch again is safe because every event in it has an idempotency key.
package struct RetryPolicy: Sendable, Equatable {
    /// How often a batch is sent at most, the first time included.
    package var maximumAttempts: Int
    /// The wait before the second attempt; it doubles with each further one.
    package var firstDelay: Duration
    package var maximumDelay: Duration
    /// The longest `Retry-After` that is waited for. A server that asks for more ends the run.
    package var maximumRetryAfter: Duration

    /// The defaults wait 0.25, 0.5, 1, 2, 4, 8 and 15 s: half a minute in all, longer than a restart takes.
    package init(
        maximumAttempts: Int = 8, firstDelay: Duration = .milliseconds(250), maximumDelay: Duration = .seconds(15),
        maximumRetryAfter: Duration = .seconds(120)
    ) {
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.maximumRetryAfter = maximumRetryAfter
    }

    /// The wait after a number of failed attempts; nil when there shall be no further one.
    ///
    /// - Parameters:
    ///   - retryAfter: What the server asked for; it replaces the policy's own delay.
    ///   - randomness: 0 to 1. Shortens the policy's own delay to as little as a half, so that requests which failed
    ///     together do not return together.
    func delay(afterAttempts attempts: Int, retryAfter: Duration?, randomness: Double) -> Duration? {
        guard attempts < maximumAttempts else { return nil }
        if let retryAfter { return retryAfter > maximumRetryAfter ? nil : retryAfter }
        var delay = firstDelay
        for _ in 1..<attempts where delay < maximumDelay { delay *= 2 }
        return min(delay, maximumDelay) * (1 - 0.5 * randomness)
    }
}
