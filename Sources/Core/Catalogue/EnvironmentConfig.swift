package import Credits

/// The configuration of one environment. Nil means the default.
package struct EnvironmentConfig: Hashable, Sendable {
    /// Requests that each API node serves per second, 1 to 1,000,000; nil means no limit.
    package var rateLimitPerSecond: Int32?
    /// The operator's limit, in the same unit. The tenant does not see it.
    package var operatorRateLimit: Int32?
    /// Milliseconds, 0 to 86,400,000. A node that has been without the database for longer refuses checks; nil means
    /// that it answers from its memory, however old.
    package var failClosedOverMilliseconds: Int32?
    /// The overage policy of end users that have none of their own; nil means `block`.
    package var overagePolicy: OveragePolicy?
    /// The largest overage of an end user that has no limit of its own; nil means no limit.
    package var overageLimit: Millicredits?
    /// The way in which end users come into being; nil means `implicit`.
    package var createEndUsers: EndUserCreation?
    /// The variant on which an end user starts who is seen for the first time; nil means none. Its plan is of slot `base`.
    package var defaultVariantID: PublicID?
    /// The variant to which an end user falls back from a subscription whose variant names none; nil means none. It is
    /// used only for subscriptions of its plan's slot.
    package var fallbackVariantID: PublicID?
    /// The levels of the effective balance below which the tenant is told that it is low, for end users that have none of
    /// their own; nil means none.
    package var balanceLowThresholds: [BalanceThreshold]?
    /// The hours before an expiry at which the tenant is told of it; nil means 72.
    package var expiringSoonHours: Int32?
    /// The types of events that the accounts record; nil means all but `credits.used`.
    package var recordedEventTypes: EventTypes?
    /// The IANA name of the time zone that the days, weeks and months of windows follow; nil means UTC.
    package var timeZone: String?
    /// The rules of `timeZone`.
    package var zone: ZoneRules

    package init(
        rateLimitPerSecond: Int32? = nil, operatorRateLimit: Int32? = nil, failClosedOverMilliseconds: Int32? = nil,
        overagePolicy: OveragePolicy? = nil, overageLimit: Millicredits? = nil,
        createEndUsers: EndUserCreation? = nil, defaultVariantID: PublicID? = nil, fallbackVariantID: PublicID? = nil,
        balanceLowThresholds: [BalanceThreshold]? = nil, expiringSoonHours: Int32? = nil,
        recordedEventTypes: EventTypes? = nil, timeZone: String? = nil, zone: ZoneRules = .utc
    ) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.operatorRateLimit = operatorRateLimit
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.createEndUsers = createEndUsers
        self.defaultVariantID = defaultVariantID
        self.fallbackVariantID = fallbackVariantID
        self.balanceLowThresholds = balanceLowThresholds
        self.expiringSoonHours = expiringSoonHours
        self.recordedEventTypes = recordedEventTypes
        self.timeZone = timeZone
        self.zone = zone
    }

    /// The limit in force: the lower one of the tenant's and the operator's.
    package var effectiveRateLimit: Int32? {
        guard let operatorRateLimit else { return rateLimitPerSecond }
        return min(rateLimitPerSecond ?? operatorRateLimit, operatorRateLimit)
    }

    /// The policy in force for end users that have none of their own.
    package var effectiveOveragePolicy: OveragePolicy { overagePolicy ?? .block }

    /// The way in force in which end users come into being.
    package var effectiveEndUserCreation: EndUserCreation { createEndUsers ?? .implicit }

    /// The types of events in force.
    package var effectiveEventTypes: EventTypes { recordedEventTypes ?? .usual }

    /// The lead in force, with which the tenant is told of an expiry.
    package var effectiveExpiringSoonHours: Int32 { expiringSoonHours ?? Self.usualExpiringSoonHours }

    /// The time zone in force.
    package var effectiveTimeZone: String { timeZone ?? "UTC" }

    package static let rateLimits: ClosedRange<Int64> = 1...1_000_000
    package static let usualExpiringSoonHours: Int32 = 72
    /// At most a leap year.
    package static let expiringSoonLeads: ClosedRange<Int64> = 1...8_784
    package static let failClosedLimits: ClosedRange<Int64> = 0...86_400_000
}

/// The way in which the end users of an environment come into being.
package enum EndUserCreation: String, Sendable, CaseIterable {
    /// The first mutation that names an end user creates it.
    case implicit
    /// Only `POST /v1/end-users` creates an end user, and every other mutation of an unknown one is refused.
    case explicit
}

/// A change of an environment's configuration.
package struct ConfigChange: Hashable, Sendable {
    package var rateLimitPerSecond: FieldChange<Int32>
    package var failClosedOverMilliseconds: FieldChange<Int32>
    package var overagePolicy: FieldChange<OveragePolicy>
    package var overageLimit: FieldChange<Millicredits>
    package var createEndUsers: FieldChange<EndUserCreation>
    package var defaultVariant: FieldChange<VariantName>
    package var fallbackVariant: FieldChange<VariantName>
    package var balanceLowThresholds: FieldChange<[BalanceThreshold]>
    package var expiringSoonHours: FieldChange<Int32>
    package var recordedEventTypes: FieldChange<EventTypes>
    /// The name of a time zone. The database decides whether it exists.
    package var timeZone: FieldChange<String>

    package init(
        rateLimitPerSecond: FieldChange<Int32> = .keep, failClosedOverMilliseconds: FieldChange<Int32> = .keep,
        overagePolicy: FieldChange<OveragePolicy> = .keep, overageLimit: FieldChange<Millicredits> = .keep,
        createEndUsers: FieldChange<EndUserCreation> = .keep, defaultVariant: FieldChange<VariantName> = .keep,
        fallbackVariant: FieldChange<VariantName> = .keep,
        balanceLowThresholds: FieldChange<[BalanceThreshold]> = .keep, expiringSoonHours: FieldChange<Int32> = .keep,
        recordedEventTypes: FieldChange<EventTypes> = .keep, timeZone: FieldChange<String> = .keep
    ) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.createEndUsers = createEndUsers
        self.defaultVariant = defaultVariant
        self.fallbackVariant = fallbackVariant
        self.balanceLowThresholds = balanceLowThresholds
        self.expiringSoonHours = expiringSoonHours
        self.recordedEventTypes = recordedEventTypes
        self.timeZone = timeZone
    }
}
