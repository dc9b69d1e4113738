import Credits
import Synchronization

/// So many tokens a second, and one second's worth of them at most: what is not used now cannot be saved for later.
///
/// Whole numbers only: a level in billionths of a token rises by the rate with every nanosecond.
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
    ///   - rate: Tokens a second, 1 to 1,000,000. It may differ from call to call; a full bucket is measured by the latest.
    ///   - now: A time before that of an earlier call counts as that.
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

/// Bounds the requests of each environment that has a limit, on this node.
final class RateLimiter: Sendable {
    /// One for each environment that was ever limited.
    private let buckets = Mutex<[EnvironmentID: TokenBucket]>([:])

    /// Whether a request may pass.
    func admits(_ environmentID: EnvironmentID, rate: Int64, at now: ContinuousClock.Instant) -> Bool {
        buckets.withLock { buckets in
            buckets[environmentID, default: TokenBucket(rate: rate, at: now)].take(rate: rate, at: now)
        }
    }
}
