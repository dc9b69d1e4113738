package import Credits
package import Metering

/// What a command asks of one account. Shapes were checked at the edge; what depends on state or on the clock is decided here.
package enum AccountAction: Hashable, Sendable {
    case grant(Grant)
    case topUp(TopUp)
    case use(UsageEvent)
    case refund(Refund)
    case revoke(Revocation)
    case adjust(Adjustment)
    /// Applied to the sender; the receiver is locked with it.
    case transfer(Transfer)
    case reserve(ReservationRequest)
    /// An action on a reservation, by its number.
    case reservation(Int32, ReservationAction)
    case createSpendCap(NewSpendCap)
    /// By its number.
    case deleteSpendCap(Int32)
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
    package var payment: Payment?
    package var reason: String?
    package var metadata: Metadata?

    package enum Expiry: Hashable, Sendable {
        case never
        case at(Instant)
        case after(CalendarDuration)
    }

    package init(
        credits: Millicredits, source: BlockSource = .promotional, priority: Int16? = nil, expiry: Expiry = .never,
        featureKeys: [FeatureKey] = [], payment: Payment? = nil, reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.source = source
        self.priority = priority
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.payment = payment
        self.reason = reason
        self.metadata = metadata
    }
}

/// Credits that were bought.
package struct TopUp: Hashable, Sendable {
    package enum Credits: Hashable, Sendable {
        /// Above zero.
        case amount(Millicredits)
        case package(PackageKey)
    }

    package var credits: Credits
    /// Its price and currency default to the package's.
    package var payment: Payment
    /// What the request asked for, as a number: another request with the same external id is a conflict. It means nothing
    /// without an external id.
    package var fingerprint: Bits128
    /// Nil takes the package's, or the default of top-ups.
    package var priority: Int16?
    /// Nil takes the package's, or never.
    package var expiry: Grant.Expiry?
    package var featureKeys: [FeatureKey]
    package var reason: String?
    package var metadata: Metadata?

    package init(
        credits: Credits, payment: Payment = Payment(), fingerprint: Bits128 = Bits128(high: 0, low: 0),
        priority: Int16? = nil, expiry: Grant.Expiry? = nil, featureKeys: [FeatureKey] = [], reason: String? = nil,
        metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.payment = payment
        self.fingerprint = fingerprint
        self.priority = priority
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.reason = reason
        self.metadata = metadata
    }
}

/// Credits to give back for a use or a commit.
package struct Refund: Hashable, Sendable {
    package enum Extent: Hashable, Sendable {
        /// All that is left of the charge.
        case rest
        /// Above zero.
        case units(Int64)
        /// Above zero.
        case credits(Millicredits)
    }

    /// The account that the charge's id names; another end user's charge is not found.
    package var account: AccountID
    /// The sequence of the charge's entry.
    package var charge: Int64
    package var extent: Extent
    /// When a compensation block expires; nil means 30 days from now.
    package var compensationExpiry: Grant.Expiry?
    package var reason: String?
    package var metadata: Metadata?

    package static let compensationSeconds: Int64 = 30 * 86_400

    package init(
        account: AccountID, charge: Int64, extent: Extent = .rest, compensationExpiry: Grant.Expiry? = nil,
        reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.account = account
        self.charge = charge
        self.extent = extent
        self.compensationExpiry = compensationExpiry
        self.reason = reason
        self.metadata = metadata
    }
}

/// The unspent part of a block to take back.
package struct Revocation: Hashable, Sendable {
    package var block: Int32
    package var reason: String?
    package var metadata: Metadata?

    package init(block: Int32, reason: String? = nil, metadata: Metadata? = nil) {
        self.block = block
        self.reason = reason
        self.metadata = metadata
    }
}

/// A correction by hand, up or down; never zero.
package struct Adjustment: Hashable, Sendable {
    package var amount: Millicredits
    package var reason: String?
    package var metadata: Metadata?

    package init(amount: Millicredits, reason: String? = nil, metadata: Metadata? = nil) {
        self.amount = amount
        self.reason = reason
        self.metadata = metadata
    }
}

