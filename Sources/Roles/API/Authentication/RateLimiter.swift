import Catalogue
import Credits
import Synchronization

/// A token bucket that gains `rate` tokens a second and holds at most one second's worth, so that unused tokens cannot
/// be saved up.
///
/// The arithmetic uses whole numbers: the level is in billionths of a token and rises by `rate` with every nanosecond.
struct TokenBucket: Sendable {
    private static let token: Int64 = 1_000_000_000

    /// In billionths of a token.
    private var level: Int64
    private var filledAt: ContinuousClock.Instant

    /// A full bucket.
    init(rate: Int64, at now: ContinuousClock.Instant) {
        level = rate * Self.token
        filledAt = now
    }

    /// Takes a token if there is one.
    ///
    /// - Parameters:
    ///   - rate: Tokens a second, 1 to 1,000,000. It may differ from call to call; the latest rate bounds the level.
    ///   - now: An instant before that of an earlier call counts as the earlier call's instant.
    mutating func take(rate: Int64, at now: ContinuousClock.Instant) -> Bool {
        if now > filledAt {
            let elapsed = min(now - filledAt, .seconds(1)).components
            level += (elapsed.seconds * 1_000_000_000 + elapsed.attoseconds / 1_000_000_000) * rate
            filledAt = now
        }
        level = min(level, rate * Self.token)
        guard level >= Self.token else { return false }
        level -= Self.token
        return true
    }
}

/// Limits the requests of each environment with a rate limit, on this node.
final class RateLimiter: Sendable {
    /// One bucket for each environment that ever sent a request under a limit.
    private let buckets = Mutex<[EnvironmentID: TokenBucket]>([:])

    /// Takes a token of the caller's environment if it has a limit, and returns whether the request may pass.
    func admits(_ caller: Caller) -> Bool {
        guard let limit = caller.config.effectiveRateLimit else { return true }
        return admits(caller.environmentID, rate: Int64(limit), at: .now)
    }

    /// Takes a token if there is one, and returns whether the request may pass.
    func admits(_ environmentID: EnvironmentID, rate: Int64, at now: ContinuousClock.Instant) -> Bool {
        buckets.withLock { buckets in
            buckets[environmentID, default: TokenBucket(rate: rate, at: now)].take(rate: rate, at: now)
        }
    }
}
