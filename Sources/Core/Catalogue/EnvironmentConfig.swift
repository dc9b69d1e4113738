package import Credits

/// What a tenant has set for one of its environments. Nil is the default.
package struct EnvironmentConfig: Hashable, Sendable {
    /// Requests that each API node serves per second, 1 to 1,000,000; nil means without limit.
    package var rateLimitPerSecond: Int32?
    /// Milliseconds, 0 to 86,400,000: a node that has been without the database for longer refuses checks; nil means that
    /// it answers them from its memory however old that is.
    package var failClosedOverMilliseconds: Int32?
    /// What happens to a use that costs more than there is, for end users of whom nothing else is said; nil is `block`.
    package var overagePolicy: OveragePolicy?
    /// The most overage that an end user may have; nil means without limit.
    package var overageLimit: Millicredits?
    /// The IANA name of the zone whose days, weeks and months windows follow; nil is UTC.
    package var timeZone: String?
    /// What the clocks of `timeZone` show.
    package var zone: ZoneRules

    package init(
        rateLimitPerSecond: Int32? = nil, failClosedOverMilliseconds: Int32? = nil,
        overagePolicy: OveragePolicy? = nil, overageLimit: Millicredits? = nil, timeZone: String? = nil,
        zone: ZoneRules = .utc
    ) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.timeZone = timeZone
        self.zone = zone
    }

    package static let rateLimits: ClosedRange<Int64> = 1...1_000_000
    package static let failClosedLimits: ClosedRange<Int64> = 0...86_400_000
}

/// A change of an environment's configuration.
package struct ConfigChange: Hashable, Sendable {
    package var rateLimitPerSecond: FieldChange<Int32>
    package var failClosedOverMilliseconds: FieldChange<Int32>
    package var overagePolicy: FieldChange<OveragePolicy>
    package var overageLimit: FieldChange<Millicredits>
    /// The name of a time zone; whether there is one of that name is for the database to say.
    package var timeZone: FieldChange<String>

    package init(
        rateLimitPerSecond: FieldChange<Int32> = .keep, failClosedOverMilliseconds: FieldChange<Int32> = .keep,
        overagePolicy: FieldChange<OveragePolicy> = .keep, overageLimit: FieldChange<Millicredits> = .keep,
        timeZone: FieldChange<String> = .keep
    ) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.timeZone = timeZone
    }
}
