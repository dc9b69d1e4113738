package import Logging

/// Repeats work that fails while a server is unavailable, and logs an outage once: its first failure, and the recovery.
package struct Retry: Sendable {
    private let pause: Duration
    private let longestPause: Duration
    private let isSpread: Bool
    private let logger: Logger
    private let level: Logger.Level
    private let failure: String
    private let recovery: String?

    /// - Parameters:
    ///   - pause: The pause between two attempts.
    ///   - longestPause: The pause doubles with every failure up to this limit; nil keeps it constant.
    ///   - isSpread: Shortens each pause at random by up to a half, so that many processes do not return at one instant.
    ///   - failure: The log line of the first failure, which the error follows.
    ///   - recovery: The log line when the work succeeds again; nil writes none.
    package init(
        pause: Duration, longestPause: Duration? = nil, isSpread: Bool = false, logger: Logger,
        level: Logger.Level = .warning, failure: String, recovery: String? = nil
    ) {
        self.pause = pause
        self.longestPause = longestPause ?? pause
        self.isSpread = isSpread
        self.logger = logger
        self.level = level
        self.failure = failure
        self.recovery = recovery
    }

    /// Repeats work until the task is cancelled. Work that returns is repeated like work that fails, but is not logged.
    ///
    /// - Parameters:
    ///   - work: Calls its argument when it has succeeded, as often as it likes. Each call ends the outage before it.
    ///   - afterFailure: Called each time the work has ended, before the pause.
    package func untilCancelled(
        isolation: isolated (any Actor)? = #isolation, _ work: (_ succeeded: () -> Void) async throws -> Void,
        afterFailure: () -> Void = {}
    ) async {
        var outage = Outage(self)
        while !Task.isCancelled {
            do {
                try await work { outage.end() }
            } catch {
                if Task.isCancelled { return }
                outage.note(error)
            }
            afterFailure()
            try? await Task.sleep(for: outage.nextPause())
        }
    }

    /// Repeats work until it succeeds.
    ///
    /// - Parameter mayRepeat: Called after each failure with the time to wait. It waits and returns whether to try
    ///   again.
    /// - Throws: The latest failure, when `mayRepeat` returns false.
    package func untilSuccess<Value>(
        isolation: isolated (any Actor)? = #isolation, mayRepeat: (Duration) async -> Bool,
        _ work: () async throws -> Value
    ) async throws -> Value {
        var outage = Outage(self)
        while true {
            do {
                let value = try await work()
                outage.end()
                return value
            } catch {
                outage.note(error)
                guard await mayRepeat(outage.nextPause()) else { throw error }
            }
        }
    }

    /// The failures since the last success.
    private struct Outage {
        private let retry: Retry
        private var isUnderWay = false
        private var pause: Duration

        init(_ retry: Retry) {
            self.retry = retry
            pause = retry.pause
        }

        mutating func note(_ error: any Error) {
            if !isUnderWay { retry.logger.log(level: retry.level, "\(retry.failure): \(error)") }
            isUnderWay = true
        }

        mutating func end() {
            if isUnderWay, let recovery = retry.recovery { retry.logger.info("\(recovery)") }
            isUnderWay = false
            pause = retry.pause
        }

        mutating func nextPause() -> Duration {
            defer { pause = min(pause * 2, retry.longestPause) }
            return retry.isSpread ? pause * Double.random(in: 0.5...1) : pause
        }
    }
}
