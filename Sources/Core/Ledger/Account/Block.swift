package import Credits

/// Where a block's credits came from.
package enum BlockSource: String, Sendable, CaseIterable {
    case plan, rollover, recurring, trial, topup, promotional, compensation, adjustment, transfer

    /// The priority of a grant that states none: plan grants burn before everything else.
    package var defaultPriority: Int16 {
        self == .plan ? 10 : 50
    }
}

/// One grant's credits, never merged with another's: what is left of them and when they may be spent.
///
/// This is the part that decisions read; what a grant also recorded (source, reason, metadata) is in `GrantedBlock`.
package struct Block: Hashable, Sendable {
    /// How many an account may have at a time with something remaining.
    package static let maximumOpen = 10_000

    /// 1, 2, 3, … in the order in which the account got its blocks.
    package let number: Int32
    package let original: Millicredits
    package internal(set) var remaining: Millicredits
    /// What active reservations hold of `remaining`.
    package internal(set) var held: Millicredits
    /// 0 to 100; lower burns first.
    package let priority: Int16
    /// Spendable before this instant and not at it; nil never expires.
    package let expiresAt: Instant?
    /// True when a price above zero was paid for it.
    package let isPaid: Bool
    /// The only features it may be spent on; empty means all.
    package let featureKeys: [FeatureKey]
    /// When its unspent part was taken back; nil while it stands. What comes back to a revoked block is taken at once.
    package internal(set) var revokedAt: Instant?

    package init(
        number: Int32, original: Millicredits, remaining: Millicredits, held: Millicredits, priority: Int16,
        expiresAt: Instant?, isPaid: Bool, featureKeys: [FeatureKey], revokedAt: Instant? = nil
    ) {
        self.number = number
        self.original = original
        self.remaining = remaining
        self.held = held
        self.priority = priority
        self.expiresAt = expiresAt
        self.isPaid = isPaid
        self.featureKeys = featureKeys
        self.revokedAt = revokedAt
    }

    /// What a new charge could take; never negative, since `held` is at most `remaining`.
    package var available: Int64 { remaining.rawValue - held.rawValue }

    /// Whether the block may pay for a feature, expiry aside.
    package func isOpen(to feature: FeatureKey) -> Bool {
        featureKeys.isEmpty || featureKeys.contains(feature)
    }

    package func hasExpired(at now: Instant) -> Bool {
        guard let expiresAt else { return false }
        return expiresAt <= now
    }

    /// The burn order: lower priority, then earlier expiry with never last, then free before paid, then older.
    package static func burnsBefore(_ left: Block, _ right: Block) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        if left.expiresAt != right.expiresAt {
            guard let leftExpiry = left.expiresAt else { return false }
            guard let rightExpiry = right.expiresAt else { return true }
            return leftExpiry < rightExpiry
        }
        if left.isPaid != right.isPaid { return right.isPaid }
        return left.number < right.number
    }
}

/// The state of a block.
package enum BlockStatus: String, Sendable, CaseIterable {
    /// Something remains and may be spent.
    case active
    /// Nothing remains because all was used.
    case spent
    /// Its expiry took what remained.
    case expired
    /// What remained was taken back; what is held is taken when the hold ends.
    case revoked
}

/// A block as it was granted: the block, and what is only recorded about it.
package struct GrantedBlock: Hashable, Sendable {
    package let block: Block
    package let source: BlockSource
    /// What was paid for it, if anything.
    package let payment: Payment?
    package let reason: String?
    package let metadata: Metadata?
    package let createdAt: Instant

    package init(
        block: Block, source: BlockSource, payment: Payment? = nil, reason: String?, metadata: Metadata?,
        createdAt: Instant
    ) {
        self.block = block
        self.source = source
        self.payment = payment
        self.reason = reason
        self.metadata = metadata
        self.createdAt = createdAt
    }
}

/// What the tenant says was paid for credits. QuotaStack takes no payments; it records them.
package struct Payment: Hashable, Sendable {
    /// In the currency's minor unit (cents), 0 or more; nil when it was not said.
    package var price: Int64?
    /// ISO 4217, three capital letters; nil when it was not said.
    package var currency: String?
    /// The payment provider's id of the payment; unique for ever inside an environment.
    package var externalID: String?

    package init(price: Int64? = nil, currency: String? = nil, externalID: String? = nil) {
        self.price = price
        self.currency = currency
        self.externalID = externalID
    }

    /// Whether nothing was said.
    package var isEmpty: Bool { price == nil && currency == nil && externalID == nil }
}