/// Credits to move to another end user of the environment.
package struct Transfer: Hashable, Sendable {
    /// Never the sender.
    package var receiver: EndUserID
    /// Above zero.
    package var credits: Millicredits
    package var reason: String?
    package var metadata: Metadata?

    package init(receiver: EndUserID, credits: Millicredits, reason: String? = nil, metadata: Metadata? = nil) {
        self.receiver = receiver
        self.credits = credits
        self.reason = reason
        self.metadata = metadata
    }
}

/// Credits to put aside for a job.
package struct ReservationRequest: Hashable, Sendable {
    package var featureKey: FeatureKey
    package var estimate: Demand
    /// Within `Reservation.ttlSeconds`.
    package var ttlSeconds: Int64
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, estimate: Demand, ttlSeconds: Int64 = Reservation.defaultTTLSeconds,
        metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.estimate = estimate
        self.ttlSeconds = ttlSeconds
        self.metadata = metadata
    }
}

/// What to do with a reservation.
package enum ReservationAction: Hashable, Sendable {
    /// Ends the job with what it really took; a nil shortfall takes the overage policy's default.
    case commit(Demand, shortfall: Shortfall?)
    case release
    /// Within `Reservation.ttlSeconds`.
    case extend(ttlSeconds: Int64)
    /// How far the job is; a report that is not ahead of the last changes nothing.
    case progress(Demand)
}

/// What a commit does when hold and spendable credits fall short of the cost.
package enum Shortfall: String, Sendable, CaseIterable {
    /// Refuses; the reservation stays active.
    case reject
    /// Charges what there is.
    case cap
    /// The rest becomes overage, within its limit.
    case overage
}

/// A spend cap to set.
package struct NewSpendCap: Hashable, Sendable {
    package var featureKey: FeatureKey?
    /// Zero or more.
    package var credits: Millicredits
    package var window: WindowLength

    package init(featureKey: FeatureKey? = nil, credits: Millicredits, window: WindowLength) {
        self.featureKey = featureKey
        self.credits = credits
        self.window = window
    }
}

/// One metered event.
package struct UsageEvent: Hashable, Sendable {
    /// How far back an event may have occurred.
    package static let maximumAgeSeconds: Int64 = 35 * 86_400
    /// How far ahead of the database's clock the tenant's clock may be.
    package static let maximumLeadSeconds: Int64 = 5 * 60

    package var featureKey: FeatureKey
    package var measure: Measure
    package var attributes: Attributes
    /// Nil means when the ledger applies it.
    package var occurredAt: Instant?
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, measure: Measure, attributes: Attributes = .none, occurredAt: Instant? = nil,
        metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.measure = measure
        self.attributes = attributes
        self.occurredAt = occurredAt
        self.metadata = metadata
    }

    /// An event of so many units; non-negative.
    package init(featureKey: FeatureKey, units: Int64, occurredAt: Instant? = nil, metadata: Metadata? = nil) {
        self.init(featureKey: featureKey, measure: .units(units), occurredAt: occurredAt, metadata: metadata)
    }
}

/// What an end user's profile shall say; a field that is not given stays as it is.
package struct EndUserChange: Hashable, Sendable {
    package var name: FieldChange<String>
    package var metadata: FieldChange<Metadata>
    package var overagePolicy: FieldChange<OveragePolicy>
    package var overageLimit: FieldChange<Millicredits>
    /// All overrides of the end user; nil removes them.
    package var overrides: FieldChange<[FeatureKey: FeatureGrant]>
    /// The clock to live by; nil where the change does not name one. An end user keeps a clock for ever.
    package var testClock: PublicID?

    package init(
        name: FieldChange<String> = .keep, metadata: FieldChange<Metadata> = .keep,
        overagePolicy: FieldChange<OveragePolicy> = .keep, overageLimit: FieldChange<Millicredits> = .keep,
        overrides: FieldChange<[FeatureKey: FeatureGrant]> = .keep, testClock: PublicID? = nil
    ) {
        self.name = name
        self.metadata = metadata
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.overrides = overrides
        self.testClock = testClock
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
