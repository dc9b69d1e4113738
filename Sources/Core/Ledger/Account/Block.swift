package import Credits

/// The source of a block's credits.
package enum BlockSource: String, Sendable, CaseIterable {
    case plan, rollover, recurring, trial, topup, promotional, compensation, adjustment, transfer

    /// The priority of a grant that states none. Plan grants burn before all others.
    package var defaultPriority: Int16 {
        self == .plan ? 10 : 50
    }
}

/// The credits of one grant, which are never merged with another's: the remaining amount and the conditions for
/// spending it.
///
/// Decisions read this type. The grant's source, reason and metadata are in `GrantedBlock`.
package struct Block: Hashable, Sendable {
    /// The largest number of blocks that an account ever has. It leaves numbers for the blocks that refunds open.
    package static let maximumCount = Int32.max - 1_000_000
    /// The maximum number of an account's blocks with remaining credits and scheduled blocks together.
    package static let maximumOpen = 10_000

    /// 1, 2, 3, … in the order in which the account received its blocks.
    package let number: Int32
    package let original: Millicredits
    package internal(set) var remaining: Millicredits
    /// The part of `remaining` that active reservations hold.
    package internal(set) var held: Millicredits
    /// 0 to 100; lower burns first.
    package let priority: Int16
    /// The block can be spent before this instant and not at it; nil means that it never expires. Only subscriptions
    /// move it.
    package internal(set) var expiresAt: Instant?
    /// True if a price above zero was paid.
    package let isPaid: Bool
    /// The features that the block is restricted to; nil means that it may be spent on all features.
    package let featureSet: FeatureSet?
    /// The instant from which the block's age counts in the burn order: its creation, or the landing of a grant that
    /// starts later.
    package let since: Instant
    /// True if the block was granted before `since`, to land at that instant by itself.
    package let startsLater: Bool
    /// True until a block that starts later lands or is revoked. Nothing remains of it meanwhile.
    package internal(set) var isScheduled: Bool
    /// When the block was revoked; nil if it was not. Credits that come back to a revoked block are taken at once.
    package internal(set) var revokedAt: Instant?
    /// The subscription that gave the block; nil for every other block.
    package let origin: SubscriptionOrigin?
    /// Whether the block of a subscription ends with the period, whenever that is.
    package let endsWithPeriod: Bool

    package init(
        number: Int32, original: Millicredits, remaining: Millicredits, held: Millicredits, priority: Int16,
        expiresAt: Instant?, isPaid: Bool, featureSet: FeatureSet? = nil, since: Instant, startsLater: Bool = false,
        isScheduled: Bool = false, revokedAt: Instant? = nil, origin: SubscriptionOrigin? = nil,
        endsWithPeriod: Bool = false
    ) {
        self.number = number
        self.original = original
        self.remaining = remaining
        self.held = held
        self.priority = priority
        self.expiresAt = expiresAt
        self.isPaid = isPaid
        self.featureSet = featureSet
        self.since = since
        self.startsLater = startsLater
        self.isScheduled = isScheduled
        self.revokedAt = revokedAt
        self.origin = origin
        self.endsWithPeriod = endsWithPeriod
    }

    /// The credits that a new charge can take. Never negative, because `held` is at most `remaining`.
    package var available: Int64 { remaining.rawValue - held.rawValue }

    /// The features that the block may be spent on, in the order in which they were given; empty means all features.
    package var featureKeys: [FeatureKey] { featureSet?.keys ?? [] }

    /// Whether the block may pay for a feature, regardless of expiry.
    package func isOpen(to feature: FeatureKey) -> Bool { featureSet?.contains(feature) ?? true }

    /// Whether the block may pay for every one of some features, regardless of expiry.
    func isOpen(to features: [FeatureKey]) -> Bool {
        guard let featureSet else { return true }
        return features.allSatisfy { featureSet.contains($0) }
    }

    /// Whether one of some subscriptions gave the block.
    func isFrom(_ subscriptions: [Int32]) -> Bool {
        guard !subscriptions.isEmpty, let origin else { return false }
        return subscriptions.contains(origin.subscription)
    }

    package func hasExpired(at now: Instant) -> Bool {
        guard let expiresAt else { return false }
        return expiresAt <= now
    }
}

/// The state of a block.
package enum BlockStatus: String, Sendable, CaseIterable {
    /// Credits remain and may be spent.
    case active
    /// The grant starts later, and its credits have not landed yet.
    case scheduled
    /// Nothing remains, because everything was used.
    case spent
    /// The expiry took the remaining credits.
    case expired
    /// The remaining credits were taken back. Held credits are taken when their hold ends.
    case revoked
}

/// A block as it was granted, with the facts that are only recorded.
package struct GrantedBlock: Hashable, Sendable {
    package let block: Block
    package let source: BlockSource
    /// The payment for the block; nil if there was none.
    package let payment: Payment?
    package let reason: String?
    package let metadata: Metadata?
    package let createdAt: Instant
    /// The start that the grant stated, which may be before its creation; nil if it stated none.
    package let startsAt: Instant?

    package init(
        block: Block, source: BlockSource, payment: Payment? = nil, reason: String?, metadata: Metadata?,
        createdAt: Instant, startsAt: Instant? = nil
    ) {
        self.block = block
        self.source = source
        self.payment = payment
        self.reason = reason
        self.metadata = metadata
        self.createdAt = createdAt
        self.startsAt = startsAt
    }
}

extension GrantedBlock {
    /// The same grant with its block in another state.
    package func with(_ block: Block) -> GrantedBlock {
        GrantedBlock(
            block: block, source: source, payment: payment, reason: reason, metadata: metadata, createdAt: createdAt,
            startsAt: startsAt)
    }
}

extension GrantedBlock {
    /// The cause of the entry that brings the credits of a grant.
    ///
    /// - Parameter idempotencyKey: Nil for a grant that lands by itself.
    func cause(idempotencyKey: String?) -> EntryCause {
        EntryCause(
            idempotencyKey: idempotencyKey, reason: reason, metadata: metadata,
            details: EntryDetails(externalPaymentID: payment?.externalID))
    }
}

/// A payment for credits, as the tenant reports it. QuotaStack takes no payments; it records them.
package struct Payment: Hashable, Sendable {
    /// In the currency's minor unit (cents), 0 or more; nil if unknown.
    package var price: Int64?
    /// ISO 4217, three capital letters; nil if unknown.
    package var currency: String?
    /// The payment provider's id of the payment. It is unique for ever inside an environment.
    package var externalID: String?

    package init(price: Int64? = nil, currency: String? = nil, externalID: String? = nil) {
        self.price = price
        self.currency = currency
        self.externalID = externalID
    }

    /// Whether the tenant reported nothing.
    package var isEmpty: Bool { price == nil && currency == nil && externalID == nil }
}
