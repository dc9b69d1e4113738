/// What a tenant has set for one of its environments. Nil is the default.
package struct EnvironmentConfig: Hashable, Sendable {
    /// Requests that each API node serves per second, 1 to 1,000,000; nil means without limit.
    package var rateLimitPerSecond: Int32?
    /// Milliseconds, 0 to 86,400,000: a node that has been without the database for longer refuses checks; nil means that
    /// it answers them from its memory however old that is.
    package var failClosedOverMilliseconds: Int32?

    package init(rateLimitPerSecond: Int32? = nil, failClosedOverMilliseconds: Int32? = nil) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
    }

    package static let rateLimits: ClosedRange<Int64> = 1...1_000_000
    package static let failClosedLimits: ClosedRange<Int64> = 0...86_400_000
}
