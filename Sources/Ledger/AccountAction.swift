package import Credits

/// What a command asks of one account. Shapes were checked at the edge; what depends on state or on the clock is decided here.
package enum AccountAction: Hashable, Sendable {
    case grant(Grant)
    case use(UsageEvent)
    case createEndUser(EndUserChange)
    case updateEndUser(EndUserChange)
    /// Only brings the account to the present.
    case advance
}

/// Credits to hand out as one block.
package struct Grant: Hashable, Sendable {
    /// Above zero.
    package var credits: Millicredits
    package var source: BlockSource
    /// Nil takes the source's default.
    package var priority: Int16?
    package var expiry: Expiry
    /// Empty means all features.
    package var featureKeys: [FeatureKey]
    package var reason: String?
    package var metadata: Metadata?

    package enum Expiry: Hashable, Sendable {
        case never
        case at(Instant)
        case after(CalendarDuration)
    }

    package init(
        credits: Millicredits, source: BlockSource = .promotional, priority: Int16? = nil, expiry: Expiry = .never,
        featureKeys: [FeatureKey] = [], reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.source = source
        self.priority = priority
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.reason = reason
        self.metadata = metadata
    }
}

/// One metered event.
package struct UsageEvent: Hashable, Sendable {
    /// How far back an event may have occurred.
    package static let maximumAgeSeconds: Int64 = 35 * 86_400
    /// How far ahead of the database's clock the tenant's clock may be.
    package static let maximumLeadSeconds: Int64 = 5 * 60

    package var featureKey: FeatureKey
    /// Non-negative.
    package var units: Int64
    /// Nil means when the ledger applies it.
    package var occurredAt: Instant?
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, units: Int64, occurredAt: Instant? = nil, metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.units = units
        self.occurredAt = occurredAt
        self.metadata = metadata
    }
}

/// What an end user's profile shall say; a field that is not given stays as it is.
package struct EndUserChange: Hashable, Sendable {
    package var name: FieldChange<String>
    package var metadata: FieldChange<Metadata>

    package init(name: FieldChange<String> = .keep, metadata: FieldChange<Metadata> = .keep) {
        self.name = name
        self.metadata = metadata
    }
}

/// What is recorded about an end user beside the credits.
package struct EndUserProfile: Hashable, Sendable {
    package internal(set) var name: String?
    package internal(set) var metadata: Metadata?
    package let createdAt: Instant
    package internal(set) var updatedAt: Instant

    package init(name: String?, metadata: Metadata?, createdAt: Instant, updatedAt: Instant) {
        self.name = name
        self.metadata = metadata
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    mutating func apply(_ change: EndUserChange, now: Instant) {
        name = change.name.applied(to: name)
        metadata = change.metadata.applied(to: metadata)
        updatedAt = now
    }
}
